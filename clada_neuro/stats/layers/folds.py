"""Models with one column each, fitted without the items of a fold and scored on them, and the best one of each fold.

A fold's own items take no part in what is chosen for it: the best column is the one with the highest likelihood of the
other folds' rows (all have one coefficient more than the baseline), and its gain is that on the items left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clada_neuro.errors import FitError
from clada_neuro.parts import Jobs, place_of
from clada_neuro.stats.design import Design
from clada_neuro.stats.layers.likelihood import Fit, factors, fit, fit_each
from clada_neuro.stats.layers.products import Candidates, Products, products


@dataclass(frozen=True, eq=False)
class Folds:
    """What models score on items that they have not seen; a column a model, the baseline first.

    ``held``, (n_items, 1 + J): the log densities of an item's rows, summed. ``train``, (n_folds, 1 + J): log likelihoods of the
    other rows. ``fold_of``, (n_items,): each item's fold.
    """

    held: np.ndarray
    train: np.ndarray
    fold_of: np.ndarray
    n_rows: int

    def gain(self, scores: np.ndarray, over: np.ndarray) -> tuple[float, float]:
        """Return the mean gain a row, in nats, of some items' scores over others, and its standard error over items."""
        each = scores - over
        return float(each.sum() / self.n_rows), float(np.sqrt(len(each)) * each.std(ddof=1) / self.n_rows)

    def best(self, models: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return which of some models fits the other folds best, (n_folds,), and each item's score under its fold's choice."""
        chosen = np.asarray(models)[self.train[:, models].argmax(axis=1)]
        return chosen, self.held[np.arange(len(self.held)), chosen[self.fold_of]]


@dataclass(frozen=True, eq=False)
class _Left:
    """Leaves a fold out; ``near`` is the baseline's theta over all rows."""

    design: Design
    candidates: Candidates
    items: np.ndarray
    fold_of: np.ndarray
    near: np.ndarray
    names: Mapping[int, str]

    def __call__(self, fold: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return log likelihoods of the rows fitted, the items left out, and their scores."""
        held = np.flatnonzero(self.fold_of == fold)
        try:
            made = products(self.design, self.candidates, np.flatnonzero(self.fold_of != fold))
            baseline = fit(made, None, self.near, False)
            columns = np.arange(self.candidates.values.shape[1])
            fits = [baseline, *fit_each(made, columns, baseline.theta, False)]
        except FitError as error:
            left = ", ".join(self.names[item] for item in np.unique(self.items[held])[:3])
            raise FitError(f"without the items of fold {fold + 1} ({left}, …): {error}") from error
        density = _densities(self.design, self.candidates, held, made, fits)
        found, codes = np.unique(self.items[held], return_inverse=True)
        scores = np.stack([np.bincount(codes, weights=column) for column in density.T], axis=1)
        return np.array([one.loglik for one in fits]), found, scores


def leave_out(
    design: Design,
    candidates: Candidates,
    items: np.ndarray,
    fold_of: np.ndarray,
    near: np.ndarray,
    names: Mapping[int, str],
    jobs: Jobs = 1,
) -> Folds:
    """Fit the baseline and every candidate's model once without each fold; rows have an item and a fold, from 0.

    Raises
    ------
    FitError
        Where a model cannot be fitted without a fold.
    """
    n_folds, n_items = int(fold_of.max()) + 1, int(items.max()) + 1
    models = 1 + candidates.values.shape[1]
    held, train = np.zeros((n_items, models)), np.zeros((n_folds, models))
    task = _Left(design, candidates, items, fold_of, near, names)
    for fold, (logliks, found, scores) in place_of(jobs).each(task, {fold: fold for fold in range(n_folds)}):
        train[fold], held[found] = logliks, scores
    of_items = np.zeros(n_items, dtype=int)
    of_items[items] = fold_of
    return Folds(held, train, of_items, len(design.y))


def _densities(
    design: Design, candidates: Candidates, rows: np.ndarray, made: Products, fits: Sequence[Fit]
) -> np.ndarray:
    """Return log densities of rows under each model, (rows, models), by fixed effects and the variance of everything else."""
    X = np.linalg.solve(made.scales.r.T, design.X[rows].T).T
    mean = X @ np.stack([one.coefficients for one in fits], axis=1)
    mean[:, 1:] += candidates.rows(rows) * np.array([one.b for one in fits[1:]])
    weights = np.ones(len(rows)) if design.weights is None else design.weights[rows]
    variance = np.empty_like(mean)
    for model, one in enumerate(fits):
        total = 1 / weights
        for block, factor in zip(
            (design.blocks[b] for b in made.order), factors(one.theta, made), strict=True
        ):
            total = total + ((block.values[rows] @ factor) ** 2).sum(axis=1)
        variance[:, model] = one.sigma**2 * total
    return -0.5 * (np.log(2 * np.pi * variance) + (design.y[rows][:, None] - mean) ** 2 / variance)
