"""The lowest point of a smooth function of a few variances, from near it: Newton's steps on differences, BFGS where they fail.

A Hessian costs several gradients, and more with each variance, so that it is kept as long as its steps serve; and where one
is known, differences need one side only, for it says by how much they are off.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize

STEP = 3e-4  # of differences, in relative standard deviations
OFF_ZERO = 0.05  # where the gradient of a standard deviation does not vanish
GAIN = 1e-6  # of the deviance, which a step promises: it is then the last
FLAT = 1e-4  # what the last slope of BFGS may promise
SERVES = 4  # by how much a kept Hessian's step must promise less than the one before
SHORT = 0.01  # of one-sided differences, in standard errors
LEAST_CURVED = 22.0  # where these are 0.003
MOST_STEPS = 10


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where a descent ended, what is there, whether a further step would gain nothing, and the Hessian of the last ones."""

    at: np.ndarray
    value: float
    converged: bool
    hessian: np.ndarray


def quadratic(f: Callable[[np.ndarray], np.ndarray], at: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return value (…), gradient (…, m) and Hessian (…, m, m) of a function with one or more values by central differences."""
    m, steps = len(at), STEP * np.eye(len(at))
    here = np.asarray(f(at))
    above, below = (np.stack([f(at + sign * step) for step in steps], axis=-1) for sign in (1, -1))
    hessian = np.empty((*here.shape, m, m))
    sides = above + below
    for i in range(m):
        hessian[..., i, i] = (sides[..., i] - 2 * here) / STEP**2
        for j in range(i):
            both = f(at + steps[i] + steps[j]) + f(at - steps[i] - steps[j])
            mixed = (both - sides[..., i] - sides[..., j] + 2 * here) / (2 * STEP**2)
            hessian[..., i, j] = hessian[..., j, i] = mixed
    return here, (above - below) / (2 * STEP), hessian


def step_from(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray | None:
    """Return Newton's step, None where the function does not curve upwards in every direction."""
    values, vectors = np.linalg.eigh(hessian)
    if not (values > 1e-8 * values[-1]).all():
        return None
    return -(vectors / values) @ (vectors.T @ gradient)


def minimum(
    f: Callable[[np.ndarray], float],
    start: np.ndarray,
    hessian: np.ndarray | None = None,
    gain: float = GAIN,
) -> Optimum:
    """Descend from a start near the lowest point until a step promises less than `gain`; `hessian` is that of a like function.

    A Hessian serves as long as steps with it promise a fourth of what the one before did.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the function cannot be evaluated.
    """
    at, value, last = start, f(start), np.inf
    for _ in range(MOST_STEPS):
        fresh = hessian is None
        if hessian is None:
            _, slope, hessian = quadratic(lambda theta: np.asarray(f(theta)), at)
        else:
            slope = _one_sided(f, at, value, np.diag(hessian))
        step = step_from(slope, hessian)
        promised = np.inf if step is None else -float(slope @ step) / 2
        if step is not None and promised < gain:
            return Optimum(at + step, f(at + step), True, hessian)
        below = np.inf if step is None else f(at + step)
        if step is not None and below < value and (fresh or promised < last / SERVES):
            at, value, last = at + step, below, promised
        elif fresh:
            break
        else:
            hessian = None
    return _careful(f, at)


def gradient(f: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """Return the gradient of a function of one value by central differences."""
    steps = STEP * np.eye(len(at))
    return np.array([(f(at + step) - f(at - step)) / (2 * STEP) for step in steps])


def _one_sided(
    f: Callable[[np.ndarray], float], at: np.ndarray, value: float, curved: np.ndarray
) -> np.ndarray:
    """Return the gradient where value and about the second derivatives are known."""
    steps = SHORT * np.sqrt(2 / np.maximum(curved, LEAST_CURVED))
    ahead = np.array([f(at + step) for step in np.diag(steps)])
    return (ahead - value) / steps - steps * curved / 2


def _careful(f: Callable[[np.ndarray], float], start: np.ndarray) -> Optimum:
    lifted = np.where(np.abs(start) < OFF_ZERO, OFF_ZERO, start)
    found = optimize.minimize(
        f, lifted, jac=lambda theta: gradient(f, theta), method="BFGS", options={"gtol": 1e-3}
    )
    promised = float(found.jac @ found.hess_inv @ found.jac) / 2
    return Optimum(found.x, float(found.fun), promised < FLAT, np.linalg.inv(found.hess_inv))
