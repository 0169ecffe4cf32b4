"""R² of mixed models (Nakagawa & Schielzeth 2013; Johnson 2014 for random slopes).

    r2_marginal    = v_f / (v_f + v_r + v_e)            r2_conditional = (v_f + v_r) / (v_f + v_r + v_e)

v_f = Var(X beta) with n - 1; v_r = sum over blocks of mean_i(z_i' Sigma z_i); v_e = sigma².
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clada_neuro.stats.design import Design


@dataclass(frozen=True)
class VarianceShares:
    """The three variances of a fit, in squared units of the response."""

    fixed: float
    random: float
    residual: float

    @property
    def total(self) -> float:
        """Return their sum."""
        return self.fixed + self.random + self.residual

    @property
    def marginal(self) -> float:
        """Return the share of the fixed effects."""
        return self.fixed / self.total

    @property
    def conditional(self) -> float:
        """Return the share of fixed and random effects."""
        return (self.fixed + self.random) / self.total


@dataclass(frozen=True)
class Moments:
    """What R² needs of a design, computed once: Cov(X) and the mean of z z' of each block."""

    fixed: np.ndarray
    random: tuple[np.ndarray, ...]

    def shares(self, beta: np.ndarray, covariances: Sequence[np.ndarray], sigma: float) -> VarianceShares:
        """Return the variances of a fit with these estimates."""
        random = sum(float(np.sum(c * m)) for c, m in zip(covariances, self.random, strict=True))
        return VarianceShares(float(beta @ self.fixed @ beta), random, sigma**2)


def moments(design: Design) -> Moments:
    """Return the second moments of a design's columns."""
    fixed = np.atleast_2d(np.cov(design.X, rowvar=False))
    return Moments(fixed, tuple(b.values.T @ b.values / len(design.y) for b in design.blocks))
