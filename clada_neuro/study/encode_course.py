"""Encoding at every moment: a run's words in the epochs that its amplitudes were measured in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.errors import DataError, FitError
from clada_neuro.records.epochs import EpochsRecord, MeasuredComponent
from clada_neuro.stats.ceiling import noise_ceiling
from clada_neuro.stats.encoding.course import encoding_course
from clada_neuro.stats.encoding.scores import Key

SPLITS = 50  # of the subjects, for the noise ceiling of each moment
WORD = ["stimulus_id", "word_index"]


@dataclass(frozen=True, eq=False)
class TrialsOverTime:
    """Trials over time in one group of electrodes; ``values`` (n_trials, n_times) µV, missing where a trial has no epoch."""

    components: list[str]
    channels: tuple[str, ...]
    values: np.ndarray
    times_ms: np.ndarray
    step_ms: float
    baseline: str


def over_time(folder: Path, epochs: Path, trials: pd.DataFrame, step_ms: float) -> list[TrialsOverTime]:
    """Read a run's trials over time, in the electrodes of each component that it measured.

    Raises
    ------
    DataError
        If the run measured no epochs, or these are others.
    """
    account = folder / "erp" / "erp.json"
    if not account.is_file() or "epoch" not in trials:
        raise DataError(
            f"'{folder}' is no run of epochs; --epochs is for those of `clada-neuro run … --epochs`"
        )
    from clada_neuro.erp.courses import baselined, courses_of  # loads MNE

    facts = EpochsRecord.read(account)
    recordings, baseline = baselined(epochs, facts.baseline)
    found = []
    for channels, components in _by_electrodes(facts.components).items():
        taken = courses_of(recordings, trials, channels, step_ms)
        found.append(TrialsOverTime(components, channels, taken.values, taken.times_ms, step_ms, baseline))
    return found


def scored(
    taken: TrialsOverTime,
    trials: pd.DataFrame,
    words: pd.DataFrame,
    vectors: Mapping[Key, np.ndarray],
    *,
    folds: int,
    shuffles: int,
    seed: int,
) -> dict[str, Any]:
    """Score vectors of words at every moment, as `clada_neuro.records.encoding.Course` has it.

    Parameters
    ----------
    trials, words : pandas.DataFrame
        Those of the run, and the words that the rows of ``vectors`` are.
    """
    known = np.isfinite(taken.values).all(axis=1)
    rows, values = trials[known].reset_index(drop=True), taken.values[known]
    at = pd.MultiIndex.from_frame(words).get_indexer(pd.MultiIndex.from_frame(rows[WORD]))
    means, kept = _means(_within(values, rows["subject"]), at, vectors)
    item = rows.drop_duplicates(WORD).set_index(WORD)["item"]
    items, _ = pd.factorize(item.reindex(pd.MultiIndex.from_frame(words[kept])))
    chosen = {key: x[kept] for key, x in vectors.items()}
    rows, values, at = (part[kept[at]] for part in (rows, values, at))  # of the words that are predicted
    scores = encoding_course(chosen, means[kept], items, folds=folds, shuffles=shuffles, seed=seed)
    return {
        "components": taken.components,
        "channels": list(taken.channels),
        "times_ms": taken.times_ms.tolist(),
        "step_ms": taken.step_ms,
        "baseline": taken.baseline,
        "n_trials": len(rows),
        "n_words": int(kept.sum()),
        "n_items": int(items.max()) + 1,
        "n_subjects": int(rows["subject"].nunique()),
        "ceiling": _ceilings(values, rows["subject"].to_numpy(), at, seed),
        **scores,
        "notes": _lost(known, kept),
    }


def _lost(known: np.ndarray, kept: np.ndarray) -> list[str]:
    lost = [(known, "trials have no epoch here"), (kept, "words lack an epoch or a vector of some kind")]
    return [f"{(~there).sum():,} of {len(there):,} {what}" for there, what in lost if not there.all()]


def _by_electrodes(components: Sequence[MeasuredComponent]) -> dict[tuple[str, ...], list[str]]:
    """Return the components by their electrodes, which some share."""
    found: dict[tuple[str, ...], list[str]] = {}
    for component in components:
        found.setdefault(tuple(component.channels), []).append(component.name)
    return found


def _within(values: np.ndarray, subjects: pd.Series) -> np.ndarray:
    """Return values without the subjects' own means at each moment."""
    frame = pd.DataFrame(values)
    return (frame - frame.groupby(subjects.to_numpy()).transform("mean")).to_numpy()


def _means(
    values: np.ndarray, at: np.ndarray, vectors: Mapping[Key, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return each word's mean over its trials, (n_words, n_times), and which words have it and all vectors.

    ``at`` is the place of each trial's word.
    """
    n_words = len(next(iter(vectors.values())))
    means = pd.DataFrame(values).groupby(at).mean().reindex(range(n_words)).to_numpy()
    complete = np.all([np.isfinite(x).all(axis=1) for x in vectors.values()], axis=0)
    kept = np.isfinite(means).all(axis=1) & complete
    if not kept.any():
        raise DataError("no word has both an epoch and vectors of every kind")
    return means, kept


def _ceilings(values: np.ndarray, subject: np.ndarray, word: np.ndarray, seed: int) -> list[float | None]:
    """Return at each moment the correlation that no vector can pass; None where it cannot be known."""
    found: list[float | None] = []
    for column in values.T:
        frame = pd.DataFrame({"y": column, "subject": subject, "word": word})
        try:
            bound = noise_ceiling(frame, "y", stimulus="word", splits=SPLITS, seed=seed)
        except FitError:
            return [None] * values.shape[1]
        found.append(float(np.sqrt(max(bound.reliability, 0.0))) if np.isfinite(bound.reliability) else None)
    return found
