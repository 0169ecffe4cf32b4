"""Separation: predictors that tell some counts without error, so that no finite coefficient is the most likely one.

Konis (2007): the data are separated when a direction b has x b >= 0 for every count at its largest, x b <= 0 at its
smallest, x b = 0 in between, and not zero throughout. A linear program finds b.
"""

import numpy as np
from scipy.optimize import linprog

_LEAST = 1e-6


def separating(X: np.ndarray, counts: np.ndarray, trials: np.ndarray) -> np.ndarray | None:
    """Return the direction (p,) in which the likelihood grows without end, None where there is none.

    Parameters
    ----------
    X
        (n, p), columns of mean square near one.
    counts, trials
        (n,); trials are infinite where a count has no upper end.
    """
    sign = np.where(counts == 0, -1.0, np.where(counts == trials, 1.0, 0.0))
    rows = np.unique(np.column_stack([sign, X]), axis=0)
    ends, between = rows[rows[:, 0] != 0], rows[rows[:, 0] == 0, 1:]
    outward = ends[:, :1] * ends[:, 1:]
    if not len(outward):
        return None
    found = linprog(
        -outward.sum(axis=0),
        A_ub=-outward,
        b_ub=np.zeros(len(outward)),
        A_eq=between if len(between) else None,
        b_eq=np.zeros(len(between)) if len(between) else None,
        bounds=(-1, 1),
    )
    return found.x if found.success and -found.fun > _LEAST else None
