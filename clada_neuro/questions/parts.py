"""What a set of terms adds to R², with its interval over sequences."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.panel import R2, SequenceDraw
from clada_neuro.stats.resample import percentile_interval


@dataclass(frozen=True)
class R2Part:
    """R²m of the larger model less that of the smaller one, and the bootstrap's 95 % limits."""

    value: float
    low: float
    high: float


def part_r2(larger: Fitted, smaller: Fitted, sequence: str, *, replicates: int, seed: int) -> R2Part:
    """Compare two fits of the same rows; both see the same draws of whole sequences.

    The limits come from least squares, as in `stats.panel`; without replicates they are missing.
    """
    value = larger.r2().marginal - smaller.r2().marginal
    if not replicates:
        return R2Part(value, np.nan, np.nan)
    codes, _ = pd.factorize(larger.model.data[sequence])
    first, second = (SequenceDraw(fit.design, codes, seed) for fit in (larger, smaller))
    low, _, high = percentile_interval(first(number)[R2] - second(number)[R2] for number in range(replicates))
    return R2Part(value, low, high)
