"""Profile intervals of coefficients: where the likelihood, maximised over all other parameters, falls by chi-square's quantile.

Wald's interval takes the likelihood for a parabola; with few or one-sided counts it is none, and the profile's two sides
differ. Signed roots of the fall are nearly straight in the coefficient, so that a few steps of the secant find each end.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.errors import FitError
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.generalized.counts import counts_of
from clada_neuro.stats.generalized.estimate import descend, scale_of, scaled_design
from clada_neuro.stats.generalized.family import family_of
from clada_neuro.stats.generalized.laplace import Laplace

_NORMAL_95 = float(stats.norm.ppf(0.975))
_STEPS, _CLOSE = 20, 2e-3  # of the root's units: standard errors
_FAR = 4.0


def profile_intervals(fit: Fitted, terms: list[str]) -> pd.DataFrame:
    """Return the 95 % limits of coefficients on the scale of the link.

    Returns
    -------
    DataFrame
        One row a term: ``term``, ``ci_low``, ``ci_high``; an end that is not reached is infinite.

    Raises
    ------
    FitError
        For a term that is not in the model.
    """
    rows = []
    for term in terms:
        if term not in fit.design.names:
            raise FitError(f"no term '{term}' in '{fit.name}'; there are {', '.join(fit.design.names)}")
        held = _Held(fit, fit.design.names.index(term))
        rows.append({"term": term, "ci_low": held.end(-1), "ci_high": held.end(1)})
    return pd.DataFrame(rows, columns=["term", "ci_low", "ci_high"])


class _Held:
    """A model in which one coefficient is held at a value and all other parameters are fitted."""

    def __init__(self, fit: Fitted, at: int) -> None:
        self.fit, self.at = fit, at
        self.others = [j for j in range(len(fit.design.names)) if j != at]
        design = fit.design
        names = tuple(np.array(design.names)[self.others].tolist())
        scaled = scaled_design(replace(design, X=design.X[:, self.others], names=names))
        self.r = scaled.r
        counts, trials = counts_of(fit.model, fit.family)
        self.laplace = Laplace(family_of(fit.family), counts, trials, scaled.X, design.blocks, scaled.blocks)
        vcov = fit.uncertainty.vcov
        self.estimate, self.se = float(fit.estimate.beta[at]), float(np.sqrt(vcov[at, at]))
        self.along = vcov[self.others, at] / vcov[at, at]
        self.scale: np.ndarray | None = None

    def end(self, side: int) -> float:
        """Return the value below (-1) or above (1) the estimate at which the root reaches the normal quantile."""
        below, root_below, above, root_above = 0.0, 0.0, np.inf, np.inf
        here = _NORMAL_95
        for _ in range(_STEPS):
            root = self._root(side * here)
            if abs(root - _NORMAL_95) < _CLOSE:
                return self.estimate + side * here * self.se
            if root > _NORMAL_95:
                above, root_above = here, root
            elif root <= root_below:  # the likelihood does not fall any further: separated counts
                return side * np.inf
            else:
                before, root_before, below, root_below = below, root_below, here, root
            if np.isfinite(root_above):
                here = below + (above - below) * (_NORMAL_95 - root_below) / (root_above - root_below)
                if root_above > _FAR:  # no straight line
                    here = (below + above) / 2
            elif np.isfinite(above):
                here = (below + above) / 2
            else:
                here += min((_NORMAL_95 - root) * (here - before) / (root - root_before), 2 * here)
        return self.estimate + side * here * self.se if np.isfinite(above) else side * np.inf

    def _root(self, distance: float) -> float:
        """Return the root of the deviance's rise, so many standard errors from the estimate."""
        change = distance * self.se
        beta = self.fit.estimate.beta[self.others] + self.along * change
        start = np.concatenate([self.fit.estimate.theta, self.r @ beta])
        self.laplace.offset = (self.estimate + change) * self.fit.design.X[:, self.at]
        if self.scale is None:
            self.scale = scale_of(self.laplace, start[len(self.fit.estimate.theta) :])
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                found = descend(self.laplace, start, self.scale)
        except FitError:  # so far out that no likelihood can be computed
            return np.inf
        return float(np.sqrt(max(2 * (found.fun + self.fit.loglik), 0.0)))
