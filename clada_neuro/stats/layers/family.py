"""One family of tests over all layers and measures: the distribution of its largest |t| where no column has an effect.

Neighbouring layers are nearly the same column, so that corrections which count tests are far too strict or, of selected
ones, wrong. Here responses are drawn from the baseline with its whole random part; each is analysed as the observed one, its
baseline fitted anew by REML, all columns' t taken at those variances, and the models of the largest ones, as each has its
own variances, fitted by REML, too. Westfall and Young's (1993) max-T, by a parametric bootstrap.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from clada_neuro.errors import FitError
from clada_neuro.stats.layers.likelihood import Fit, factors, fit, fit_each, profile
from clada_neuro.stats.layers.products import Drawn, Products

QUICK = 1e-4  # of a draw's deviance: t is then right to a thousandth
REFITTED = 4  # of the largest t of a replicate: variances of their own may exchange neighbours


@dataclass(frozen=True, eq=False)
class Null:
    """Responses of a baseline fitted by REML; calling it with a number gives the largest |t| in that one."""

    made: Products
    theta: np.ndarray
    hessian: np.ndarray
    sigma: float
    columns: np.ndarray
    seed: int

    @classmethod
    def of(cls, made: Products, baseline: Fit, columns: np.ndarray, seed: int) -> "Null":
        """Return the null of some columns of a design."""
        return cls(made, baseline.theta, baseline.hessian, baseline.sigma / made.scales.s, columns, seed)

    def __call__(self, number: int) -> dict[str, float]:
        """Return ``t``, missing where a model could not be fitted."""
        try:
            made = self.made.of(self._drawn(np.random.default_rng([self.seed, number])))
            return {"t": largest(made, self.columns, self.theta, self.hessian)}
        except (FitError, np.linalg.LinAlgError):
            return {"t": float("nan")}

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}

    @cached_property
    def _drawn(self) -> Drawn:
        return Drawn(self.made, factors(self.theta, self.made), self.sigma)


def largest(
    made: Products, columns: np.ndarray, near: np.ndarray, hessian: np.ndarray | None = None
) -> float:
    """Return the largest |t| of models with one of some columns each, all fitted by REML from near a theta."""
    baseline = fit(made, None, near, True, hessian, QUICK)
    found = profile(baseline.theta, made, columns, True).t(made.n - made.p - 1)
    first = columns[np.argsort(-np.abs(found))[:REFITTED]]
    fits = fit_each(made, first, baseline.theta, True, QUICK)
    return max(abs(one.b / one.se) for one in fits)


def critical(drawn: np.ndarray, confidence: float) -> float:
    """Return the |t| that the largest one exceeds with a probability of 1 - confidence, from known draws."""
    rank = int(np.ceil(confidence * (len(drawn) + 1)))
    return float(np.sort(drawn)[rank - 1]) if rank <= len(drawn) else float("inf")


def adjusted(t: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return each t's p in the family: the share of draws, and of the observed one, whose largest |t| is as large."""
    ordered = np.sort(drawn)
    above = len(ordered) - np.searchsorted(ordered, np.abs(t), side="left")
    return np.asarray((1 + above) / (1 + len(ordered)))
