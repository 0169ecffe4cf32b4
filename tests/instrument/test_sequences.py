"""Sequences made on purpose hold what they should, and their measures are those of the model."""

import numpy as np
import pytest
import torch
from tiny_language import tiny_language

from clada_neuro.errors import DataError
from clada_neuro.instrument.sequences import Corpus, measure
from clada_neuro.models.registry import ffn_layers

TEXTS = [f"{word} of the day, {word} of the night and all that lies between them" for word in
         ("a child", "the king", "some rain", "one song", "the end")]  # fmt: skip
LENGTH = 12


@pytest.fixture(scope="module")
def model():
    return tiny_language()


@pytest.fixture(scope="module")
def corpus(model):
    return Corpus.of(TEXTS, model, LENGTH)


def test_natural_sequences_are_the_beginnings_of_different_documents(corpus, model):
    ids = corpus.sequences("natural", len(TEXTS), LENGTH)
    wanted = {tuple(model.tokenizer(text, add_special_tokens=False).input_ids[:LENGTH]) for text in TEXTS}
    assert {tuple(row) for row in ids.tolist()} == wanted


def test_unigram_sequences_follow_the_counts(corpus):
    drawn = np.bincount(corpus.sequences("unigram", 2000, 20).ravel(), minlength=len(corpus.counts))
    share = corpus.counts / corpus.counts.sum()
    expected = share * drawn.sum()
    assert set(np.flatnonzero(drawn)) <= set(np.flatnonzero(corpus.counts))
    assert np.abs(drawn - expected).max() < 5 * np.sqrt(expected.max())


def test_uniform_sequences_hold_no_special_token(corpus, model):
    drawn = corpus.sequences("uniform", 500, 20)
    assert not set(drawn.ravel()) & set(model.tokenizer.all_special_ids)
    assert len(set(drawn.ravel())) == len(corpus.ordinary)


def test_the_seed_decides_and_kinds_do_not_share_draws(corpus):
    np.testing.assert_array_equal(
        corpus.sequences("uniform", 3, 5, seed=1), corpus.sequences("uniform", 3, 5, seed=1)
    )
    assert (corpus.sequences("uniform", 3, 5, seed=1) != corpus.sequences("uniform", 3, 5, seed=2)).any()


def test_too_few_documents_are_refused(corpus):
    with pytest.raises(DataError, match="6 natural sequences asked for, 5 documents"):
        corpus.sequences("natural", 6, LENGTH)


def test_shares_are_counted_with_one_added(corpus):
    assert np.exp2(corpus.log_frequency).sum() == pytest.approx(1)
    token = int(corpus.counts.argmax())
    expected = (corpus.counts[token] + 1) / (corpus.counts.sum() + len(corpus.counts))
    assert corpus.log_frequency[token] == pytest.approx(np.log2(expected))


def plain_pass(model, ids):
    """Return logits and each layer's contributions of one sequence, from hooks of the test's own."""
    layers, values = ffn_layers(model.model), []
    handles = [
        ffn.down.register_forward_pre_hook(lambda _, args: values.append(args[0][0])) for ffn in layers
    ]
    with torch.inference_mode():
        logits = model.model(torch.tensor([ids])).logits[0].double()
    for handle in handles:
        handle.remove()
    return logits, [(a.abs() * ffn.neuron_norms).numpy() for a, ffn in zip(values, layers, strict=True)]


def test_measures_are_those_of_one_plain_pass(corpus, model):
    ids = corpus.sequences("uniform", 3, 7)
    found = measure(ids, model)
    for number, row in enumerate(ids.tolist()):
        logits, contributions = plain_pass(model, [model.start_token_id, *row])
        bits = -torch.log_softmax(logits, -1)[np.arange(7), row] / np.log(2)
        tokens = found.tokens.loc[found.tokens["sequence"] == number]
        np.testing.assert_allclose(tokens["surprisal_bits"], bits.numpy(), atol=1e-4)
        # Position 3 is input 3, because the start token is input 0.
        cosines = [e[3] @ e[2] / np.linalg.norm(e[3]) / np.linalg.norm(e[2]) for e in contributions]
        here = found.layers.query("sequence == @number and position == 3").sort_values("layer")
        np.testing.assert_allclose(here["adjustment_prev"], 1 - np.array(cosines), atol=1e-5)
        assert tokens["adjustment_prev"].iloc[2] == pytest.approx(1 - np.mean(cosines), abs=1e-5)
        assert np.isnan(tokens["adjustment_prev"].iloc[0])
