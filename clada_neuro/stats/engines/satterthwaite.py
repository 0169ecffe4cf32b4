"""What Satterthwaite's degrees of freedom need of a mixedlm fit: how the coefficients' covariance follows the variances.

mixedlm's own function covers its own coefficients only, ours are combinations of its orthonormal ones; and it takes
second differences of the deviance, where first differences of the exact gradient need a tenth of the evaluations.
Differences are one-sided, away from zero, so that one evaluation at the optimum serves all parameters.
"""

import numpy as np
from mixedlm.estimation.reml import LMMOptimizer

from clada_neuro.errors import FitError
from clada_neuro.stats.uncertainty.satterthwaite import Satterthwaite

_STEP_VARIANCE = 1e-6
_STEP_GRADIENT = 1e-5
_FLAT = 1e-8


def satterthwaite(
    optimizer: LMMOptimizer, theta: np.ndarray, transform: np.ndarray, curvature: np.ndarray | None = None
) -> Satterthwaite:
    """Return the approximation for the coefficients that ``transform`` (p, p) makes of mixedlm's.

    Parameters are theta, with sigma at its best value for each, and log sigma around that; ``curvature`` is the Hessian
    where it is known.
    """
    at, k = vcov(optimizer, theta), len(theta)
    slopes = np.empty((k + 1, *at.shape))
    for j, step in enumerate(_STEP_VARIANCE * np.maximum(1, np.abs(theta))):
        slopes[j] = (vcov(optimizer, theta + step * np.eye(k)[j]) - at) / step
    slopes[k] = at
    n, p = optimizer.matrices.X.shape
    residual_df = n - p if optimizer.REML else n
    if curvature is None:
        _, curvature = derivatives(optimizer, theta)
    spread = np.zeros((k + 1, k + 1))
    spread[:k, :k], spread[k, k] = _theta_covariance(curvature), 2 / residual_df
    return Satterthwaite(transform @ at @ transform.T, transform @ slopes @ transform.T, spread, residual_df)


def vcov(optimizer: LMMOptimizer, theta: np.ndarray) -> np.ndarray:
    """Return the covariance matrix of the coefficients at ``theta``, with sigma profiled out."""
    core = optimizer._evaluate_core(theta)
    if core is None:
        raise FitError("the covariance matrix cannot be factored at the optimum; simplify the random part")
    return core.sigma**2 * np.linalg.inv((core.fixed_information + core.fixed_information.T) / 2)


def derivatives(optimizer: LMMOptimizer, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact gradient of the deviance at ``theta``, and the Hessian by first differences of it."""
    _, gradient = optimizer._optimization_functions("L-BFGS-B", True)
    assert gradient is not None
    at, rows = gradient(theta), np.empty((len(theta), len(theta)))
    for k, step in enumerate(_STEP_GRADIENT * np.maximum(1, np.abs(theta))):
        rows[k] = (gradient(theta + step * np.eye(len(theta))[k]) - at) / step
    return at, (rows + rows.T) / 2


def _theta_covariance(hessian: np.ndarray) -> np.ndarray:
    """Return twice the inverse Hessian of the deviance over its curved directions; a flat one adds nothing."""
    values, vectors = np.linalg.eigh(hessian)
    curved = values > _FLAT * max(float(np.abs(values).max()), 1.0)
    scaled = vectors[:, curved] * np.sqrt(2 / values[curved])
    return scaled @ scaled.T
