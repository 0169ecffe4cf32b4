"""From MNE epochs to single trials in µV: one row per epoch, and an account of every epoch that is not there.

MNE holds volts; the conversion happens here, once. The baseline is a covariate column unless it is subtracted on
request: with word-by-word presentation it holds the response to the word before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.erp.channels import find_roi
from clada_neuro.erp.components import Component, get_components, soa_warnings
from clada_neuro.erp.layout import check_alive, check_finite
from clada_neuro.erp.measurement import Baseline
from clada_neuro.erp.metadata import LABELS, match_words
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.sources import Source, baseline_subtracted, read_epochs
from clada_neuro.errors import DataError
from clada_neuro.losses import step
from clada_neuro.stimuli.unit import stimulus_of

Array = NDArray[np.float64]
MICROVOLTS = 1e6
_PLAUSIBLE_VOLTS = (1e-8, 1e-3)


@dataclass(frozen=True)
class EpochTrials:
    """Single trials from epochs.

    Attributes
    ----------
    trials
        One row per epoch: the metadata's columns, ``subject``, ``epoch`` (number of its event, from 0), and for
        each component ``<name>_uv`` and, as a covariate, ``<name>_baseline_uv``; with words also ``stimulus_id``,
        ``word_index``, ``item``, ``condition``, ``word``, ``stimulus``.
    dropped
        Epochs rejected before: subject, reason, n. An epoch with several reasons counts under each.
    unmatched
        Epochs whose word was not found, with the reason.
    joins
        Steps with ``rows_before``, ``rows_removed``, ``rows_after`` and ``reason``.
    notes
        What a reader of the results should know: channels used, windows past the next word.
    """

    trials: pd.DataFrame
    dropped: pd.DataFrame
    unmatched: pd.DataFrame
    joins: list[dict[str, Any]]
    notes: list[str]

    def joins_setting_aside(self, aside: pd.Series, why: str) -> list[dict[str, Any]]:
        """Return the joins, with a step of its own, before the last, for those of the `unmatched` epochs that were not asked for."""
        if not aside.any():
            return self.joins
        before, rest = self.joins[-1]["rows_before"], self.unmatched[~aside]
        n = int(aside.sum())
        return [*self.joins[:-1], step("limit", before, n, why), _without_word(before - n, rest)]

    @property
    def simulated(self) -> bool:
        """Whether any epoch's metadata say that it is simulated."""
        return "simulated" in self.trials and bool(self.trials["simulated"].any())

    def __repr__(self) -> str:
        kept, lost = len(self.trials), int(self.dropped["n"].sum())
        return f"EpochTrials({kept} trials, {lost} rejections, {len(self.unmatched)} unmatched)"


@quiet
def epochs_to_trials(
    source: Source,
    words: pd.DataFrame | None = None,
    *,
    components: Iterable[str | Component] = ("n400", "p600"),
    baseline: Baseline = "covariate",
    baseline_window: tuple[float | None, float] = (None, 0.0),
    soa: float | None = None,
    on: Sequence[str] | None = None,
) -> EpochTrials:
    """Measure components in every epoch, in µV.

    Parameters
    ----------
    source
        Epochs, a mapping from subject to epochs, a ``.fif`` file, or a folder of ``*epo.fif`` files.
    words
        Words table of a trace; each epoch's metadata then finds its word (see `metadata.match_words`).
    components
        Names of presets or `Component` objects, in distinct windows.
    baseline
        ``covariate`` adds a column, ``subtract`` subtracts it, ``none`` leaves it.
    baseline_window
        Seconds; None is the start of the epoch.
    soa
        Seconds from a word to the next; a window that reaches past it is noted.
    on
        Labels by which epochs and words are matched.

    Raises
    ------
    DataError
        For wrong units, missing electrodes, metadata or samples, and overlapping windows.
    AlignmentError
        When no epoch finds its word.
    """
    chosen = get_components(components)
    recordings = read_epochs(source)
    baseline_subtracted(recordings.epochs)
    said: dict[str, list[str]] = {}
    frames = []
    for subject, epochs in recordings.epochs.items():
        frame, remarks = _measure(subject, epochs, chosen, baseline, baseline_window)
        frames.append(frame)
        for note in dict.fromkeys(remarks):
            said.setdefault(note, []).append(subject)
    notes = [*recordings.notes, *soa_warnings(chosen, soa), *_attributed(said, len(frames))]
    trials = pd.concat(frames, ignore_index=True)
    rejected = recordings.n_events - len(trials)
    why = recordings.dropped.groupby("reason", sort=False)["n"].sum()
    joins = [step("epochs rejected before", recordings.n_events, rejected, _listed(why) or "none")]
    unmatched = trials.iloc[:0].assign(reason="")
    if words is not None:
        before = len(trials)
        trials, unmatched, respelled = _with_words(trials, words, on)
        notes += respelled
        joins.append(_without_word(before, unmatched))
    return EpochTrials(trials, recordings.dropped, unmatched, joins, notes)


def window_mean(data: Array, times: Array, tmin: float, tmax: float) -> Array:
    """Return the mean over channels and the window, both ends included, shape (n_epochs,).

    Raises
    ------
    DataError
        When no sample lies in the window.
    """
    slack = 0.5 * (times[1] - times[0]) * 1e-3
    inside = (times >= tmin - slack) & (times <= tmax + slack)
    if not inside.any():
        raise DataError(
            f"no sample lies between {1e3 * tmin:g} and {1e3 * tmax:g} ms, with one every "
            f"{1e3 * (times[1] - times[0]):g} ms; take a longer window"
        )
    return data[:, :, inside].mean(axis=(1, 2))


def check_units(data: Array, who: str) -> None:
    """Refuse data that cannot be EEG in volts.

    Raises
    ------
    DataError
        When the typical size lies outside 10 nV to 1 mV.
    """
    size = float(np.median(data.std(axis=-1)))
    low, high = _PLAUSIBLE_VOLTS
    if size > high:
        raise DataError(
            f"{who}: EEG of typical size {size:.3g} V arrived, which looks like µV; MNE holds volts: "
            "multiply the data by 1e-6"
        )
    if size < low:
        raise DataError(
            f"{who}: EEG of typical size {size:.3g} V arrived, under 10 nV; MNE holds volts: was the data "
            "scaled twice, or is it flat?"
        )


def _measure(
    subject: str,
    epochs: mne.BaseEpochs,
    components: tuple[Component, ...],
    baseline: Baseline,
    baseline_window: tuple[float | None, float],
) -> tuple[pd.DataFrame, list[str]]:
    if epochs.metadata is None:
        raise DataError(
            f"the epochs of subject '{subject}' carry no metadata; set epochs.metadata to a table with one row "
            f"per epoch and columns such as {', '.join(LABELS)} (see sources.with_metadata)"
        )
    if not len(epochs):
        raise DataError(f"subject '{subject}' has no epochs left; leave the subject out")
    epochs = epochs.copy().load_data()
    frame = epochs.metadata.reset_index(drop=True).assign(subject=subject, epoch=epochs.selection)
    notes = []
    before = _baseline_window(subject, epochs, baseline, baseline_window)
    if epochs.baseline is not None and baseline != "none":
        notes.append("the epochs came with a subtracted baseline, so there is none left as a covariate")
    for component in components:
        if component.column in epochs.metadata:
            notes.append(f"the metadata's own column {component.column} is replaced by what is measured here")
        if not component.within(epochs.tmin, epochs.tmax):
            raise DataError(
                f"subject '{subject}': the {component.name} window ({component.window}) lies outside the epochs "
                f"({1e3 * epochs.tmin:g}–{1e3 * epochs.tmax:g} ms); epoch the recording again, move the window or leave the "
                "component out"
            )
        roi = find_roi(epochs.info, component, f"subject '{subject}'")
        notes += [*roi.notes, f"{component.name}: mean of {', '.join(roi.channels)}, {component.window}"]
        check_finite(f"subject '{subject}'", epochs, list(roi.channels))
        check_alive(f"subject '{subject}'", epochs, list(roi.channels))
        data = epochs.get_data(picks=list(roi.channels))
        check_units(data, f"subject '{subject}'")
        frame[component.column] = MICROVOLTS * window_mean(data, epochs.times, component.tmin, component.tmax)
        if before is None:
            continue
        level = MICROVOLTS * window_mean(data, epochs.times, *before)
        if baseline == "subtract":
            frame[component.column] -= level
        else:
            frame[component.baseline_column] = level
    return frame, notes


def _baseline_window(
    subject: str, epochs: mne.BaseEpochs, baseline: Baseline, window: tuple[float | None, float]
) -> tuple[float, float] | None:
    """Return the window to measure the baseline in, or None when there is nothing to measure."""
    if baseline == "none" or epochs.baseline is not None:
        return None
    tmin = epochs.tmin if window[0] is None else window[0]
    if not epochs.tmin - 1e-6 <= tmin < window[1]:
        raise DataError(
            f"subject '{subject}': a baseline from {1e3 * tmin:g} to {1e3 * window[1]:g} ms is not in epochs that "
            f"start at {1e3 * epochs.tmin:g} ms; move it, or measure with baseline none"
        )
    return tmin, window[1]


def _with_words(
    trials: pd.DataFrame, words: pd.DataFrame, on: Sequence[str] | None
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    match = match_words(trials, words, on)
    found = match.row >= 0
    labels = words[[name for name in LABELS if name in words and name != "sentence"]]
    if "stimulus" not in trials:
        labels = labels.assign(stimulus=stimulus_of(words))
    located = labels.iloc[match.row[found]].reset_index(drop=True)
    kept = trials.loc[found].reset_index(drop=True)
    kept = pd.concat([kept.drop(columns=[name for name in located if name in kept]), located], axis=1)
    return kept, match.unmatched.reset_index(drop=True), match.notes


def _attributed(said: dict[str, list[str]], n_subjects: int) -> list[str]:
    """Return each note once, with the subjects it holds for where it does not hold for all."""
    notes = []
    for note, who in said.items():
        more = f" and {len(who) - 5} more" if len(who) > 5 else ""
        whom = f" (subject{'s' if len(who) > 1 else ''} {', '.join(who[:5])}{more})"
        notes.append(note if len(who) == n_subjects else note + whom)
    return notes


def _without_word(before: int, unmatched: pd.DataFrame) -> dict[str, Any]:
    why = _listed(unmatched["reason"].value_counts()) or "every epoch found its word"
    return step("epochs without a word", before, len(unmatched), why)


def _listed(counts: pd.Series) -> str:
    """Return the most frequent reasons with their counts; every one stands in the result's tables."""
    most = [f"{reason} ({count:,})" for reason, count in counts.sort_values(ascending=False).head(3).items()]
    return "; ".join([*most, *([f"{len(counts) - 3:,} more reasons"] if len(counts) > 3 else [])])
