"""How well vectors of words predict the responses to them at every moment, beside the same controls as for one amplitude.

Every moment has dimension, penalty and, of each kind of vectors, a layer of its own, chosen inside folds: so a kind with many
layers is no better for having them. All moments meet the same exchanges of items, and the largest score over layers and
moments under the null makes p values that hold for the whole plane.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from clada_neuro.stats.encoding.ridge import FoldedRidge, correlations
from clada_neuro.stats.encoding.scores import FAMILY, Key, by_choice, divided, error_of, exchanged, p_of

_NUMBERS = 4_000_000  # responses that are predicted at once


def encoding_course(
    vectors: Mapping[Key, np.ndarray],
    responses: np.ndarray,
    items: np.ndarray,
    *,
    folds: int = 5,
    shuffles: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Score vectors of words by how well they predict responses at many moments on items left out.

    Parameters
    ----------
    vectors : mapping of Key to numpy.ndarray, each of shape (n_words, features)
    responses : numpy.ndarray, shape (n_words, n_times)
    items : numpy.ndarray of int, shape (n_words,)
        From 0.
    folds, shuffles, seed
        As in `clada_neuro.stats.encoding.scores.encoding_scores`.

    Returns
    -------
    dict
        ``layers``: a row a kind of vectors and layer, with ``r`` at every moment and, of the states, ``p_family``, which holds
        for all layers and moments; ``kinds``: a row a kind, with ``r``, its ``se`` over folds and ``p_family`` over moments, by
        the layer that was best inside each fold at that moment; ``shuffled``, what the largest r of the states exceeds in 5 %
        of the exchanges.

    Raises
    ------
    FitError
        If there are too few items for the folds.
    """
    rng = np.random.default_rng(seed)
    fold_of = divided(items, folds, rng)
    orders = [np.arange(len(items)), *(exchanged(items, rng) for _ in range(shuffles))]
    layers, kinds, shuffled = [], [], None
    for kind in dict.fromkeys(kind for kind, _ in vectors):
        numbers = [layer for one, layer in vectors if one == kind]
        scored = [_scored(vectors[kind, layer], responses, orders, fold_of) for layer in numbers]
        r = np.stack([means.mean(axis=0) for means, _ in scored])  # (layers, orders, times)
        beyond = None
        if kind == FAMILY:
            largest = r[:, 1:].max(axis=(0, 2))
            shuffled = float(np.quantile(largest, 0.95))
            beyond = p_of(r[:, 0], largest)
        for place, layer in enumerate(numbers):
            p = None if beyond is None else beyond[place].tolist()
            layers.append({"vectors": kind, "layer": layer, "r": r[place, 0].tolist(), "p_family": p})
        kinds.append({"vectors": kind, **_by_choice(scored)})
    return {"layers": layers, "kinds": kinds, "shuffled": shuffled}


def _scored(
    x: np.ndarray, responses: np.ndarray, orders: Sequence[np.ndarray], fold_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return correlations and the errors inside, both (folds, orders, times)."""
    r, inner, ridge = [], [], FoldedRidge(x.astype(float), fold_of)
    for some in _blocks(orders, responses.size):
        y = np.concatenate([responses[order] for order in some], axis=1)
        found = ridge.held_out(y)
        shape = (-1, len(some), responses.shape[1])
        r.append(correlations(found.predictions, y, fold_of).reshape(shape))
        inner.append(found.inner_mse.reshape(shape))
    return np.concatenate(r, axis=1), np.concatenate(inner, axis=1)


def _blocks(orders: Sequence[np.ndarray], size: int) -> Iterator[Sequence[np.ndarray]]:
    step = max(1, _NUMBERS // size)
    for start in range(0, len(orders), step):
        yield orders[start : start + step]


def _by_choice(scored: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, list[float]]:
    """Return the scores of the layer that is best inside each fold, order and moment."""
    picked, _ = by_choice(*(np.stack(part) for part in zip(*scored, strict=True)))  # (folds, orders, times)
    means = picked.mean(axis=0)
    return {
        "r": means[0].tolist(),
        "se": error_of(picked)[0].tolist(),
        "p_family": p_of(means[0], means[1:].max(axis=1)).tolist(),
    }
