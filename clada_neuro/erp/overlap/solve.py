"""The normal equations of a time-expanded design: solved by Cholesky, or refused with the columns that are one another's sums.

Columns are scaled to unit length first (van der Sluis 1969), so neither units nor the number of events matter.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, lapack, solve_triangular
from scipy.sparse.linalg import LinearOperator, eigsh

from clada_neuro.erp.overlap.columns import Columns
from clada_neuro.errors import FitError

Array = NDArray[np.float64]
# Below this ratio of X'X's eigenvalues, what the smallest direction holds is rounding: condition number 3e6.
_RANK_TOLERANCE = 1e-13
# What earlier columns leave of one at unit length, squared, where it is their sum.
_NOTHING_LEFT = 1e-10
# Share of a column that another must explain to be named beside it.
_NAMED = 1e-3


@dataclass(frozen=True, eq=False)
class Factor:
    """The Cholesky factor of scaled normal equations, with what it says of the design.

    Attributes
    ----------
    lower
        Of D(X'X)D + penalty·1, D the diagonal matrix of ``scale``.
    scale
        1 / length of each column.
    condition
        Condition number of the columns at unit length, after the penalty.
    """

    lower: Array
    scale: Array
    condition: float

    def solve(self, right: Array) -> Array:
        """Return the solution for right sides (n_columns, n_sides)."""
        return self.scale[:, None] * cho_solve(
            (self.lower, True), self.scale[:, None] * right, check_finite=False
        )

    def inverse_diagonal(self) -> Array:
        """Return the diagonal of the inverse of the normal equations."""
        inverse, _ = lapack.dtrtri(self.lower, lower=1)
        return self.scale**2 * np.einsum("ij,ij->j", inverse, inverse)


def factorized(gram: Array, columns: Columns, penalty: float = 0.0) -> Factor:
    """Factor X'X, with a ridge penalty in units of the scaled columns' squared length.

    The array ``gram`` is scaled in place: with thousands of columns a copy is hundreds of megabytes.

    Raises
    ------
    FitError
        When columns cannot be told apart, naming them, or have no sample.
    """
    diagonal = gram.diagonal()
    empty = diagonal <= 0
    if empty.any():
        raise FitError(
            f"{columns.described(empty)}: no sample is left to estimate it from; shorten the response (tmin, tmax), or "
            "leave fewer spans out"
        )
    scale = 1 / np.sqrt(diagonal)
    scaled = gram
    scaled *= scale[:, None]
    scaled *= scale
    scaled.flat[:: len(scaled) + 1] += penalty
    try:
        lower = cholesky(scaled, lower=True)
    except LinAlgError:
        raise FitError(_dependent(scaled, columns)) from None
    largest = _largest(scaled.dot, len(scaled))
    smallest = 1 / _largest(lambda vector: cho_solve((lower, True), vector, check_finite=False), len(scaled))
    if smallest < _RANK_TOLERANCE * largest:
        raise FitError(_dependent(scaled, columns))
    return Factor(lower, scale, float(np.sqrt(largest / smallest)))


def _largest(apply, size: int) -> float:
    """Return the largest eigenvalue of a positive matrix to about a hundredth."""
    if size < 3:  # below what the iteration takes
        return float(np.linalg.eigvalsh(np.column_stack([apply(unit) for unit in np.eye(size)])).max())
    start = np.random.default_rng(0).standard_normal(size)
    operator = LinearOperator((size, size), matvec=apply, dtype=float)
    return float(eigsh(operator, k=1, which="LA", tol=1e-2, v0=start, return_eigenvectors=False)[0])


def _dependent(scaled: Array, columns: Columns) -> str:
    """Say which columns are sums of which earlier ones, by Cholesky, one response after the other, with pivoting in each."""
    kept, dependent = np.array([], dtype=int), np.array([], dtype=int)
    lower = np.zeros((0, 0))
    weakest, least = 0, np.inf
    for number in range(len(columns.names)):
        own = np.flatnonzero(columns.of == number)
        shared = solve_triangular(lower, scaled[np.ix_(kept, own)], lower=True)
        left = scaled[np.ix_(own, own)] - shared.T @ shared
        if left.diagonal().min() < least:
            weakest, least = own[left.diagonal().argmin()], left.diagonal().min()
        factor, pivots, rank, _ = lapack.dpstrf(left, tol=_NOTHING_LEFT, lower=1)
        if left.diagonal().max() <= _NOTHING_LEFT:  # LAPACK takes the first pivot whatever it is
            rank = 0
        order = pivots - 1
        dependent = np.concatenate([dependent, own[order[rank:]]])
        above = np.zeros((len(kept), rank))
        new = np.tril(factor[:rank, :rank])
        lower = np.block([[lower, above], [shared[:, order[:rank]].T, new]])
        kept = np.concatenate([kept, own[order[:rank]]])
    if not len(dependent):  # each is above rounding, all together are not
        dependent, kept = np.array([weakest]), np.setdiff1d(kept, weakest)
        lower = cholesky(scaled[np.ix_(kept, kept)], lower=True)
    shares = cho_solve((lower, True), scaled[np.ix_(kept, dependent)])
    partners = kept[(np.abs(shares) > _NAMED).any(axis=1)]
    return (
        f"the expanded design has rank {len(kept)} of {len(scaled)}: {columns.described(dependent)} cannot be told apart "
        f"from {columns.described(partners)}; where events follow each other at a fixed interval, a lag of a predictor is the "
        "predictor at a later moment: leave one out, shorten a response (tmin, tmax), or shrink them with ridge"
    )
