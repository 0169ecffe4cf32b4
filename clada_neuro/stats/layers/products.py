"""Cross-products of one design with many columns, of which each model takes one: all that their likelihoods need.

A layer's model is the baseline's design and one further column. Rows enter a likelihood through products of columns alone,
so these are taken once, and a fit, a fold or a response drawn anew costs what the random effects cost, not what the rows do.

Columns are scaled as engines scale them: X = Q R with Q'Q = n I; a further column x = Q a + s_x x~, and y = Q g + s y~, with
x~ and y~ orthogonal to Q and of mean square 1. Prior weights are taken into every row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import linalg, sparse

from clada_neuro.errors import FitError
from clada_neuro.stats.design import Block, Design
from clada_neuro.stats.engines.base import orthonormal
from clada_neuro.stats.layers.first_block import FirstBlock, OfResponse
from clada_neuro.stats.layers.recent import Recent

# What the fixed part leaves of a column, below which it is rounding error.
DEPENDENT = 1e-5


@dataclass(frozen=True, eq=False)
class Candidates:
    """Columns of which each is put into the model alone.

    ``values``, (n_words, J), are those of distinct words, and ``codes``, (n_rows,), say which word a row has.
    """

    values: np.ndarray
    codes: np.ndarray

    def rows(self, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return the columns of rows, (rows, J)."""
        return self.values[self.codes[chosen]]


@dataclass(frozen=True, eq=False)
class Scales:
    """How a fit in scaled units is brought back: R (p, p), a (p, J), s_x (J,), g (p,), s, and half the sum of log weights."""

    r: np.ndarray
    a: np.ndarray
    sx: np.ndarray
    g: np.ndarray
    s: float
    half_log_weights: float


@dataclass(frozen=True, eq=False)
class ScaledResponse:
    """Products of a scaled response with the columns, (p + J,), the random effects, (q,), and itself."""

    u: np.ndarray
    z: np.ndarray
    y: float


@dataclass(frozen=True, eq=False)
class Products:
    """Products over ``n`` rows of U = [Q, x~], (n, p + J), and of the random effects' design Z, (n, q).

    Blocks are in the order of ``sizes``, (levels, terms) each; the first is one whose own product is diagonal, if any is, and of
    that product only the ``diagonal``, (first,), is held. ``across``, (q - first, first), are the products of the other blocks
    with it, and ``others``, (q - first, q - first), those among themselves. ``order`` says which block of the design each is.
    """

    n: int
    p: int
    uu: np.ndarray
    zu: np.ndarray
    diagonal: np.ndarray
    across: np.ndarray
    others: np.ndarray
    sizes: tuple[tuple[int, int], ...]
    order: tuple[int, ...]
    scales: Scales
    response: ScaledResponse

    @property
    def first(self) -> int:
        """The number of random effects of the first block, 0 where none has a diagonal product."""
        return len(self.diagonal)

    @cached_property
    def block(self) -> FirstBlock:
        """The first block."""
        return FirstBlock(self.diagonal, self.across, self.zu[: self.first])

    @cached_property
    def of_response(self) -> OfResponse:
        """The response's part of the first block's sums."""
        return self.block.of(self.response.z[: self.first])

    @cached_property
    def thetas_seen(self) -> Recent:
        """The last factorizations by theta, for `likelihood`: they serve every column and every response."""
        return Recent()

    @cached_property
    def sizes_seen(self) -> Recent:
        """The other blocks' product without the first one, by its relative variance."""
        return Recent()

    def of(self, response: ScaledResponse) -> "Products":
        """Return the same design with another response, which shares what was computed for it."""
        other = replace(self, response=response)
        for name in ("block", "sizes_seen", "thetas_seen"):
            other.__dict__[name] = getattr(self, name)
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {part.name: getattr(self, part.name) for part in fields(self)}  # without what is made anew


def products(design: Design, candidates: Candidates, rows: np.ndarray | None = None) -> Products:
    """Take the products of a design, or of some of its rows, with candidate columns.

    Raises
    ------
    FitError
        If the fixed part is linearly dependent in these rows.
    """
    chosen = np.arange(len(design.y)) if rows is None else rows
    weights = np.ones(len(chosen)) if design.weights is None else design.weights[chosen]
    root = np.sqrt(weights)[:, None]
    Q, r = orthonormal(design.X[chosen] * root)
    if np.diag(r).min() < DEPENDENT * np.sqrt(np.mean(design.X**2, axis=0)).min():
        raise FitError("a predictor has no variance of its own in these rows")
    n, p = Q.shape
    x = candidates.rows(chosen) * root
    a = Q.T @ x / n
    x -= Q @ a
    sx = np.sqrt(np.mean(x**2, axis=0))
    x /= np.where(sx > 0, sx, 1.0)
    y = design.y[chosen] * root[:, 0]
    g = Q.T @ y / n
    y = y - Q @ g
    s = float(np.sqrt(np.mean(y**2)))
    y /= s
    order = _order(design.blocks)
    Z = sparse.hstack([_columns(design.blocks[b], chosen, root[:, 0]) for b in order]).tocsr()
    U = np.column_stack([Q, x])
    levels, terms = len(design.blocks[order[0]].levels), len(design.blocks[order[0]].names)
    first = levels if terms == 1 else 0
    zz = sparse.csr_array(Z.T @ Z)  # the first block of many words would fill the memory
    return Products(
        n,
        p,
        U.T @ U,
        Z.T @ U,
        zz.diagonal()[:first],
        np.ascontiguousarray(zz[first:, :first].toarray()),
        np.ascontiguousarray(zz[first:, first:].toarray()),
        tuple((len(design.blocks[b].levels), len(design.blocks[b].names)) for b in order),
        order,
        Scales(r, a, sx, g, s, float(np.log(weights).sum()) / 2),
        ScaledResponse(U.T @ y, Z.T @ y, float(y @ y)),
    )


def unlike(design: Design, candidates: Candidates) -> np.ndarray:
    """Return which candidates, (J,), differ from every combination of the fixed part's columns."""
    weights = 1.0 if design.weights is None else np.sqrt(design.weights)[:, None]
    Q, _ = orthonormal(design.X * weights)
    x = candidates.rows() * weights
    left = x - Q @ (Q.T @ x / len(Q))
    return np.linalg.norm(left, axis=0) > DEPENDENT * np.linalg.norm(x, axis=0)


def _order(blocks: Sequence[Block]) -> tuple[int, ...]:
    """Return the blocks with the largest one of a single term first, whose effects are then eliminated one by one."""
    single = [b for b, block in enumerate(blocks) if len(block.names) == 1]
    first = max(single, key=lambda b: len(blocks[b].levels), default=0)
    return (first, *(b for b in range(len(blocks)) if b != first))


def _columns(block: Block, rows: np.ndarray, root: np.ndarray) -> sparse.csr_array:
    """Return a block's part of Z: the terms of a level beside each other."""
    values = block.values[rows] * root[:, None]
    n, k = values.shape
    at = block.codes[rows][:, None] * k + np.arange(k)
    where = (np.repeat(np.arange(n), k), at.ravel())
    return sparse.csr_array((values.ravel(), where), shape=(n, len(block.levels) * k))


class Drawn:
    """Responses of a model with given coefficients and variances, drawn as their products with the columns.

    The products of n independent residuals with columns W are normal with covariance W'W, and what is left of their sum of
    squares is chi-square: no row is drawn. Those with the first block's columns, which are orthogonal, are drawn first.
    """

    def __init__(self, made: Products, factors: Sequence[np.ndarray], sigma: float) -> None:
        """Prepare responses with the blocks' relative factors (in the order of `made`) and residual SD, scaled."""
        split = made.first
        self._lengths = np.sqrt(made.diagonal)
        gram = np.block([[made.uu, made.zu[split:].T], [made.zu[split:], made.others]])
        beside = np.vstack([made.zu[:split].T, made.across])
        self._beside = beside / np.where(self._lengths > 0, self._lengths, 1)
        values, vectors = linalg.eigh(gram - self._beside @ self._beside.T)
        kept = values > 1e-10 * gram.diagonal().max()
        self._root = vectors[:, kept] * np.sqrt(values[kept])
        self._made, self._factors, self._sigma = made, factors, sigma

    def __call__(self, rng: np.random.Generator) -> ScaledResponse:
        """Return one response of mean zero, which no test of a further column depends on."""
        made, sigma = self._made, self._sigma
        columns, split = len(made.uu), made.first
        own, normal = rng.standard_normal(split), rng.standard_normal(self._root.shape[1])
        own[self._lengths == 0] = 0
        rest = sigma * (self._beside @ own + self._root @ normal)
        residual = np.concatenate([rest[:columns], sigma * self._lengths * own, rest[columns:]])
        unseen = made.n - np.count_nonzero(own) - len(normal)
        squares = sigma**2 * (own @ own + normal @ normal + rng.chisquare(unseen))
        effects = np.concatenate(
            [
                (sigma * rng.standard_normal((levels, terms)) @ factor.T).ravel()
                for (levels, terms), factor in zip(made.sizes, self._factors, strict=True)
            ]
        )
        first, others = effects[:split], effects[split:]
        products = np.concatenate(
            [made.diagonal * first + made.across.T @ others, made.across @ first + made.others @ others]
        )
        u = made.zu.T @ effects + residual[:columns]
        z = products + residual[columns:]
        y = effects @ products + 2 * effects @ residual[columns:] + squares
        return ScaledResponse(u, z, float(y))
