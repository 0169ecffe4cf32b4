"""How much of stimulus-level variance could be explained at all: reliability from split halves over subjects.

Subjects are split at random; r is the correlation over stimuli of the two halves' mean responses. The means of all
subjects have reliability 2r / (1 + r) (Spearman-Brown), which bounds the squared correlation of any predictor that
varies over stimuli with those means.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats.resample import percentile_interval

_MIN_SUBJECTS = 4


@dataclass(frozen=True)
class Ceiling:
    """``reliability`` of the means of all subjects, its 95 % range over splits, and the mean correlation of halves."""

    reliability: float
    low: float
    high: float
    half_correlation: float
    n_subjects: int
    n_stimuli: int
    n_splits: int


def noise_ceiling(
    data: pd.DataFrame,
    response: str,
    *,
    subject: str = "subject",
    stimulus: str = "stimulus",
    splits: int = 200,
    seed: int = 0,
) -> Ceiling:
    """Return the reliability of stimulus means; subjects' own means are taken out first.

    Raises
    ------
    FitError
        When a column is missing or there are fewer than four subjects.
    """
    for column in (response, subject, stimulus):
        if column not in data:
            raise FitError(
                f"the noise ceiling needs the column '{column}'; there are {', '.join(data.columns)}"
            )
    used = data[[response, subject, stimulus]].dropna()
    people, names = pd.factorize(used[subject])
    items, labels = pd.factorize(used[stimulus])
    if len(names) < _MIN_SUBJECTS:
        raise FitError(
            f"{len(names)} subjects cannot be split into halves; at least {_MIN_SUBJECTS} are needed"
        )
    y = used[response].to_numpy(float) - used.groupby(subject)[response].transform("mean").to_numpy(float)
    rng = np.random.default_rng(seed)
    halves = np.arange(len(names)) % 2
    r = np.array([_half_correlation(y, items, rng.permutation(halves)[people]) for _ in range(splits)])
    low, _, high = percentile_interval(2 * r / (1 + r))
    mean = float(np.nanmean(r))
    return Ceiling(2 * mean / (1 + mean), low, high, mean, len(names), len(labels), splits)


def _half_correlation(y: np.ndarray, items: np.ndarray, half: np.ndarray) -> float:
    n = items.max() + 1
    means = []
    for side in (0, 1):
        chosen = half == side
        counts = np.bincount(items[chosen], minlength=n)
        sums = np.bincount(items[chosen], weights=y[chosen], minlength=n)
        means.append(np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0))
    known = np.isfinite(means[0]) & np.isfinite(means[1])
    return float(np.corrcoef(means[0][known], means[1][known])[0, 1])
