"""From one subject to several: fits with the same columns, and tests of their coefficients over subjects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import mne
import pandas as pd

from clada_neuro.erp.clusters import ITEMS_FIXED, ClusterTest, cluster_test
from clada_neuro.erp.layout import common_layout
from clada_neuro.erp.notes import together
from clada_neuro.erp.overlap.events import EventModel, coded
from clada_neuro.erp.overlap.fit import as_lists, estimated
from clada_neuro.erp.overlap.result import OverlapRerp
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import DataError

Recordings: TypeAlias = mne.io.BaseRaw | Sequence[mne.io.BaseRaw]
Events: TypeAlias = pd.DataFrame | Sequence[pd.DataFrame]


@dataclass(frozen=True, eq=False)
class OverlapGroup:
    """Waveforms of several subjects on the channels that all have, and where they differ from zero.

    Attributes
    ----------
    betas
        For each predictor one Evoked per subject, volts per unit; as groups for `evoked.waveforms`, `evoked.topographies` and
        `evoked.grand_averages`.
    tests
        For each predictor its test over subjects.
    notes
        What a reader must know.
    """

    betas: dict[str, list[mne.Evoked]]
    tests: dict[str, ClusterTest]
    notes: list[str]

    @property
    def clusters(self) -> pd.DataFrame:
        """All predictors' clusters, as in `ClusterTest.table`."""
        return pd.concat([test.table for test in self.tests.values()], ignore_index=True)


@quiet
def overlap_rerps(
    recordings: Mapping[str, Recordings],
    events: Mapping[str, Events],
    models: Sequence[EventModel],
    *,
    ridge: bool = False,
) -> dict[str, OverlapRerp]:
    """Fit every subject with the same columns: knots, centers and factor levels are those of all subjects' events.

    Parameters
    ----------
    recordings, events
        By subject, as in `fit.overlap_rerp`.
    models, ridge
        As in `fit.overlap_rerp`.

    Raises
    ------
    DataError
        As `fit.overlap_rerp`, and for subjects without events or recordings.
    """
    if not recordings or (odd := sorted(set(recordings) ^ set(events))):
        raise DataError(
            f"recordings of {', '.join(recordings) or 'nobody'} and events of {', '.join(events) or 'nobody'} arrived; give "
            f"both for each subject ({', '.join(odd) if recordings else 'none'})"
        )
    parts = {name: as_lists(f"subject '{name}'", recordings[name], events[name]) for name in recordings}
    codings, impulses = coded([table for _, tables in parts.values() for table in tables], models)
    fits, before = {}, 0
    for name, (raws, tables) in parts.items():
        own = impulses[before : before + len(raws)]
        before += len(raws)
        fits[name] = estimated(f"subject '{name}'", raws, tables, codings, own, ridge)
    return fits


@quiet
def overlap_group(
    fits: Mapping[str, OverlapRerp],
    *,
    tmin: float = 0.0,
    n_permutations: int = 1000,
    seed: int = 0,
    tfce: bool = False,
) -> OverlapGroup:
    """Test every predictor's waveforms over subjects.

    Parameters
    ----------
    fits
        By subject, made by `overlap_rerps`.
    tmin
        The test begins here, seconds.
    n_permutations, seed
        Sign flips of the test, and what makes them repeatable.
    tfce
        Also p by threshold-free cluster enhancement for every electrode and moment; takes longer.

    Raises
    ------
    DataError
        With fewer than two subjects, subjects of different models, and electrodes without positions.
    """
    if len(fits) < 2:
        raise DataError(f"{len(fits)} subject arrived; a test over subjects needs two or more")
    names = next(iter(fits.values())).names
    for subject, fit in fits.items():
        if fit.names != names:
            raise DataError(
                f"subject '{subject}' has the predictors {', '.join(fit.names)}, others {', '.join(names)}; fit all with "
                "the same models (overlap_rerps)"
            )
    betas: dict[str, list[mne.Evoked]] = {}
    notes: dict[str, None] = {}
    for name in names:
        waveforms = {f"subject '{subject}'": fit.evoked(name) for subject, fit in fits.items()}
        layout = common_layout(waveforms)
        betas[name] = [layout.of(who, waveform) for who, waveform in waveforms.items()]
        notes |= dict.fromkeys(layout.notes)
    tests = {
        name: cluster_test(name, betas[name], tmin, n_permutations=n_permutations, seed=seed, tfce=tfce)
        for name in names
    }
    said = together(
        [(subject, note) for subject, fit in fits.items() for note in fit.notes], "subject", len(fits)
    )
    return OverlapGroup(betas, tests, [ITEMS_FIXED, *notes, *said])
