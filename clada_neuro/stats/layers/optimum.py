"""The lowest point of a smooth function of a few variances, from near it: Newton's steps on differences, BFGS where they fail.

A Hessian costs twice a gradient, and more with each variance, so that it is kept as long as its steps serve.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize

STEP = 3e-4  # of differences, in relative standard deviations
OFF_ZERO = 0.05  # where the gradient of a standard deviation does not vanish
GAIN = 1e-4  # of the deviance, which a step promises: it is then the last, and leaves a hundredth of that or less
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
    f: Callable[[np.ndarray], float], start: np.ndarray, hessian: np.ndarray | None = None
) -> Optimum:
    """Descend from a start near the lowest point; `hessian` is that of a like function there.

    A Hessian serves as long as steps with it promise a tenth of what the one before did.

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
            slope = gradient(f, at)
        step = step_from(slope, hessian)
        promised = np.inf if step is None else -float(slope @ step) / 2
        if step is not None and promised < GAIN:
            return Optimum(at + step, f(at + step), True, hessian)
        below = np.inf if step is None else f(at + step)
        if step is not None and below < value and (fresh or promised < last / 10):
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


def _careful(f: Callable[[np.ndarray], float], start: np.ndarray) -> Optimum:
    lifted = np.where(np.abs(start) < OFF_ZERO, OFF_ZERO, start)
    found = optimize.minimize(
        f, lifted, jac=lambda theta: gradient(f, theta), method="BFGS", options={"gtol": 1e-3}
    )
    promised = float(found.jac @ found.hess_inv @ found.jac) / 2
    return Optimum(found.x, float(found.fun), promised < GAIN, np.linalg.inv(found.hess_inv))
