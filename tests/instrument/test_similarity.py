"""Similarity to the context against cosines written out by hand, in float64, with the words counted by hand."""

import math

import numpy as np
import pytest
import torch
from depth_by_hand import language_model, stimuli

from clada_neuro.instrument.trace import trace

CONTEXT, SENTENCE = "It was dark outside.", "The farmer fed the grumpy goat, and the pigs."
# Words of Zipf frequency below 6, counted by hand; "it", "was", "the", "and" are not.
CONTENT = ["dark", "outside", "farmer", "fed", "grumpy", "goat", "pigs"]


def by_hand(model, vectors: np.ndarray) -> list[float]:
    """Return each word's cosine with the mean of the content words before it; vectors are of all tokens of the text."""
    text = f"{CONTEXT} {SENTENCE}"
    offsets = model.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    places, at = [], 0
    for word in text.split():
        core = word.strip(".,")
        start = text.index(core, at)
        at = start + len(core)
        # White space before a word is its own, punctuation is not.
        spans = enumerate(offsets)
        places.append([n for n, (low, high) in spans if low < at and high > start - text[low:high].isspace()])
    words = [vectors[tokens].mean(axis=0) for tokens in places]
    found = []
    for number in range(len(places)):
        before = [
            words[n] for n, other in enumerate(text.split()[:number]) if other.strip(".,").lower() in CONTENT
        ]
        mean = np.mean(before, axis=0) if before else np.full(vectors.shape[1], np.nan)
        found.append(float(words[number] @ mean / np.linalg.norm(words[number]) / np.linalg.norm(mean)))
    return found[len(CONTEXT.split()) :]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "opt"])
def test_similarity_is_its_definition_by_embeddings_and_by_layer(kind):
    model = language_model(kind)
    traced = trace(stimuli(SENTENCE, context=[CONTEXT]), model, layers="0,1", progress=False)
    ids = model.tokenizer(f"{CONTEXT} {SENTENCE}", add_special_tokens=False)["input_ids"]
    static = model.model.get_input_embeddings().weight
    static = (static[ids] - static.mean(dim=0)).numpy()
    np.testing.assert_allclose(traced.words["similarity_context"], by_hand(model, static), atol=1e-12)
    with torch.inference_mode():
        states = model.model(
            torch.tensor([[model.start_token_id, *ids]]), output_hidden_states=True
        ).hidden_states
    for layer in (0, 1):
        values = traced.word_layers.query("layer == @layer")["similarity_context"]
        np.testing.assert_allclose(values, by_hand(model, states[layer + 1][0, 1:].numpy()), atol=1e-9)


def test_words_without_content_words_before_them_are_missing():
    model = language_model()
    texts = stimuli("It was the goat, and then it was the pigs", "--", "Goats eat")
    traced = trace(texts, model, layers="all", progress=False)
    for table in (traced.words, traced.word_layers.query("layer == 2")):
        by_text = [part["similarity_context"].to_numpy() for _, part in table.groupby("stimulus_id")]
        assert np.isnan(by_text[0]).tolist() == [True] * 4 + [False] * 6
        assert np.isnan(by_text[1]).all()
        assert np.isnan(by_text[2]).tolist() == [True, False]


def test_similarity_does_not_depend_on_company_and_later_words():
    model = language_model()
    alone = trace(stimuli(SENTENCE), model, layers="all", progress=False)
    longer = f"{SENTENCE} Nobody laughed."
    both = trace(stimuli(SENTENCE, longer), model, layers="all", progress=False)
    for name in ("words", "word_layers"):
        one, other = getattr(alone, name), getattr(both, name)
        for text in ("0", "1"):  # noqa: B007, read by the query
            values = other.query("stimulus_id == @text")["similarity_context"].to_numpy()[: len(one)]
            np.testing.assert_allclose(values, one["similarity_context"], atol=1e-6)


def test_the_language_decides_which_words_are_frequent():
    model = language_model()
    sentence = stimuli("Die Ziege war die Ziege")
    german = trace(sentence, model, language="de", progress=False).words["similarity_context"]
    english = trace(sentence, model, language="en", progress=False).words["similarity_context"]
    assert german.iloc[4] == pytest.approx(1.0)  # the same word is all of its context
    assert math.isnan(german.iloc[1])
    assert english.iloc[4] < 0.999


def test_without_a_start_token_the_first_token_counts_in_no_layer():
    model = language_model()
    bare = type(model)("tiny", model.model, model.tokenizer, None, "0" * 16)
    traced = trace(stimuli("Goats eat grass"), bare, layers="all", progress=False)
    assert traced.words["similarity_context"].isna().tolist() == [True, False, False]
    first = traced.word_layers.query("word_index == 0")["similarity_context"]
    assert first.isna().all()


def test_the_real_model_finds_related_words_nearer():
    pairs = [
        ("The farmer milked the", "cow", "piano"),
        ("In the hospital the doctor treated the", "patient", "guitar"),
        ("The pilot landed the", "plane", "soup"),
        ("The fisherman caught the", "fish", "lamp"),
        ("The carpenter hammered the", "nail", "moon"),
    ]
    texts = stimuli(*(f"{before} {word}" for before, *words in pairs for word in words))
    near = trace(texts, "smollm2", progress=False).words.groupby("stimulus_id", sort=False)
    related, other = near["similarity_context"].last().to_numpy().reshape(-1, 2).T
    assert (related > other).all()
