"""Test of a whole smooth against zero (Wood 2013), as mgcv's summary has it.

The statistic f' V⁻ f takes a pseudoinverse of rank edf1, whose last, fractional part makes it a weighted sum of chi squares.
"""

import numpy as np
from scipy import integrate, stats

# Below this the integral's own error counts, and the F distribution of the same rank is used.
_SMALLEST = 1e-7


def against_zero(
    coefs: np.ndarray, columns: np.ndarray, vcov: np.ndarray, rank: float, residual_df: float
) -> tuple[float, float, float]:
    """Return F, its rank and p.

    Parameters
    ----------
    coefs, vcov
        Coefficients (m,) of a smooth and their Bayesian covariance.
    columns : array (n, m)
        Its columns at the rows of the fit, times the roots of the weights.
    rank
        Its ``edf1``, m at most.
    """
    r = np.asarray(np.linalg.qr(columns, mode="r"))
    values, vectors = np.linalg.eigh(r @ vcov @ r.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    along = vectors.T @ (r @ coefs)
    whole, part = int(rank), rank - int(rank)
    if part < 1e-8 or whole == 0:
        whole = max(whole, 1)
        statistic = float(np.sum(along[:whole] ** 2 / values[:whole]))
        return statistic / whole, float(whole), float(stats.f.sf(statistic / whole, whole, residual_df))
    first = float(np.sum(along[: whole - 1] ** 2 / values[: whole - 1]))
    last = along[whole - 1 : whole + 1] / np.sqrt(values[whole - 1 : whole + 1])
    between = np.sqrt(part * (1 - part) / 2)
    # The sign of an eigenvector is arbitrary: both signs of the mixed term are taken.
    both = [
        first + last[0] ** 2 + part * last[1] ** 2 + sign * 2 * between * last[0] * last[1]
        for sign in (1, -1)
    ]
    spread = np.sqrt((part + 1) * (1 - part))
    weights = np.r_[np.ones(whole - 1), (part + 1 + spread) / 2, (part + 1 - spread) / 2]
    p = float(np.mean([_upper(statistic, weights, residual_df) for statistic in both]))
    if p < _SMALLEST:
        p = float(np.mean(stats.f.sf(np.array(both) / rank, rank, residual_df)))
    return float(np.mean(both)) / rank, rank, min(p, 1.0)


def _upper(statistic: float, weights: np.ndarray, residual_df: float) -> float:
    """Return P(sum of weights times chi² of 1 df > statistic times chi² of residual df over that) by Imhof's integral."""
    df = np.r_[np.ones(len(weights)), max(1.0, residual_df)]
    each = np.r_[weights, -statistic / df[-1]]

    def integrand(u: float) -> float:
        angle = 0.5 * np.sum(df * np.arctan(each * u))
        return float(np.sin(angle) / u * np.exp(-0.25 * np.sum(df * np.log1p((each * u) ** 2))))

    found, _ = integrate.quad(integrand, 0, np.inf, limit=500, epsabs=1e-10)
    return 0.5 + found / np.pi
