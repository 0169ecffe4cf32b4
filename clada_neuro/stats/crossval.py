"""Held-out log-likelihood of models, by folds of items.

All trials of an item, so both words and the shared sentence, are in one fold. Each training fold fits the model
by ML with the training rows' own z-scores; held-out trials are scored under the fixed effects only, with a normal
density whose variance is the model's total (random plus residual) for that row; counts by their own probability.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats.design import columns_for
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.generalized.family import GAUSSIAN
from clada_neuro.stats.generalized.heldout import score as score_counts
from clada_neuro.stats.model import apply_scales, specify


@dataclass(frozen=True)
class ItemFolds:
    """Gain in held-out log-likelihood of the larger model, in nats per trial.

    ``se`` is over items: sqrt(n_items) SD(an item's sum) / n_trials.
    """

    delta_loglik_per_trial: float
    se: float
    n_folds: int
    n_items: int
    n_trials: int


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Each row's log density ``(n_obs,)`` under a model that has not seen its item, whose number is in `items`."""

    density: np.ndarray
    items: np.ndarray
    n_folds: int


def cross_validate(
    smaller: Fitted, larger: Fitted, *, item: str = "item", folds: int = 10, seed: int = 0
) -> ItemFolds:
    """Compare two fits of the same rows on items that neither has seen; their z-scores are redone in each fold.

    Raises
    ------
    FitError
        When ``item`` is not a column or has fewer levels than there are folds.
    """
    first, second = (held_out(fit, item=item, folds=folds, seed=seed) for fit in (smaller, larger))
    return gain(first, second)


def held_out(fit: Fitted, *, item: str = "item", folds: int = 10, seed: int = 0) -> HeldOut:
    """Score every row of a fit under models of the other folds; for comparing one fit with several.

    Raises
    ------
    FitError
        When ``item`` is not a column or has fewer levels than there are folds.
    """
    rows = fit.model.data
    labels, items, fold_of = item_folds(rows, item, folds, seed)
    score = _score if fit.family == GAUSSIAN else score_counts
    density = np.zeros(len(rows))
    for fold in range(folds):
        held = fold_of == fold
        try:
            density[held] = score(fit, rows[~held], rows[held])
        except FitError as error:
            left = ", ".join(map(str, items[np.unique(labels[held])][:3]))
            raise FitError(
                f"without the {item}s of fold {fold + 1} of {folds} ({left}, …), {error}"
            ) from error
    return HeldOut(density, labels, folds)


def item_folds(
    rows: pd.DataFrame, item: str, folds: int, seed: int
) -> tuple[np.ndarray, pd.Index, np.ndarray]:
    """Return each row's item as a number, what the items are, and each row's fold.

    Raises
    ------
    FitError
        When ``item`` is not a column or has fewer levels than there are folds.
    """
    if item not in rows:
        raise FitError(f"cross-validation needs a column '{item}' that tells items apart")
    labels, items = pd.factorize(rows[item])
    if len(items) < folds:
        raise FitError(f"'{item}' has {len(items)} levels, too few for {folds} folds")
    return labels, items, np.random.default_rng(seed).permutation(np.arange(len(items)) % folds)[labels]


def gain(smaller: HeldOut, larger: HeldOut) -> ItemFolds:
    """Return the gain of the larger model over the smaller one, scored on the same rows and folds."""
    each = larger.density - smaller.density
    by_item = np.bincount(larger.items, weights=each)
    se = float(np.sqrt(len(by_item)) * by_item.std(ddof=1) / len(each))
    return ItemFolds(float(each.mean()), se, larger.n_folds, len(by_item), len(each))


def _score(fit: Fitted, train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """Return each held-out row's log density under the model refitted to ``train``."""
    model = specify(
        train, fit.formula, standardize=list(fit.standardized), contrasts=fit.model.contrasts,
        weights=fit.model.weights,
    )  # fmt: skip
    found = fit.solver.prepare(model.design, False).refit(start=fit.estimate.theta)
    test = apply_scales(test, model.standardized)
    response = columns_for(model.design.response_spec, test).ravel()
    mean = columns_for(model.design.spec, test) @ found.beta
    weights = 1.0 if model.weights is None else test[model.weights].to_numpy(float)
    variance = np.full(len(test), found.sigma**2) / weights
    for block, covariance in zip(model.design.blocks, found.covariances, strict=True):
        values = columns_for(block.spec, test)
        variance += np.einsum("ij,jk,ik->i", values, covariance, values)
    return -0.5 * (np.log(2 * np.pi * variance) + (response - mean) ** 2 / variance)
