"""How well vectors of words predict mean responses to them, beside what would predict as well without meaning anything.

A score is the correlation of prediction and response within a fold of items, averaged over folds. Its null is the same with
items' responses exchanged for those of other items, and turned within them: all vectors meet the same exchanges, so that the largest of all layers
under the null makes a p that holds for the family.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from clada_neuro.errors import FitError
from clada_neuro.stats.encoding.ridge import FoldedRidge, correlations

Key = tuple[str, int | None]  # what the vectors are, and of which layer
FAMILY = "states"


def encoding_scores(
    vectors: Mapping[Key, np.ndarray],
    response: np.ndarray,
    items: np.ndarray,
    *,
    folds: int = 5,
    shuffles: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Score vectors of words by how well they predict a response on items left out.

    Parameters
    ----------
    vectors : mapping of Key to numpy.ndarray, each of shape (n_words, features)
    response : numpy.ndarray, shape (n_words,)
    items : numpy.ndarray of int, shape (n_words,)
        From 0.
    folds : int
        At least three.
    shuffles : int
        Exchanges of items under the null.

    Returns
    -------
    dict
        ``scores``: a row a kind of vectors and layer, with ``r``, its ``se`` over folds, ``p`` by exchange of items and, in the
        family (`FAMILY`, whose layers are tested together, and chosen from inside folds), ``p_family``; ``chosen``: the score of the family's layer that was best inside each fold, and the layers;
        ``shuffled``: what the family's largest r exceeds in 5 % of the exchanges.

    Raises
    ------
    FitError
        If there are too few items for the folds, or a response that does not vary.
    """
    if not response.std() > 0:
        raise FitError("the response is the same for all words, so nothing can predict it")
    rng = np.random.default_rng(seed)
    fold_of = divided(items, folds, rng)
    orders = [exchanged(items, rng) for _ in range(shuffles)]
    y = np.column_stack([response, *(response[order] for order in orders)])
    rows: list[dict[str, Any]] = []
    inner, by_fold, null = {}, {}, {}
    for (kind, layer), x in vectors.items():
        found = FoldedRidge(x.astype(float), fold_of).held_out(y)
        r = correlations(found.predictions, y, fold_of)
        means = r.mean(axis=0)
        rows.append(
            {
                "vectors": kind,
                "layer": layer,
                "r": float(means[0]),
                "se": float(error_of(r)[0]),
                "p": float(p_of(means[0], means[1:])),
                "p_family": None,
            }
        )
        if kind == FAMILY:
            inner[layer], by_fold[layer], null[layer] = found.inner_mse, r, means[1:]
    chosen = shuffled = None
    if by_fold:
        largest = np.max(list(null.values()), axis=0)
        for row in rows:
            if row["vectors"] == FAMILY:
                row["p_family"] = float(p_of(row["r"], largest))
        chosen, shuffled = _chosen(inner, by_fold), float(np.quantile(largest, 0.95))
    counts = {"n_words": len(response), "n_items": int(items.max()) + 1}
    return {"scores": rows, "chosen": chosen, "shuffled": shuffled, **counts}


def _chosen(inner: Mapping[int | None, np.ndarray], r: Mapping[int | None, np.ndarray]) -> dict[str, Any]:
    """Return the score of the layer that was best inside each fold, with a p from the same choice under the null."""
    layers = list(r)
    picked, best = by_choice(
        np.stack([r[layer] for layer in layers]), np.stack([inner[layer] for layer in layers])
    )
    means = picked.mean(axis=0)
    return {
        "r": float(means[0]),
        "se": float(error_of(picked)[0]),
        "p": float(p_of(means[0], means[1:])),
        "layers": [layers[place] for place in best[:, 0]],
    }


def by_choice(r: np.ndarray, inner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores, (folds, …), of the layer with the least error inside each fold, and its place; both (layers, folds, …)."""
    best = inner.argmin(axis=0)
    return np.take_along_axis(r, best[None], axis=0)[0], best


def error_of(r: np.ndarray) -> np.ndarray:
    """Return the standard error of means over folds, the first axis."""
    return r.std(axis=0, ddof=1) / np.sqrt(len(r))


def divided(items: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold of each row, (n,), items whole.

    Raises
    ------
    FitError
        If there are too few items.
    """
    n_items = int(items.max()) + 1
    if folds < 3 or n_items < 2 * folds:
        raise FitError(
            f"{folds} folds of {n_items} items given; at least 3 folds, each of 2 items or more, are needed"
        )
    return rng.permutation(np.arange(n_items) % folds)[items]


def p_of(found: np.ndarray | float, null: np.ndarray) -> np.ndarray:
    """Return the share of a null, (draws,), that reaches what was found, itself counted."""
    reached = np.asarray(null) >= np.asarray(found)[..., None]
    return (1 + reached.sum(axis=-1)) / (1 + len(null))


def exchanged(items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an order of rows, (n,), that gives items the responses of other items with as many words, begun at any of them.

    So an item's responses stay neighbours, and neither which condition a word is of nor where it stands goes along.
    """
    order = np.arange(len(items))
    rows = [np.flatnonzero(items == item) for item in range(int(items.max()) + 1)]
    for size in {len(some) for some in rows}:
        alike = [some for some in rows if len(some) == size]
        for here, there in zip(alike, rng.permutation(len(alike)), strict=True):
            order[here] = np.roll(alike[there], rng.integers(size))
    return order
