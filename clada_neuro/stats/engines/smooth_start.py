"""Where the smoothness of smooths can start: the best over a grid, with the random effects' variances held.

The restricted likelihood of smoothness alone needs one small matrix, whatever the number of rows:

    -2 l = df log(q - g'(G + D⁻¹)⁻¹g) + log|G + D⁻¹| - log|D⁻¹|

with D the variances of the functions' coefficients, and G, g, q what is left of F'V⁻¹F, F'V⁻¹y, y'V⁻¹y beside the fixed effects.
"""

from collections.abc import Sequence

import numpy as np
from scipy import linalg

from clada_neuro.stats.smooths.columns import Smooth

_POINTS, _PASSES = 30, 2
# In effective degrees of freedom a function of mean square 1 has about n size² / (1 + n size²) of one.
_LEAST_NEAR_LINE, _LARGEST = 0.1, 10.0


def smoothness(information: np.ndarray, p: int, smooths: Sequence[Smooth], n: int) -> np.ndarray:
    """Return the sizes of all penalties.

    Parameters
    ----------
    information : array (p + m + 1, p + m + 1)
        [X F y]' V⁻¹ [X F y] with the functions F of all smooths.
    """
    fixed, beside = information[:p, :p], information[p:, :p]
    left = information[p:, p:] - beside @ linalg.solve(fixed, beside.T, assume_a="pos")
    G, g, q = left[:-1, :-1], left[:-1, -1], float(left[-1, -1])
    owners = [at for at, smooth in enumerate(smooths) for _ in smooth.penalties]
    grid = np.geomspace(_LEAST_NEAR_LINE / np.sqrt(n), _LARGEST, _POINTS)
    sizes = np.full(len(owners), grid[0])

    def deviance(at: np.ndarray) -> float:
        parts = [np.array(owners) == one for one in range(len(smooths))]
        precision = np.concatenate(
            [
                (smooth.penalties.T / at[own] ** 2).sum(axis=1)
                for smooth, own in zip(smooths, parts, strict=True)
            ]
        )
        root = np.linalg.cholesky(G + np.diag(precision))
        explained = float(np.sum(linalg.solve_triangular(root, g, lower=True) ** 2))
        fit = (n - p) * np.log(max(q - explained, 1e-12 * q))
        return fit + 2 * float(np.log(np.diag(root)).sum()) - float(np.log(precision).sum())

    for _ in range(_PASSES if len(sizes) > 1 else 1):
        for at in range(len(sizes)):
            tried = np.tile(sizes, (len(grid), 1))
            tried[:, at] = grid
            sizes = tried[int(np.argmin([deviance(one) for one in tried]))]
    return sizes
