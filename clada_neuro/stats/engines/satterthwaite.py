"""Satterthwaite degrees of freedom of linear combinations of fixed effects.

    df = 2 (l'Vl)² / Var(l'Vl),   Var by the delta method over the covariance parameters theta and sigma

mixedlm's own function covers its own coefficients only, ours are combinations of its orthonormal ones; and it takes
second differences of the deviance, where first differences of the exact gradient need a tenth of the evaluations.
Differences are one-sided, away from zero, so that one evaluation at the optimum serves all parameters.
"""

import numpy as np
from mixedlm.estimation.reml import LMMOptimizer

from clada_neuro.errors import FitError

_STEP_VARIANCE = 1e-6
_STEP_GRADIENT = 1e-5
_FLAT = 1e-8


def satterthwaite(optimizer: LMMOptimizer, theta: np.ndarray, contrasts: np.ndarray) -> np.ndarray:
    """Return one value for each row of ``contrasts`` (m, p); at least 1, at most the residual's."""
    variance = _contrast_variances(optimizer, theta, contrasts)
    slopes = np.empty((len(contrasts), len(theta)))
    for k, step in enumerate(_STEP_VARIANCE * np.maximum(1, np.abs(theta))):
        above = _contrast_variances(optimizer, theta + step * np.eye(len(theta))[k], contrasts)
        slopes[:, k] = (above - variance) / step
    slopes /= variance[:, None]
    spread = np.einsum("ij,jk,ik->i", slopes, _theta_covariance(optimizer, theta), slopes)
    n, p = optimizer.matrices.X.shape
    residual_df = n - p if optimizer.REML else n
    return np.clip(2 / (np.maximum(spread, 0) + 2 / residual_df), 1, residual_df)


def vcov(optimizer: LMMOptimizer, theta: np.ndarray) -> np.ndarray:
    """Return the covariance matrix of the coefficients at ``theta``, with sigma profiled out."""
    core = optimizer._evaluate_core(theta)
    if core is None:
        raise FitError("the covariance matrix cannot be factored at the optimum; simplify the random part")
    return core.sigma**2 * np.linalg.inv((core.fixed_information + core.fixed_information.T) / 2)


def hessian(optimizer: LMMOptimizer, theta: np.ndarray) -> np.ndarray:
    """Return the second derivatives of the deviance at ``theta``, by first differences of its exact gradient."""
    _, gradient = optimizer._optimization_functions("L-BFGS-B", True)
    assert gradient is not None
    at, rows = gradient(theta), np.empty((len(theta), len(theta)))
    for k, step in enumerate(_STEP_GRADIENT * np.maximum(1, np.abs(theta))):
        rows[k] = (gradient(theta + step * np.eye(len(theta))[k]) - at) / step
    return (rows + rows.T) / 2


def _contrast_variances(optimizer: LMMOptimizer, theta: np.ndarray, contrasts: np.ndarray) -> np.ndarray:
    return np.einsum("ij,jk,ik->i", contrasts, vcov(optimizer, theta), contrasts)


def _theta_covariance(optimizer: LMMOptimizer, theta: np.ndarray) -> np.ndarray:
    """Return twice the inverse Hessian of the deviance over its curved directions; a flat one adds nothing."""
    values, vectors = np.linalg.eigh(hessian(optimizer, theta))
    curved = values > _FLAT * max(float(np.abs(values).max()), 1.0)
    scaled = vectors[:, curved] * np.sqrt(2 / values[curved])
    return scaled @ scaled.T
