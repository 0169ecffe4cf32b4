"""Descend from near the optimum, with the curvature that another response of the same design has there.

A resampled response moves the optimum by about its standard error, over which the curvature hardly changes: BFGS steps from
it need a third of the evaluations of a descent that must learn it first. Any trouble is left to the careful descent.
"""

import numpy as np
from mixedlm.estimation.reml import LMMOptimizer, OptimizationResult

from clada_neuro.stats.engines.satterthwaite import derivatives

MOST_STEPS = 20
GAIN = 1e-7  # of the deviance, which the next step promises: less ends the descent
ENOUGH = 0.1  # of the promised gain; a step that gives less is halved
HALVINGS = 4
FLAT = 1e-6  # of the largest curvature


def curvature(optimizer: LMMOptimizer, theta: np.ndarray) -> np.ndarray | None:
    """Return the inverse Hessian of the deviance at its optimum, nothing where a direction is flat."""
    values, vectors = np.linalg.eigh(derivatives(optimizer, theta)[1])
    if not np.isfinite(values).all() or values[0] <= FLAT * values[-1]:
        return None
    return (vectors / values) @ vectors.T


def descend_near(
    optimizer: LMMOptimizer, start: np.ndarray, inverse: np.ndarray
) -> OptimizationResult | None:
    """Take BFGS steps from ``start`` and the inverse Hessian ``inverse``; nothing where they do not settle.

    Variances have no bound here: columns of a factor that end with another sign give the same covariances.
    """
    assert optimizer._rust_cache is not None
    response, reml = optimizer._rust_cache.response, optimizer.REML
    theta = start
    value, slope = response.deviance_with_gradient(theta, reml)
    for count in range(MOST_STEPS):
        step = -inverse @ slope
        promised = -float(slope @ step) / 2
        if promised < GAIN:
            return _result(optimizer, theta, value, count)
        for _ in range(HALVINGS):
            after, there = response.deviance_with_gradient(theta + step, reml)
            if value - after >= ENOUGH * -float(slope @ step) / 2:
                break
            step = step / 2
        else:
            return None
        inverse = _updated(inverse, step, there - slope)
        theta, value, slope = theta + step, after, there
    return None


def _updated(inverse: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return the inverse Hessian after a step that changed the gradient, by BFGS's rule."""
    curve = float(step @ change)
    if curve <= 0:
        return inverse
    keep = np.eye(len(step)) - np.outer(step, change) / curve
    return keep @ inverse @ keep.T + np.outer(step, step) / curve


def _result(
    optimizer: LMMOptimizer, theta: np.ndarray, deviance: float, steps: int
) -> OptimizationResult | None:
    core = optimizer._evaluate_core(theta)
    if core is None:
        return None
    return OptimizationResult(theta, core.beta, core.sigma, core.u, deviance, True, steps)
