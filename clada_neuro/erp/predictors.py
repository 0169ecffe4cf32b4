"""Epochs with the measures of their words: what regressions over time and tercile averages start from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import mne
import numpy as np
import pandas as pd

from clada_neuro.erp.layout import Layout, common_layout
from clada_neuro.erp.metadata import LABELS, match_words
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.sources import Source, read_epochs
from clada_neuro.errors import DataError, did_you_mean
from clada_neuro.stimuli.unit import stimulus_of

_ROUNDING = 1e-5


@dataclass(frozen=True)
class PredictedEpochs:
    """Epochs by subject whose metadata hold predictors, raw and z-scored.

    Attributes
    ----------
    epochs
        Metadata columns include ``stimulus``, each predictor, and ``z_<predictor>``.
    predictors
        Names, in the order given.
    scales
        Mean and SD over distinct stimuli: index predictor, columns ``mean``, ``sd``.
    lost
        Epochs left out: subject, epoch, reason.
    simulated
        Whether any epoch's metadata say so.
    """

    epochs: dict[str, mne.BaseEpochs]
    predictors: tuple[str, ...]
    scales: pd.DataFrame
    lost: pd.DataFrame
    simulated: bool

    @property
    def layout(self) -> Layout:
        """The channels and the time that all subjects share."""
        return common_layout({f"subject '{name}'": epochs for name, epochs in self.epochs.items()})

    def stimuli(self) -> pd.DataFrame:
        """Return each stimulus once: ``stimulus``, ``item``, predictors, ``z_`` predictors, means over its epochs."""
        rows = pd.concat([epochs.metadata for epochs in self.epochs.values()], ignore_index=True)
        means = dict.fromkeys([*self.predictors, *(f"z_{name}" for name in self.predictors)], "mean")
        return rows.groupby("stimulus", sort=False).agg({"item": "first", **means}).reset_index()


@quiet
def with_predictors(
    source: Source, words: pd.DataFrame, predictors: Sequence[str], on: Sequence[str] | None = None
) -> PredictedEpochs:
    """Give each epoch the measures of its word.

    Parameters
    ----------
    source
        Epochs, mapping, file or folder (see `sources.read_epochs`).
    words
        Words table of a trace, with the predictors.
    predictors
        Columns of ``words``: ``surprisal_bits``, ``entropy_bits``, ``sparsity_energy99``, ``adjustment_prev`` …
    on
        Labels by which epochs and words are matched.

    Raises
    ------
    DataError
        When a predictor is missing or constant.
    """
    for name in predictors:
        if name not in words:
            raise DataError(
                f"the words table has no column '{name}'{did_you_mean(name, list(words.columns))}"
            )
    subjects = read_epochs(source).epochs
    metadata = pd.concat(
        [_metadata(subject, epochs) for subject, epochs in subjects.items()], ignore_index=True
    )
    described, reason = _described(metadata, words, predictors, on)
    parts = {}
    for subject, epochs in subjects.items():
        rows = metadata["subject"] == subject
        keep = rows & (reason == "")
        if keep.any():
            parts[subject] = epochs[keep[rows].to_numpy()]
            parts[subject].metadata = described[keep].reset_index(drop=True)
    lost = metadata[["subject", "epoch"]].assign(reason=reason)[reason != ""].reset_index(drop=True)
    simulated = "simulated" in metadata and bool(metadata["simulated"].any())
    scales = _scales(parts, predictors)
    for epochs in parts.values():
        for name in predictors:
            z = (epochs.metadata[name] - scales.at[name, "mean"]) / scales.at[name, "sd"]
            epochs.metadata[f"z_{name}"] = z
    return PredictedEpochs(parts, tuple(predictors), scales, lost, simulated)


@quiet
def varying(
    source: Source,
    words: pd.DataFrame,
    predictors: Sequence[str],
    on: Sequence[str] | None = None,
    *,
    left_out_of: str = "averages and regression ERPs",
) -> tuple[list[str], list[str]]:
    """Return the predictors that vary over the epochs' words, and a line on each that does not: what it is left out of, and why."""
    metadata = pd.concat(
        [_metadata(subject, epochs) for subject, epochs in read_epochs(source).epochs.items()],
        ignore_index=True,
    )
    row = match_words(metadata, words, on).row
    heard = words.iloc[row[row >= 0].unique()].reindex(columns=list(predictors)).astype(float)
    constant = _constant(heard)
    notes = [
        f"{name} {'has one value in' if heard[name].notna().any() else 'is missing for'} the words of all epochs: left "
        f"out of {left_out_of}"
        for name in constant
    ]
    return [name for name in predictors if name not in constant], notes


def _constant(values: pd.DataFrame) -> list[str]:
    """Return the columns without variation beyond rounding: one text in two batches may differ in the last digits."""
    varies = values.std() > _ROUNDING * values.abs().max()
    return list(values.columns[~varies])


def _metadata(subject: str, epochs: mne.BaseEpochs) -> pd.DataFrame:
    if epochs.metadata is None:
        raise DataError(f"the epochs of subject '{subject}' carry no metadata; see sources.with_metadata")
    return epochs.metadata.assign(subject=subject, epoch=epochs.selection)


def _described(
    metadata: pd.DataFrame, words: pd.DataFrame, predictors: Sequence[str], on: Sequence[str] | None
) -> tuple[pd.DataFrame, pd.Series]:
    """Return every epoch's labels and predictors, and why it has none (empty where it has them)."""
    match = match_words(metadata, words, on)
    reason = pd.Series("", index=metadata.index, dtype="object")
    reason[match.unmatched.index] = match.unmatched["reason"]
    labels = [name for name in ("stimulus_id", "item", "word", "condition", "is_critical") if name in words]
    columns = words[[*labels, *predictors]].assign(stimulus=stimulus_of(words))
    columns = columns.iloc[match.row.clip(lower=0)].reset_index(drop=True)
    for name in predictors:
        reason[(reason == "") & columns[name].isna()] = f"{name} is missing"
    own = metadata[["subject", *(name for name in LABELS if name in metadata)]]
    return own.assign(**{name: columns[name] for name in columns}), reason


def _scales(parts: Mapping[str, mne.BaseEpochs], predictors: Sequence[str]) -> pd.DataFrame:
    if not parts:
        raise DataError(f"no epoch has a value of every predictor ({', '.join(predictors)})")
    rows = pd.concat([epochs.metadata for epochs in parts.values()])
    values = rows.drop_duplicates("stimulus")[list(predictors)].astype(float)
    scales = pd.DataFrame({"mean": values.mean(), "sd": values.std()})
    if constant := _constant(values):
        raise DataError(f"predictor '{constant[0]}' does not vary over the stimuli; leave it out")
    return scales


@quiet
def tercile_averages(
    data: PredictedEpochs, predictor: str, baseline: tuple[float | None, float] | None = (None, 0.0)
) -> dict[str, list[mne.Evoked]]:
    """Average each subject's epochs by tercile of a predictor over distinct stimuli.

    Parameters
    ----------
    data
        Epochs with predictors.
    predictor
        One of ``data.predictors``.
    baseline
        Window subtracted from each average, for display; None for data that were corrected before.

    Returns
    -------
    dict
        ``low``, ``middle``, ``high``: one Evoked per subject who has epochs in all three, ready for
        `evoked.waveforms`, `evoked.topographies` and `evoked.grand_averages`.
    """
    edges = np.quantile(data.stimuli()[predictor].astype(float), [1 / 3, 2 / 3])

    def tercile(metadata: pd.DataFrame) -> np.ndarray:
        return np.array(["low", "middle", "high"])[
            np.searchsorted(edges, metadata[predictor].to_numpy(float))
        ]

    groups = averages_by(data, tercile, ("low", "middle", "high"), baseline)
    if not groups["low"]:
        raise DataError(
            f"no subject has epochs in all three terciles of '{predictor}'; more stimuli are needed"
        )
    return groups


def averages_by(
    data: PredictedEpochs,
    label: Callable[[pd.DataFrame], np.ndarray],
    names: Sequence[str],
    baseline: tuple[float | None, float] | None,
) -> dict[str, list[mne.Evoked]]:
    """Average each subject's epochs by the label that their metadata get, one of `names`; of subjects who have all of them.

    Epochs with another label are in no average. The window `baseline` is subtracted from each average.
    """
    layout = data.layout
    if baseline is not None and not layout.tmin < baseline[1]:
        raise DataError(
            f"epochs that start at {1e3 * layout.tmin:g} ms have no baseline up to {1e3 * baseline[1]:g} ms"
        )
    groups: dict[str, list[mne.Evoked]] = {name: [] for name in names}
    for subject, epochs in data.epochs.items():
        labels = label(epochs.metadata)
        if not set(names) <= set(labels):
            continue
        for name, averages in groups.items():
            average = layout.of(f"subject '{subject}'", epochs[labels == name].average())
            average.comment = name
            averages.append(average if baseline is None else average.apply_baseline(baseline))
    return groups
