"""Values of the real model against the same weights in float64, one text at a time, on the same ids."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from clada_neuro import tables
from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import load_model

TOLERANCE_BITS = 1e-4
SENTENCES = {
    "one word": "Rain",
    "contraction": "It wasn't raining when they'd left.",
    "punctuation attached and separate": '"Wait," she said -- or did she ? -- "it\'s late!"',
    "spacing": "  Leading,  double   and trailing spaces ",
    "emoji and combining accents": "A cafe\u0301 owner waved 👩‍🚀 at the 🇩🇪 crowd.",
    "umlauts": "Der Bäcker weiß, dass die Größe zählt.",
    "Cyrillic": "Кошка сидит на окне.",
    "Chinese": "猫坐在窗台上。",
    "many pieces": "They practised antidisestablishmentarianism yesterday.",
    "same word twice": "The the dog dog barked barked.",
    "long": "The old sailor told the children a story about the sea. " * 12,
}


@pytest.fixture(scope="module")
def model():
    return load_model("smollm2", device="cpu")


@pytest.fixture(scope="module")
def traced(model):
    stimuli = pd.DataFrame({"stimulus_id": list(SENTENCES), "sentence": list(SENTENCES.values())})
    return trace(stimuli.assign(item=stimuli["stimulus_id"], condition="x"), model, progress=False)


@pytest.fixture(scope="module")
def exact():
    return load_model("smollm2", device="cpu", dtype="float64")


def reference(model, ids: list[int]) -> pd.DataFrame:
    with torch.inference_mode():
        logits = model.model(torch.tensor([[model.start_token_id, *ids]])).logits[0]
    p = torch.log_softmax(logits, dim=-1)
    target = p[range(len(ids)), ids]
    columns = {
        "surprisal_bits": -target / math.log(2),
        "entropy_bits": torch.special.entr(p.exp()).sum(-1)[:-1] / math.log(2),
        "entropy_next_bits": torch.special.entr(p.exp()).sum(-1)[1:] / math.log(2),
        "renyi_half_bits": 2 * torch.log2(p.exp().sqrt().sum(-1))[:-1],
        "rank": 1 + (p[:-1] > target[:, None]).sum(-1),
    }
    return pd.DataFrame({name: values.numpy() for name, values in columns.items()})


@pytest.mark.parametrize("name", list(SENTENCES))
def test_values_equal_float64_log_softmax_on_the_same_ids(exact, traced, name):
    tokens = traced.tokens[traced.tokens["stimulus_id"] == name]
    expected = reference(exact, tokens["token_id"].tolist())
    for column in expected.columns.drop("rank"):
        np.testing.assert_allclose(tokens[column], expected[column], rtol=0, atol=TOLERANCE_BITS)
    ranks = tokens["rank"].astype(float).to_numpy()
    np.testing.assert_allclose(ranks, expected["rank"], rtol=2e-4, atol=1)  # near-ties swap in float32


@pytest.mark.parametrize("name", ["one word", "contraction", "Chinese"])
def test_values_do_not_depend_on_what_else_is_in_the_batch(model, traced, name):
    stimuli = pd.DataFrame(
        {"stimulus_id": [name], "sentence": [SENTENCES[name]], "item": "1", "condition": "x"}
    )
    alone = trace(stimuli, model, progress=False).tokens
    together = traced.tokens[traced.tokens["stimulus_id"] == name]
    for column in alone.select_dtypes(float):
        np.testing.assert_allclose(alone[column], together[column], rtol=0, atol=TOLERANCE_BITS)


def test_words_hold_all_tokens(traced):
    by_token = traced.tokens.groupby("stimulus_id")["surprisal_bits"].sum()
    by_word = traced.words.groupby("stimulus_id")["surprisal_with_punct_bits"].sum()
    np.testing.assert_allclose(by_word[by_token.index], by_token, rtol=0, atol=1e-9)
    for name, sentence in SENTENCES.items():
        assert traced.words.loc[traced.words["stimulus_id"] == name, "word"].tolist() == sentence.split()


def test_tables_are_as_described(traced):
    for name in ("tokens", "layers", "words"):
        tables.validate(getattr(traced, name), name)
    assert traced.layers["layer"].nunique() == 30
    assert "surprisal_bits" in traced._repr_html_()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_values(traced):
    stimuli = pd.DataFrame({"stimulus_id": list(SENTENCES), "sentence": list(SENTENCES.values())})
    found = trace(stimuli.assign(item=stimuli["stimulus_id"], condition="x"), device="cuda", progress=False)
    for column in ("surprisal_bits", "entropy_bits", "sparsity_energy99", "adjustment_prev"):
        np.testing.assert_allclose(found.tokens[column], traced.tokens[column], rtol=0, atol=1e-3)
