"""What the coefficients would be if nothing but chance were behind them: the fitted model's own effects, with signs redrawn.

A coefficient's error is a weighted sum over subjects, items, stimuli and trials, each with the effect that the model predicts
for it. Redrawing the signs of these effects, for the whole map of a subject, item, stimulus or trial at once, gives errors of
the same size that keep how electrodes and moments hang together: the wild bootstrap of mixed models (Modugno & Giannerini
2015). Predicted effects are smaller than the model's variances say and are brought to them first (Carpenter, Goldstein &
Rasbash 2003). Every source of variation that the model has takes part, so predictors of stimuli are tested over stimuli.

Chosen by measurement (``analyses/results/maps/size.csv``, 500 studies without an effect): 6 % were significant at .05, as with normal
multiples of the same effects (a parametric bootstrap), against 11 % with signs of marginal residuals and 21 % with items fixed.
"""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from clada_neuro.stats.design import Block, Design
from clada_neuro.stats.engines.series import Member

Array = NDArray[np.float64]
TRIALS = "trials"


def signs(design: Design, n_draws: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return draws of −1 and 1, (n_draws, n_levels), for each grouping factor and for the trials, the same at every electrode."""
    sizes = {block.group: len(block.levels) for block in design.blocks} | {TRIALS: len(design.y)}
    drawn = {}
    for group, size in sizes.items():
        rng = np.random.default_rng([seed, crc32(group.encode())])
        drawn[group] = rng.choice(np.array([-1, 1], dtype=np.float32), (n_draws, size))
    return drawn


class RowWeights:
    """What each row of the data adds to the coefficients, for any variances of one design.

    Parameters
    ----------
    design
        Without prior weights.
    """

    def __init__(self, design: Design) -> None:
        self._design = design
        self._Z = sparse.hstack([_indicators(block) for block in design.blocks]).tocsr()
        self._cross = (self._Z.T @ self._Z).toarray()
        self._with_fixed = self._Z.T @ design.X
        self._places = _diagonal_blocks(design.blocks)

    def of(self, member: Member) -> Array:
        """Return (n, p) weights: the coefficients are their products with the response."""
        X = self._design.X
        values = [
            np.tile(_root(covariance / member.sigma**2).ravel(), len(block.levels))
            for block, covariance in zip(self._design.blocks, member.covariances, strict=True)
        ]
        root = sparse.csr_matrix((np.concatenate(values), self._places))
        inner = root.T @ (root.T @ self._cross).T + np.eye(root.shape[1])
        inside = root @ linalg.cho_solve(linalg.cho_factor(inner), root.T @ self._with_fixed)
        weighted = X - self._Z @ inside
        return np.asarray(weighted @ linalg.inv(X.T @ weighted))


def contributions(
    design: Design, member: Member, weights: Array, y: Array, terms: Sequence[int]
) -> dict[str, Array]:
    """Return what each level and trial adds to the error of some coefficients, (n, len(terms)), by grouping factor."""
    chosen = weights[:, list(terms)]
    added: dict[str, Array] = {}
    fitted = design.X @ member.beta
    for block, covariance, effects in zip(design.blocks, member.covariances, member.effects, strict=True):
        fitted = fitted + (block.values * effects[block.codes]).sum(axis=1)
        sized = _sized(effects, covariance)
        of_rows = (block.values * sized[block.codes]).sum(axis=1)
        sums = np.zeros((len(block.levels), len(terms)))
        np.add.at(sums, block.codes, chosen * of_rows[:, None])
        added[block.group] = added.get(block.group, 0.0) + sums
    residual = y - fitted
    scale = member.sigma / np.sqrt(np.mean(residual**2))
    return added | {TRIALS: chosen * (scale * residual)[:, None]}


def _indicators(block: Block) -> sparse.csr_matrix:
    """Return a block's columns (n, n_levels × k), level by level."""
    n, k = block.values.shape
    rows = np.repeat(np.arange(n), k)
    columns = (block.codes[:, None] * k + np.arange(k)).ravel()
    return sparse.csr_matrix((block.values.ravel(), (rows, columns)), shape=(n, len(block.levels) * k))


def _diagonal_blocks(blocks: Sequence[Block]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the entries of one square matrix per level, along the diagonal."""
    rows, columns, start = [], [], 0
    for block in blocks:
        k = block.values.shape[1]
        corners = start + k * np.arange(len(block.levels))[:, None]
        i, j = np.divmod(np.arange(k * k), k)
        rows.append((corners + i).ravel())
        columns.append((corners + j).ravel())
        start += k * len(block.levels)
    return np.concatenate(rows), np.concatenate(columns)


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))


def _sized(effects: Array, covariance: Array) -> Array:
    """Return effects whose mean square over levels is the covariance; directions in which all are zero stay so."""
    values, vectors = np.linalg.eigh(effects.T @ effects / len(effects))
    there = values > 1e-10 * max(float(values.max()), np.finfo(float).tiny)
    whitened = effects @ (vectors[:, there] / np.sqrt(values[there])) @ vectors[:, there].T
    own, axes = np.linalg.eigh(covariance)
    return whitened @ (axes * np.sqrt(np.maximum(own, 0))) @ axes.T
