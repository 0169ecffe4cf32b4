"""Kenward and Roger's (1997) covariance of the coefficients and degrees of freedom, as pbkrtest has them.

The covariance of the responses is linear in its parameters, V = Σ γ_i G_i + σ² W⁻¹. The method does not depend on which
linear parameters are chosen, so V itself stands here in place of the residual's direction: every trace then follows from
C = Z'V⁻¹Z and B = Z'V⁻¹X, arrays of the size of the random effects, and no array of rows by rows is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from scipy import linalg, sparse

from clada_neuro.errors import FitError
from clada_neuro.stats.design import Block, Design
from clada_neuro.stats.engines.base import rescale

MOST_EFFECTS = 8000  # three matrices of half a gigabyte

# A direction of the random part: the pairs of terms (positions of their columns in Z) that G = Σ Z_r Z_s' sums over.
Direction = Sequence[tuple[slice, slice]]


@dataclass(frozen=True, eq=False)
class KenwardRoger:
    """``vcov`` adjusted for the estimated variances, and what degrees of freedom are made of.

    ``plain`` (p, p) is the covariance at known variances, ``slopes`` (k, p, p) its derivatives by the k parameters of
    the covariance, ``spread`` (k, k) the covariance of their estimates.
    """

    vcov: np.ndarray
    plain: np.ndarray
    slopes: np.ndarray
    spread: np.ndarray

    def df(self, contrasts: np.ndarray) -> np.ndarray:
        """Return one value for each row of ``contrasts`` (m, p)."""
        return np.array([self.joint(row[None])[1] for row in contrasts])

    def joint(self, contrasts: np.ndarray) -> tuple[float, float]:
        """Return the scale of an F statistic and df2, by matching two moments of F."""
        q = len(contrasts)
        inverse = np.linalg.inv(contrasts @ self.plain @ contrasts.T)
        within = np.einsum("ij,njk,lk->nil", contrasts, self.slopes, contrasts)
        ratios = inverse @ within
        traces = np.trace(ratios, axis1=1, axis2=2)
        a1 = traces @ self.spread @ traces
        a2 = np.einsum("nm,nij,mji->", self.spread, ratios, ratios)
        return _scale_and_df(float(a1), float(a2), q)


def _scale_and_df(a1: float, a2: float, q: int) -> tuple[float, float]:
    b = (a1 + 6 * a2) / (2 * q)
    g = ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
    below = 3 * q + 2 * (1 - g)
    c1, c2, c3 = g / below, (q - g) / below, (q + 2 - g) / below
    top, middle, last = 1 + c1 * b, 1 - c2 * b, 1 - c3 * b
    top = 0.0 if abs(top) < 1e-10 else top
    shrink = 1.0 if abs(1 - a2 / q) < 1e-14 and abs(middle) < 1e-14 else (1 - a2 / q) / middle
    rho = shrink**2 * top / last / q
    df2 = 4 + (q + 2) / (q * rho - 1)
    return (1.0 if abs(df2 - 2) < 1e-2 else df2 * (1 - a2 / q) / (df2 - 2)), df2


def kenward_roger(design: Design, covariances: Sequence[np.ndarray], sigma: float) -> KenwardRoger:
    """Return the approximation at REML estimates of the variances.

    Parameters
    ----------
    covariances
        One (k, k) array a block of the design, in the data's units, as is ``sigma``.
    """
    scaled = rescale(design)  # contrasts of raw columns would cancel
    s, X = sigma / scaled.scale, scaled.X
    blocks = list(zip(design.blocks, scaled.blocks, strict=True))
    factor = random_root(
        [len(block.levels) for block in design.blocks],
        [r @ covariance @ r.T / sigma**2 for r, covariance in zip(scaled.block_rs, covariances, strict=True)],
    )
    Z, columns = random_columns(blocks)
    if design.weights is not None:
        root = np.sqrt(design.weights)[:, None]
        Z, X = sparse.csr_array(Z.multiply(root)), root * X
    if Z.shape[1] > MOST_EFFECTS:
        raise FitError(
            f"Kenward and Roger's method takes {Z.shape[1]:,} x {Z.shape[1]:,} numbers for these random effects, {MOST_EFFECTS:,} "
            "each way at most; with so many, df 'satterthwaite' differs little"
        )
    ZX = Z.T @ X
    q, left, right = len(ZX), (Z.T @ Z) @ factor, factor.T @ ZX
    core = linalg.cho_factor(np.eye(q) + (factor.T @ left).toarray())
    solved = linalg.cho_solve(core, np.hstack([left.T.toarray(), right]))
    C = ((Z.T @ Z).toarray() - left @ solved[:, :q]) / s**2
    B = (ZX - left @ solved[:, q:]) / s**2
    information = (X.T @ X - right.T @ solved[:, q:]) / s**2
    return _assemble(C, B, information, columns, len(X), scaled.scale * scaled.inverse_r())


def _assemble(
    C: np.ndarray,
    B: np.ndarray,
    information: np.ndarray,
    columns: list[list[slice]],
    n: int,
    transform: np.ndarray,
) -> KenwardRoger:
    plain = np.linalg.inv((information + information.T) / 2)
    directions = [d for block in columns for d in _directions(block)]
    k = len(directions) + 1  # V is the last
    M = np.array([*(_between(B, B, d) for d in directions), information])
    trace, Q = np.empty((k, k)), np.empty((k, k, *plain.shape))
    trace[-1, -1], Q[-1, -1] = n, information
    for i, one in enumerate(directions):
        Q[i, -1] = Q[-1, i] = M[i]
        trace[i, -1] = trace[-1, i] = sum(np.einsum("jj->", C[r, s]) for r, s in one)
        for j, other in enumerate(directions[: i + 1]):
            trace[i, j] = trace[j, i] = sum(np.sum(C[u, r] * C[s, t].T) for r, s in one for t, u in other)
            Q[i, j] = sum(B[r].T @ C[s, t] @ B[u] for r, s in one for t, u in other)
            Q[j, i] = Q[i, j].T
    PM = plain @ M
    expected = trace - 2 * np.einsum("ij,nmji->nm", plain, Q) + np.einsum("nij,mji->nm", PM, PM)
    size = np.sqrt(np.maximum(np.diag(expected), np.finfo(float).tiny))
    spread = (
        2
        * np.linalg.pinv(expected / np.outer(size, size), rcond=1e-10, hermitian=True)
        / np.outer(size, size)
    )
    excess = np.einsum("nm,nmij->ij", spread, Q) - np.einsum("nm,nij,jk,mkl->il", spread, M, plain, M)
    adjusted = plain + 2 * plain @ excess @ plain
    slopes = plain @ M @ plain
    return KenwardRoger(
        transform @ adjusted @ transform.T,
        transform @ plain @ transform.T,
        transform @ slopes @ transform.T,
        spread,
    )


def random_columns(blocks: Sequence[tuple[Block, np.ndarray]]) -> tuple[sparse.csr_array, list[list[slice]]]:
    """Return Z with one column a level and term, levels together within a term, and where each term's columns are."""
    parts, columns, at = [], [], 0
    for block, values in blocks:
        m, rows = len(block.levels), np.arange(len(values))
        parts += [
            sparse.csr_array((column, (rows, block.codes)), shape=(len(values), m)) for column in values.T
        ]
        columns.append([slice(at + r * m, at + (r + 1) * m) for r in range(values.shape[1])])
        at += values.shape[1] * m
    return sparse.csr_array(sparse.hstack(parts)), columns


def random_root(levels: Sequence[int], ratios: Sequence[np.ndarray]) -> sparse.csr_array:
    """Return F with F F' = the covariance of all random effects over sigma², in the order of Z's columns."""
    parts = []
    for m, ratio in zip(levels, ratios, strict=True):
        values, vectors = np.linalg.eigh(ratio)
        root = vectors * np.sqrt(np.maximum(values, 0))
        parts.append(sparse.kron(root, sparse.eye_array(m)))
    return sparse.csr_array(sparse.block_diag(parts))


def _directions(terms: Sequence[slice]) -> list[Direction]:
    return [
        [(terms[r], terms[s])] if r == s else [(terms[r], terms[s]), (terms[s], terms[r])]
        for r, s in combinations_with_replacement(range(len(terms)), 2)
    ]


def _between(left: np.ndarray, right: np.ndarray, direction: Direction) -> np.ndarray:
    return np.asarray(sum(left[r].T @ right[s] for r, s in direction))
