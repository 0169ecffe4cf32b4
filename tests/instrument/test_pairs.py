"""Pairs share what they should and nothing next to it; their similarity is that of plain passes."""

import numpy as np
import pytest
import torch
from tiny_language import tiny_language

from clada_neuro.instrument.pairs import PairLayout, dealt, last_contributions, similarity
from clada_neuro.models.registry import ffn_layers

LAYOUT = PairLayout(position=8, distance=3)
FIRST, SECOND = np.arange(9), np.arange(20, 29)


@pytest.fixture(scope="module")
def model():
    return tiny_language()


@pytest.mark.parametrize("stretch", [0, 2, 5])
@pytest.mark.parametrize("same", [True, False])
def test_pairs_share_the_stretch_and_the_target_only(stretch, same):
    changed = LAYOUT.share(FIRST, SECOND, stretch, same_target=same)
    expected = [5 - stretch <= place < 5 or (same and place == 8) for place in range(9)]
    assert (changed == FIRST).tolist() == expected
    assert LAYOUT.is_valid(FIRST, changed, stretch, same_target=same)


@pytest.mark.parametrize("place", [2, 5, 7])
def test_agreement_by_chance_is_noticed(place):
    second = SECOND.copy()
    second[place] = FIRST[place]
    changed = LAYOUT.share(FIRST, second, 2, same_target=False)
    assert not LAYOUT.is_valid(FIRST, changed, 2, same_target=False)


def test_cells_are_dealt_evenly():
    cells = list(dealt(20, (0, 1, 2, 4, 8), np.random.default_rng(0)))
    assert all(cells.count(cell) == 2 for cell in set(cells))
    assert len(set(cells)) == 10


def test_similarity_is_that_of_two_separate_passes(model):
    rng = np.random.default_rng(0)
    first, second = rng.integers(5, 40, size=(2, 3, 9))
    found = similarity(first, second, model)
    assert found["cosine"].shape == (3, len(ffn_layers(model.model)))
    for pair in range(3):
        passes = [
            last_contributions(torch.tensor([[model.start_token_id, *ids[pair]]]), model)
            for ids in (first, second)
        ]
        for layer, (x, y) in enumerate(zip(*(map(torch.Tensor.numpy, one) for one in passes), strict=True)):
            expected = (x[0] @ y[0]) / np.linalg.norm(x[0]) / np.linalg.norm(y[0])
            assert found["cosine"][pair, layer] == pytest.approx(expected, abs=1e-5)
            sets = [set(np.flatnonzero(one)) for one in (largest(x[0]), largest(y[0]))]
            assert found["jaccard"][pair, layer] == pytest.approx(
                len(sets[0] & sets[1]) / len(sets[0] | sets[1]), abs=0.05
            )


def largest(e: np.ndarray) -> np.ndarray:
    """Mark the smallest set of neurons that holds 99 % of the energy."""
    order = np.argsort(-(e**2))
    size = 1 + int(np.searchsorted(np.cumsum(e[order] ** 2), 0.99 * (e**2).sum()))
    marked = np.zeros(len(e), dtype=bool)
    marked[order[:size]] = True
    return marked


def test_equal_sequences_are_equal_and_the_past_counts(model):
    ids = np.arange(10, 19)[None]
    other = ids.copy()
    other[0, 0] += 1
    assert similarity(ids, ids, model)["cosine"] == pytest.approx(1, abs=1e-6)
    assert similarity(ids, ids, model)["jaccard"] == pytest.approx(1)
    assert (similarity(ids, other, model)["cosine"] < 1 - 1e-6).any()


def test_hooks_are_gone_afterwards(model):
    last_contributions(torch.tensor([[1, 2, 3]]), model)
    assert all(not ffn.down._forward_pre_hooks for ffn in ffn_layers(model.model))
