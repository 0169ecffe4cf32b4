"""The epochs' own analyses in one call, and their files: what a report draws and a reader checks.

In ``<folder>/erp``: ``waveforms``, ``topographies`` (by tercile of each predictor), ``conditions``, ``differences``,
``difference_topographies`` (of critical words, where they have conditions), ``rerp_waveforms``,
``rerp_topographies`` (µV per SD), ``rerp_clusters``, ``by_item``, ``rejections``, ``lost`` as parquet;
``terciles-<predictor>-ave.fif``, ``conditions-ave.fif`` and ``rerp-ave.fif``, grand averages for MNE; ``erp.json``, what was done. What the data do
not allow, as averages by a predictor that does not vary, is left out and noted there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import mne
import pandas as pd

from clada_neuro.artifacts import output_folder, read_json, write_atomic, write_table
from clada_neuro.erp.by_condition import condition_averages, conditions_of, difference_waves
from clada_neuro.erp.by_item import by_item
from clada_neuro.erp.channels import find_roi
from clada_neuro.erp.components import Component
from clada_neuro.erp.evoked import Groups, grand_averages, topographies, waveforms
from clada_neuro.erp.made_from import account_of
from clada_neuro.erp.measurement import Measurement
from clada_neuro.erp.predictors import PredictedEpochs, tercile_averages, varying, with_predictors
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.rerp import rerp
from clada_neuro.erp.sources import Source, baseline_subtracted, read_epochs, with_baseline_subtracted
from clada_neuro.errors import DataError
from clada_neuro.measures.tokens import MAIN
from clada_neuro.records.epochs import EpochsRecord
from clada_neuro.stage import Stage

_PRESETS = Measurement()
_LAST = "erp"  # the file that is written last: with it the tables are complete
T = TypeVar("T")


@quiet
def analyze_epochs(
    source: Source,
    words: pd.DataFrame,
    folder: str | Path,
    *,
    predictors: Sequence[str] = MAIN,
    measurement: Measurement = _PRESETS,
    n_permutations: int = 1000,
    seed: int = 0,
    inputs: str = "",
) -> Path:
    """Average by tercile, regress over time and electrodes, check by item, and write ``<folder>/erp``.

    Parameters
    ----------
    source
        Epochs, mapping, file or folder (see `sources.read_epochs`).
    words
        Words table of a trace.
    folder
        Output folder of the run.
    predictors
        Columns of ``words``; those that do not vary are left out.
    measurement
        Components and baseline.
    n_permutations, seed
        Of the cluster permutation.
    inputs
        Hash of the trials and words. With it, epochs from files are analyzed once: the same files, words and
        choices find what stands in the folder.

    Returns
    -------
    Path
        The folder with the files.
    """
    place = output_folder(Path(folder) / "erp")
    known: Source = source if inputs else {}  # without them it is not known what the words are
    choices = (inputs, predictors, measurement, n_permutations, seed)
    store = account_of(place, known, __name__, *choices, codec=EpochsRecord.codec())
    if store.whole(_LAST):
        return place
    recordings = read_epochs(source)
    subtracted_before = baseline_subtracted(recordings.epochs)
    corrected = recordings.epochs
    if measurement.baseline == "subtract":
        corrected = with_baseline_subtracted(corrected, measurement.baseline_window)
    names, notes = varying(corrected, words, predictors)
    data = with_predictors(corrected, words, names)
    chosen, span = measurement.components, measurement.baseline_window
    covariate = measurement.baseline == "covariate" and not subtracted_before
    found = {
        name: _optional(
            notes, f"averages by {name}", tercile_averages, data, name, baseline=span if covariate else None
        )
        for name in names
    }
    terciles = {name: groups for name, groups in found.items() if groups}
    by_condition: dict[str, list[mne.Evoked]] | None = None
    if conditions := conditions_of(words):
        by_condition = _optional(
            notes, "averages by condition", condition_averages, data, conditions, span if covariate else None
        )
    result = _optional(
        notes, "regression ERPs", rerp, data, baseline="covariate" if covariate else "none", baseline_window=span,
        n_permutations=n_permutations, seed=seed,
    )  # fmt: skip
    checked = _optional(notes, "by-item check", by_item, data, chosen, result, measurement.baseline, span)
    info = data.layout.info(next(iter(data.epochs.values())).info)
    rois = {part: _optional(notes, f"averages of the {part.name}", find_roi, info, part) for part in chosen}
    shown = {part: roi.channels for part, roi in rois.items() if roi}
    tables = {"rejections": recordings.dropped, "lost": data.lost}
    averages = {f"terciles-{name}-ave.fif": groups for name, groups in terciles.items()}
    if terciles and shown:
        tables["waveforms"] = _by_predictor(terciles, shown, waveforms)
        tables["topographies"] = _by_predictor(terciles, shown, topographies)
    if by_condition:
        waves = difference_waves(by_condition)
        averages["conditions-ave.fif"] = {**by_condition, **waves}
    if by_condition and shown:
        tables["conditions"] = _by_component(by_condition, shown, waveforms)
        tables["differences"] = _by_component(waves, shown, waveforms)
        tables["difference_topographies"] = _by_component(waves, shown, topographies)
    if result is not None:
        tables["rerp_clusters"] = result.clusters
        averages["rerp-ave.fif"] = result.betas
    if result is not None and shown:
        tables["rerp_waveforms"] = _by_component(result.betas, shown, waveforms)
        tables["rerp_topographies"] = _by_component(result.betas, shown, topographies)
    if checked is not None:
        tables["by_item"] = checked
    for earlier in [*place.glob("*.parquet"), *place.glob("*-ave.fif")]:
        earlier.unlink()
    for name, table in tables.items():
        write_table(table, place / f"{name}.parquet", {"inputs": inputs})
    for name, groups in averages.items():
        _write_averages(place / name, groups)
    facts = _facts(data, shown) | {"n_permutations": n_permutations if result else 0, "seed": seed}
    facts |= {"notes": [*notes, *(result.notes if result else data.layout.notes)]}
    facts |= {"reasons": {name: _by_reason(tables[name]) for name in ("rejections", "lost")}}
    facts |= {"baseline": _baseline_in_words(measurement, subtracted_before)}
    store.write(_LAST, facts | {"trials": inputs or None})
    return place


@dataclass(frozen=True)
class EpochsStage(Stage[list[str]]):
    """Analyze the epochs of a study, as `analyze_epochs` does; the result are its notes."""

    name = "epochs"
    files = ("erp/erp.json", "erp/*.parquet", "erp/*-ave.fif")

    source: Path
    words: pd.DataFrame
    of: str
    measurement: Measurement
    seed: int = 0

    def make(self, folder: Path) -> list[str]:
        """Analyze them, unless their files stand there."""
        place = analyze_epochs(
            self.source, self.words, folder, measurement=self.measurement, seed=self.seed, inputs=self.of
        )
        return list(read_json(place / "erp.json")["notes"])


def _optional(notes: list[str], what: str, make: Callable[..., T], *given: Any, **named: Any) -> T | None:
    """Return what nobody asked for by name, or note why the data do not allow it: the rest of the run stands."""
    try:
        return make(*given, **named)
    except DataError as error:
        notes.append(f"{what} left out: {error}")
        return None


def _baseline_in_words(measurement: Measurement, subtracted_before: bool) -> str:
    if subtracted_before:
        return "subtracted before the epochs were saved"
    start, end = measurement.baseline_window
    before_onset = start is None and end == 0
    when = (
        "before onset"
        if before_onset
        else f"from {'the start' if start is None else f'{1e3 * start:g}'} to {1e3 * end:g} ms"
    )
    mean = f"each electrode's mean {when}"
    return {
        "covariate": f"{mean}: a covariate of the regressions, subtracted from the averages",
        "subtract": f"{mean}, subtracted from every epoch",
        "none": "none, neither subtracted nor a covariate",
    }[measurement.baseline]


def _by_reason(epochs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return subjects and epochs by reason; rows without a count ``n`` are one epoch each."""
    counted = epochs if "n" in epochs else epochs.assign(n=1)
    totals = counted.groupby("reason", as_index=False).agg(
        subjects=("subject", "nunique"), epochs=("n", "sum")
    )
    return totals.to_dict("records")


def _by_component(
    groups: Groups, components: Iterable[Component], measure: Callable[[Groups, Component], pd.DataFrame]
) -> pd.DataFrame:
    frames = [measure(groups, component).assign(component=component.name) for component in components]
    return pd.concat(frames, ignore_index=True)


def _by_predictor(
    terciles: Mapping[str, Groups],
    components: Iterable[Component],
    measure: Callable[[Groups, Component], pd.DataFrame],
) -> pd.DataFrame:
    frames = [
        _by_component(groups, components, measure).assign(predictor=name) for name, groups in terciles.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _write_averages(path: Path, groups: Groups) -> None:
    averages = list(grand_averages(groups).values())

    def write(part: Path) -> None:
        named = part.with_name(part.name + "-ave.fif")  # MNE insists on its own ending
        mne.write_evokeds(named, averages, overwrite=True, verbose="error")
        named.replace(part)

    write_atomic(path, write)


def _facts(data: PredictedEpochs, components: Mapping[Component, tuple[str, ...]]) -> dict[str, Any]:
    metadata = [epochs.metadata for epochs in data.epochs.values()]
    return {
        "simulated": data.simulated,
        "n_subjects": len(metadata),
        "n_epochs": sum(map(len, metadata)),
        "n_stimuli": len(data.stimuli()),
        "predictors": data.scales.to_dict("index"),
        "components": [{**asdict(part), "channels": channels} for part, channels in components.items()],
    }
