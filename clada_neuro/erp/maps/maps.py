"""Mixed models with crossed subjects, items and stimuli at every electrode and moment, tested over the whole map.

What a regression ERP per subject leaves out (items are fixed there) is in the model here: a predictor that varies over
stimuli is tested against how much stimuli vary (Clark 1973; Judd, Westfall & Kenny 2012).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from clada_neuro.erp.clusters import bins, channel_adjacency
from clada_neuro.erp.epochs import MICROVOLTS
from clada_neuro.erp.evoked import seen_from_above
from clada_neuro.erp.maps.channel import (
    BASELINE,
    ChannelTask,
    Electrode,
    ElectrodeMaps,
    components_of,
    deviates,
    terms_of,
)
from clada_neuro.erp.maps.inference import MapTests, compared
from clada_neuro.erp.maps.work import finished
from clada_neuro.erp.predictors import PredictedEpochs
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import DataError
from clada_neuro.parts import Jobs, place_of
from clada_neuro.stats.model import Model
from clada_neuro.stats.stimulus import missing_stimulus_warnings

Array = NDArray[np.float64]
DRAWS = 999
_WINDOWS = 6  # in which the scalp is shown


@dataclass(frozen=True, eq=False)
class MixedMaps:
    """Mixed models at every electrode and moment.

    Attributes
    ----------
    formula
        Of the model fitted at each, with the random terms that these data can tell apart.
    terms, channels, times
        Coefficients; electrodes; centers of bins of about 10 ms, seconds.
    places
        x and y of the electrodes (n_channels, 2), seen from above.
    b, se, df
        (n_terms, n_channels, n_times): µV per unit, per SD of z-scored predictors; Satterthwaite's degrees of freedom.
    components, sds
        Names of the random effects' standard deviations and of the residual's, and their values (n_components, n_channels,
        n_times), µV.
    singular
        (n_channels, n_times): where a variance is zero.
    tests
        One for each term.
    n_epochs, n_draws
        Epochs in the models, and draws under the null.
    notes
        What a reader must know.
    """

    formula: str
    terms: list[str]
    channels: list[str]
    times: Array
    places: Array
    b: Array
    se: Array
    df: Array
    components: list[str]
    sds: Array
    singular: NDArray[np.bool_]
    tests: dict[str, MapTests]
    n_epochs: int
    n_draws: int
    notes: list[str]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per term, channel and moment: b_uv, se, ci_low, ci_high (95 %, for one moment), df, t, p, p_corrected (largest |t| of the map), cluster (missing outside)."""
        t = self.b / self.se
        frames = []
        for number, term in enumerate(self.terms):
            frame = self._grid()
            frame.insert(0, "term", term)
            frame["b_uv"], frame["se"] = self.b[number].ravel(), self.se[number].ravel()
            frame["df"], frame["t"] = self.df[number].ravel(), t[number].ravel()
            half = stats.t.isf(0.025, frame["df"]) * frame["se"]
            frame["ci_low"], frame["ci_high"] = frame["b_uv"] - half, frame["b_uv"] + half
            frame["p"] = 2 * stats.t.sf(frame["t"].abs(), frame["df"])
            frame["p_corrected"] = self.tests[term].p.ravel()
            numbers = pd.Series(self.tests[term].clusters.ravel(), dtype="Int64")
            frame["cluster"] = numbers.mask(numbers < 0)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def scalp(self) -> pd.DataFrame:
        """One row per term, window of equal length and channel: from_ms, to_ms, x, y, amplitude_uv (the mean of b there)."""
        edges = np.linspace(self.times[0], self.times[-1], _WINDOWS + 1)
        window = np.clip(np.searchsorted(edges, self.times, side="right") - 1, 0, _WINDOWS - 1)
        frames = []
        for number, term in enumerate(self.terms):
            for k in np.unique(window):
                frame = pd.DataFrame(self.places, columns=["x", "y"]).assign(channel=self.channels, term=term)
                frame["from_ms"], frame["to_ms"] = 1e3 * edges[k], 1e3 * edges[k + 1]
                frames.append(frame.assign(amplitude_uv=self.b[number][:, window == k].mean(axis=1)))
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """One row per term and cluster, largest mass first: time limits (which are not tested), channels, mass (sum of z), p."""
        rows = []
        for term, found in self.tests.items():
            for number, (mass, p) in enumerate(zip(found.masses, found.cluster_p, strict=True)):
                inside = found.clusters == number
                times = self.times[inside.any(axis=0)]
                channels = [self.channels[c] for c in np.flatnonzero(inside.any(axis=1))]
                rows.append(
                    (
                        term,
                        number,
                        int(np.sign(mass)),
                        times[0],
                        times[-1],
                        len(channels),
                        " ".join(channels),
                        mass,
                        p,
                    )
                )
        names = ["term", "cluster", "sign", "tmin_s", "tmax_s", "n_channels", "channels", "mass", "p"]
        return pd.DataFrame(rows, columns=names)  # fmt: skip

    @cached_property
    def variances(self) -> pd.DataFrame:
        """One row per channel and moment: the standard deviation of each random effect and of the residual, µV; ``singular``."""
        frame = self._grid()
        for name, values in zip(self.components, self.sds, strict=True):
            frame[f"sd_uv {name}"] = values.ravel()
        return frame.assign(singular=self.singular.ravel())

    def _grid(self) -> pd.DataFrame:
        channels, times = np.repeat(self.channels, len(self.times)), np.tile(self.times, len(self.channels))
        return pd.DataFrame({"channel": channels, "time_s": times})


@quiet
def mixed_maps(
    data: PredictedEpochs,
    formula: str,
    *,
    baseline: bool = True,
    baseline_window: tuple[float | None, float] = (None, 0.0),
    tmin: float = 0.0,
    n_draws: int = DRAWS,
    seed: int = 0,
    jobs: Jobs = 1,
    folder: str | Path | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> MixedMaps:
    """Fit the same mixed model at every electrode and moment.

    Parameters
    ----------
    data
        Epochs with predictors (`predictors.with_predictors`).
    formula
        Right-hand side in lme4's notation, of predictors and ``subject``, ``item``, ``stimulus``; numeric predictors outside
        functions are z-scored.
    baseline
        Whether each electrode's mean in ``baseline_window`` (seconds; None is the start) is a covariate.
    tmin
        Maps begin here, seconds.
    n_draws, seed
        Of the null distribution (see `null`), and what makes it repeatable.
    jobs
        Electrodes at once: processes, or another place (`clada_neuro.parts`).
    folder
        Where fitted electrodes are kept, so that a call that was interrupted goes on.
    progress
        Receives a line on what is done.

    Raises
    ------
    CladaNeuroError
        For formulas and epochs that do not suit each other.
    """
    layout = data.layout
    alike = {subject: layout.of(f"subject '{subject}'", epochs) for subject, epochs in data.epochs.items()}
    first = next(iter(alike.values()))
    if baseline and first.tmin >= 0:
        raise DataError("epochs that start at 0 have no baseline; ask for none")
    times = bins(first, tmin)[0]
    if not len(times):
        raise DataError(f"epochs end at {1e3 * first.tmax:g} ms, before the map begins ({1e3 * tmin:g} ms)")
    adjacency = channel_adjacency(first.info)
    amplitudes = MICROVOLTS * np.concatenate([bins(epochs, tmin)[1] for epochs in alike.values()])
    before = np.concatenate([_before(epochs, baseline_window, baseline) for epochs in alike.values()])
    trials = pd.concat([epochs.metadata for epochs in alike.values()], ignore_index=True)
    electrodes = {
        name: Electrode(name, amplitudes[:, c], before[:, c]) for c, name in enumerate(first.ch_names)
    }
    task = ChannelTask(trials, formula, baseline, n_draws, seed)
    model = task.model(amplitudes[:, 0, 0], before[:, 0])
    found: dict[str, ElectrodeMaps] = {}
    kept = None if folder is None else Path(folder)
    for name, maps in finished(electrodes, task, place_of(jobs), kept):
        found[name] = maps
        progress(f"electrode {name} ({len(found)} of {len(electrodes)})")
    return _together(model, found, first.info, times, adjacency, task, [*layout.notes, *_notes(model)])


def _before(epochs: mne.BaseEpochs, window: tuple[float | None, float], wanted: bool) -> Array:
    """Return each epoch's and electrode's mean before the word, µV; zeros where that is not wanted."""
    if not wanted:
        return np.zeros((len(epochs), len(epochs.ch_names)))
    return np.asarray(MICROVOLTS * epochs.copy().crop(*window).get_data().mean(axis=-1))


def _notes(model: Model) -> list[str]:
    numeric = [name for name in model.numeric_predictors() if name != BASELINE]
    missing = missing_stimulus_warnings(model.design, model.data, numeric, model.factor_predictors())
    dropped = model.design.n_dropped
    return [
        *model.notes,
        *missing,
        *([f"{dropped} epochs without a value of every predictor left out"] if dropped else []),
    ]


def _together(
    model: Model,
    found: dict[str, ElectrodeMaps],
    info: mne.Info,
    times: Array,
    adjacency: Any,
    task: ChannelTask,
    notes: list[str],
) -> MixedMaps:
    channels = list(info["ch_names"])
    maps = [found[name] for name in channels]
    b, se, df = (np.stack([getattr(one, name) for one in maps], axis=1) for name in ("b", "se", "df"))
    null = np.stack([one.null for one in maps], axis=2)  # draws, terms, channels, times
    z = deviates(b / se, df)
    terms = [model.design.names[j] for j in terms_of(model)]
    return MixedMaps(
        formula=model.formula.text,
        terms=terms,
        channels=channels,
        times=times,
        places=seen_from_above(info, channels),
        b=b,
        se=se,
        df=df,
        components=components_of(model),
        sds=np.stack([one.sds for one in maps], axis=1),
        singular=np.stack([one.singular for one in maps]),
        tests={term: compared(z[j], null[:, j], adjacency) for j, term in enumerate(terms)},
        n_epochs=len(model.design.y),
        n_draws=task.n_draws,
        notes=notes,
    )  # fmt: skip
