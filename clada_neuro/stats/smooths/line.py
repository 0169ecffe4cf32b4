"""Test of a smooth against the straight line: is the variance of its functions zero?

A variance of zero lies on the boundary, where twice the gain in restricted log-likelihood has no chi-square distribution.
Its distribution without a curve is simulated from the eigenvalues of the design (Crainiceanu & Ruppert 2004), with the other
variances as the model of straight lines has them (Greven et al. 2008).
"""

from dataclasses import replace
from itertools import product

import numpy as np
from scipy import linalg

from clada_neuro.stats.engines.base import Estimate, engine_of, rescale
from clada_neuro.stats.engines.smooth import information
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.smooths.columns import Smooth

_DRAWS, _SEED = 10_000, 0
# Sizes at which the likelihood of a draw is compared: from no effective degree of freedom to all.
_SIZES, _SIZES_OF_TWO = 60, 15


def without(fit: Fitted, smooth: Smooth) -> Estimate:
    """Return the estimate of a fit's model by REML with a smooth's lines only."""
    design = fit.design
    others = tuple(other for other in design.smooths if other is not smooth)
    engine = fit.solver if design.blocks or others else engine_of("statsmodels")
    return engine.estimate(replace(design, smooths=others), True)


def against_line(fit: Fitted, smooth: Smooth, line: Estimate) -> tuple[float, float]:
    """Return twice the gain in restricted log-likelihood over the model with a line, and p.

    ``fit`` is by REML, ``line`` what `without` returns.
    """
    statistic = float(max(0.0, 2 * (fit.loglik - line.loglik)))
    design, scaled = fit.design, rescale(fit.design)
    others = tuple(other for other in design.smooths if other is not smooth)
    theta = line.theta if design.blocks or others else np.empty(0)
    found = information(replace(design, smooths=others), scaled, smooth.functions, theta)
    p = design.X.shape[1]
    # What is left of the functions beside the fixed effects.
    apart = found[p:, p:] - found[p:, :p] @ linalg.solve(found[:p, :p], found[:p, p:], assume_a="pos")
    drawn = _drawn(apart, smooth.penalties, len(design.y) - p)
    return statistic, float((1 + (drawn >= statistic).sum()) / (1 + len(drawn)))


def _drawn(apart: np.ndarray, penalties: np.ndarray, df: int) -> np.ndarray:
    """Return the statistic in draws without a curve.

    With w ~ N(0, G) for the functions and D the variances of their coefficients it is the largest value over D, or 0, of
    df log(q / (q - w'(G + D⁻¹)⁻¹w)) - log|I + G D|, where q = w'G⁻¹w + chi² of the other degrees of freedom.
    """
    rng, m = np.random.default_rng(_SEED), len(apart)
    values, vectors = np.linalg.eigh(apart)
    root = vectors * np.sqrt(np.maximum(values, 0))
    z = rng.standard_normal((_DRAWS, m))
    total = (z**2).sum(axis=1) + rng.chisquare(df - m, _DRAWS)
    best = np.zeros(_DRAWS)
    for size in _sizes(float(values[-1]), float(np.median(values)), len(penalties)):
        precision = (penalties / size[:, None] ** 2).sum(axis=0)
        inner = root.T @ np.linalg.inv(apart + np.diag(precision)) @ root
        explained = np.einsum("ij,jk,ik->i", z, inner, z, optimize=True)
        penalty = np.linalg.slogdet(apart + np.diag(precision))[1] - np.log(precision).sum()
        best = np.maximum(best, df * (np.log(total) - np.log(total - explained)) - penalty)
    return best


def _sizes(largest: float, middle: float, n_penalties: int) -> list[np.ndarray]:
    low, high = 0.05 / np.sqrt(largest), 100 / np.sqrt(max(middle, 1e-12 * largest))
    points = np.geomspace(low, high, _SIZES if n_penalties == 1 else _SIZES_OF_TWO)
    return [np.array(size) for size in product(points, repeat=n_penalties)]
