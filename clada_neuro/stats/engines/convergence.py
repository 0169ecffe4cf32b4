"""Whether an optimum is one, by the gradient and the Hessian of the deviance there, with lme4's tolerances.

Singular fits are not asked: their optimum lies on a boundary, where neither need vanish.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

GRADIENT = 0.002
FLAT = 1e-6  # of the largest curvature
# Correlation of two variances' estimates, from which on the data hardly say which of the two is large.
TRADED = 0.95


def judge(gradient: np.ndarray, hessian: np.ndarray, owners: Sequence[str]) -> tuple[bool, tuple[str, ...]]:
    """Return whether a fit is at an optimum, and what is wrong with it in lines.

    Parameters
    ----------
    gradient, hessian : array (k,), (k, k)
        Of the deviance by the parameters of the random part.
    owners
        The random term that each parameter belongs to.
    """
    values, vectors = np.linalg.eigh(hessian)
    if values[0] < -FLAT * abs(values[-1]):
        n = int((values < -FLAT * abs(values[-1])).sum())
        noun = "eigenvalue" if n == 1 else "eigenvalues"
        return False, (
            f"not converged: the Hessian of the deviance has {n} negative {noun}; simplify the random part",
        )
    if values[0] < FLAT * values[-1]:
        flat = np.abs(vectors[:, 0]) > 0.1
        terms = " and ".join(dict.fromkeys(np.array(owners)[flat]))
        return True, (
            f"nearly unidentifiable: the deviance is flat in the variances of {terms}; leave one term out",
        )
    scaled = np.linalg.solve(np.linalg.cholesky(hessian), gradient)
    largest = float(np.minimum(np.abs(scaled), np.abs(gradient)).max())
    if largest > GRADIENT:
        return False, (
            f"not converged: the gradient of the deviance is {largest:.2g} at the end, {GRADIENT} allowed; "
            "simplify the random part",
        )
    return True, _traded(np.linalg.inv(hessian), owners)


def _traded(covariance: np.ndarray, owners: Sequence[str]) -> tuple[str, ...]:
    size = np.sqrt(np.diag(covariance))
    return tuple(
        f"{owners[i]} and {owners[j]} are hardly told apart by these data: the estimates of their variances correlate at "
        f"{covariance[i, j] / size[i] / size[j]:.2f}; leave one out"
        for i, j in combinations(range(len(owners)), 2)
        if owners[i] != owners[j] and covariance[i, j] < -TRADED * size[i] * size[j]
    )
