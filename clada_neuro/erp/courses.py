"""Voltage over time of single trials in a component's electrodes: what a model of every moment is fitted to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np
import pandas as pd

from clada_neuro.erp.epochs import MICROVOLTS
from clada_neuro.erp.layout import common_layout
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.sources import baseline_subtracted, read_epochs, with_baseline_subtracted
from clada_neuro.errors import DataError


@dataclass(frozen=True, eq=False)
class Courses:
    """Trials over time.

    Attributes
    ----------
    values : numpy.ndarray, shape (n_trials, n_times)
        µV, the mean of the electrodes; missing where a trial has no epoch.
    times_ms : numpy.ndarray, shape (n_times,)
        Middle of each step, from the word.
    """

    values: np.ndarray
    times_ms: np.ndarray


@quiet
def baselined(source: Path, baseline: str) -> tuple[dict[str, mne.BaseEpochs], str]:
    """Return epochs by subject with the baseline of averages, and what was done.

    Parameters
    ----------
    source : Path
        A file or a folder.
    baseline : str
        As ``erp.json`` says it.
    """
    epochs = read_epochs(source).epochs
    if baseline.startswith("none") or baseline_subtracted(epochs):
        return epochs, baseline
    return with_baseline_subtracted(epochs, (None, 0.0)), "mean before the word subtracted"


@quiet
def courses_of(
    epochs: Mapping[str, mne.BaseEpochs], trials: pd.DataFrame, channels: Sequence[str], step_ms: float
) -> Courses:
    """Return the voltage of trials over time, the mean of some electrodes and of each step of time.

    Parameters
    ----------
    epochs : mapping of str to mne.BaseEpochs
        By subject.
    trials : pandas.DataFrame
        With ``subject`` and ``epoch``, the number of its event, as `epochs_to_trials` writes them.
    channels : sequence of str
    step_ms : float
        Samples within it are averaged.

    Raises
    ------
    DataError
        If a channel is missing, no trial has an epoch, a step is shorter than the samples are apart, or epochs are shorter than a step.
    """
    named = {f"subject '{name}'": part for name, part in epochs.items()}
    layout = common_layout(named)
    if absent := [name for name in channels if name not in layout.channels]:
        raise DataError(f"the epochs have no channel '{absent[0]}'; there are {', '.join(layout.channels)}")
    alike = {name: layout.of(f"subject '{name}'", part) for name, part in epochs.items()}
    first = next(iter(alike.values()))
    apart = 1e3 / first.info["sfreq"]
    if step_ms < apart * (1 - 1e-6):
        raise DataError(
            f"a step of {step_ms:g} ms given, but the samples are {apart:g} ms apart; give {apart:g} or more"
        )
    step_of = _steps(first.times, step_ms)
    starts = np.flatnonzero(np.r_[True, np.diff(step_of) > 0])
    counts = np.diff(np.r_[starts, len(step_of)])
    # The first and last step are cut where the next sample beyond the epoch would be theirs; inner ones hold what the rate gives them.
    before, after = _steps(first.times[[0, -1]] + np.array([-apart, apart]) / 1e3, step_ms)
    whole = np.ones(len(starts), dtype=bool)
    whole[0] &= before < step_of[0]
    whole[-1] &= after > step_of[-1]
    if not whole.any():
        raise DataError(
            f"a step of {step_ms:g} ms given, but epochs from {1e3 * first.times[0]:g} to {1e3 * first.times[-1]:g} ms hold no whole "
            "one; give a shorter step"
        )
    values = np.full((len(trials), int(whole.sum())), np.nan)
    for name, rows in trials.reset_index(drop=True).groupby("subject"):
        if (part := alike.get(str(name))) is None:
            continue
        at = pd.Index(part.selection).get_indexer(rows["epoch"].astype(int))
        data = MICROVOLTS * part.get_data(picks=list(channels)).mean(axis=1)
        means = np.add.reduceat(data, starts, axis=1) / counts
        values[rows.index[at >= 0]] = means[at[at >= 0]][:, whole]
    if not np.isfinite(values).any():
        raise DataError(
            "no trial of the run has an epoch here: subjects and numbers of events differ; give the epochs that the run measured"
        )
    return Courses(values, (step_of[starts][whole] + 0.5) * step_ms)


def _steps(seconds: np.ndarray, step_ms: float) -> np.ndarray:
    """Return the number of the step that each moment lies in."""
    numbers: np.ndarray = np.floor(1e3 * seconds / step_ms + 1e-6).astype(int)
    return numbers
