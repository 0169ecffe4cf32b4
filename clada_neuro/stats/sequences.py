"""Are residuals of neighbouring words correlated? Of the words that one person reads in one text, in their order."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

# Columns of word-by-word trials: a sequence is what has one value in all but the last, which counts words.
PERSON, TEXT, PLACE = "subject", "stimulus_id", "word_index"
_CHANCE = 0.001
_LEAST_PAIRS = 50


@dataclass(frozen=True)
class Lag1:
    """Correlation ``r`` of residuals with those of the word before, in one sequence, over ``n`` pairs, and its one-sided p."""

    r: float
    n: int
    p: float

    @property
    def beyond_chance(self) -> bool:
        """Return whether residuals are more alike than chance makes them."""
        return self.p < _CHANCE

    def text(self) -> str:
        """Return what should be known and done, in a line."""
        return (
            f"residuals of neighbouring words are correlated within sequences (lag 1: r = {self.r:.2f}, {self.n:,} pairs); standard "
            f"errors are too small for predictors that are, too; use robust ones (robust '{PERSON}:{TEXT}'), or add the response to "
            "the word before as a predictor"
        )


def lag1(data: pd.DataFrame, residuals: np.ndarray) -> Lag1 | None:
    """Return the lag-1 autocorrelation of residuals (n,) of rows of ``data``; None where no words follow each other.

    The p value is that of no correlation, by Fisher's transformation.
    """
    if not {PERSON, TEXT, PLACE} <= set(data.columns):
        return None
    frame = data[[PERSON, TEXT, PLACE]].reset_index(drop=True).assign(now=residuals).dropna()
    # A word that was measured several times for a person has no one neighbour.
    frame = frame.drop_duplicates([PERSON, TEXT, PLACE], keep=False)
    before = frame.assign(**{PLACE: frame[PLACE] + 1}).rename(columns={"now": "before"})
    both = frame.merge(before, on=[PERSON, TEXT, PLACE])
    if len(both) < _LEAST_PAIRS:
        return None
    r = float(np.corrcoef(both["now"], both["before"])[0, 1])
    return Lag1(r, len(both), float(stats.norm.sf(np.arctanh(r) * np.sqrt(len(both) - 3))))
