"""Adjustment of a family of t tests: p values, and the critical values of simultaneous intervals.

Holm has no intervals of its own; Bonferroni's stand with it, as in emmeans.
"""

from functools import cache

import numpy as np
from scipy import optimize, special, stats

from clada_neuro.errors import FitError, did_you_mean

ADJUSTMENTS = ("holm", "tukey", "sidak", "mvt", "none")
_NODES = 128
_DRAWS = 13  # log2 of the points of the integral over a multivariate t; error near 1e-4
_TOLERANCE = 1e-6  # of critical values


def check_adjustment(name: str, pairwise: bool) -> None:
    """Raise `FitError` for an adjustment that is not known, or Tukey's for what is not all pairs of a set of means."""
    if name not in ADJUSTMENTS:
        raise FitError(
            f"adjust '{name}' given{did_you_mean(name, list(ADJUSTMENTS))}; there are {', '.join(ADJUSTMENTS)}"
        )
    if name == "tukey" and not pairwise:
        raise FitError("adjust 'tukey' is for all pairs of a set of means; use 'mvt', 'sidak' or 'holm'")


def adjusted(
    t: np.ndarray, df: np.ndarray, correlation: np.ndarray, method: str, n_means: int, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return p values and critical values of one family.

    Parameters
    ----------
    t, df : array (m,)
    correlation : array (m, m)
        Of the estimates.
    n_means : int
        How many means were compared, for Tukey's studentized range.
    """
    m, p = len(t), 2 * stats.t.sf(np.abs(t), df)
    if m == 1 or method == "none":
        return p, stats.t.ppf((1 + confidence) / 2, df)
    if method == "holm":
        return _holm(p), stats.t.ppf(1 - (1 - confidence) / (2 * m), df)
    if method == "sidak":
        return -np.expm1(m * np.log1p(-p)), stats.t.ppf((1 + confidence ** (1 / m)) / 2, df)
    if method == "tukey":
        return _tukey(t, df, n_means, confidence)
    return _multivariate(t, df, correlation, confidence)


def _holm(p: np.ndarray) -> np.ndarray:
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.asarray(np.minimum(stepped, 1)[np.argsort(order)])


def _tukey(t: np.ndarray, df: np.ndarray, n_means: int, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    root = np.sqrt(2)
    p = [range_tail(root * abs(value), n_means, degrees) for value, degrees in zip(t, df, strict=True)]
    once = {
        degrees: optimize.brentq(
            lambda q, v=degrees: range_tail(q, n_means, v) - (1 - confidence), 0.1, 1e3, xtol=_TOLERANCE
        )
        / root
        for degrees in np.unique(df)
    }
    return np.array(p), np.array([once[degrees] for degrees in df])


def range_tail(q: float, n_means: int, df: float) -> float:
    """Return the probability that a studentized range exceeds ``q``, by Gauss's quadrature over range and SD.

    scipy's takes seconds to minutes at some degrees of freedom.
    """
    nodes, steps = _gauss()
    z, weight = 8 * nodes, 8 * steps
    if np.isinf(df):
        s, density = np.ones(1), np.ones(1)
    else:
        low, high = np.sqrt(stats.chi2.ppf([1e-14, 1 - 1e-14], df) / df)
        s = low + (high - low) * (nodes + 1) / 2
        density = stats.chi2.pdf(df * s**2, df) * 2 * df * s * (high - low) / 2 * steps
    inside = special.ndtr(z) - special.ndtr(z - q * s[:, None])
    within = n_means * (inside ** (n_means - 1)) @ (weight * stats.norm.pdf(z))
    return float(np.clip(1 - density @ within / density.sum(), 0, 1))


@cache
def _gauss() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(_NODES)


def _multivariate(
    t: np.ndarray, df: np.ndarray, correlation: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return tails of the largest absolute value of a multivariate t, integrated over fixed quasi-random points."""
    values, vectors = np.linalg.eigh(correlation)
    kept = values > 1e-10 * values.max()
    points = stats.qmc.Sobol(int(kept.sum()), scramble=True, seed=0).random_base2(_DRAWS)
    largest = np.abs(stats.norm.ppf(points) @ (vectors[:, kept] * np.sqrt(values[kept])).T).max(axis=1)

    def tail(threshold: float, degrees: float) -> float:
        # Given the largest normal value, the chi variable is integrated out exactly.
        if np.isinf(degrees):
            return float(np.mean(largest > threshold))
        return float(np.mean(stats.chi2.cdf(degrees * (largest / threshold) ** 2, degrees)))

    p = [tail(max(abs(value), 1e-8), degrees) for value, degrees in zip(t, df, strict=True)]
    critical = [
        optimize.brentq(lambda c, v=v: tail(c, v) - (1 - confidence), 0.1, 100, xtol=_TOLERANCE) for v in df
    ]
    return np.array(p), np.array(critical)
