"""The lens into one text is the trace's, its last layer the model's own, and what cannot be shown is said in a line."""

import numpy as np
import pytest
import torch
from depth_by_hand import TEXT, language_model, stimuli

from clada_neuro.errors import DataError, ModelError
from clada_neuro.instrument.lens_of_text import lens_of_text
from clada_neuro.instrument.trace import trace
from clada_neuro.widgets import lens_map


def test_the_lens_of_a_text_is_that_of_a_trace():
    model = language_model("gemma2")
    found = lens_of_text(model, TEXT)
    traced = trace(stimuli(TEXT), model, layers="all", progress=False)
    assert found["token_index"].unique().tolist() == traced.tokens["token_index"].tolist()
    index = traced.tokens.set_index("token_index")["word_index"]
    by_word = found.assign(word_index=found["token_index"].map(index)).groupby(["word_index", "layer"])
    expected = traced.word_layers.set_index(["word_index", "layer"])["lens_surprisal_bits"]
    np.testing.assert_allclose(by_word["lens_surprisal_bits"].sum(), expected, rtol=1e-5, atol=1e-5)


def test_the_last_layer_names_the_models_own_most_probable_token():
    model = language_model()
    ids = [model.start_token_id, *model.tokenizer(TEXT, add_special_tokens=False)["input_ids"]]
    with torch.inference_mode():
        p = model.model(torch.tensor([ids])).logits[0, :-1].softmax(dim=-1)
    last = lens_of_text(model, TEXT).query("layer == 2")
    expected = [model.tokenizer.decode([token]).strip() for token in p.argmax(dim=-1).tolist()]
    shown = [token if name else None for token, name in zip(last["top_token"], expected, strict=True)]
    assert shown == [name or None for name in expected]
    np.testing.assert_allclose(last["top_probability"], p.max(dim=-1).values, rtol=1e-6)


def test_the_picture_holds_every_token_and_shown_layer():
    figure = lens_map(language_model(layers=4), TEXT, every=2)
    assert "The last layer (3) has" in figure.caption


@pytest.mark.parametrize(
    ("kind", "text", "error", "match"),
    [
        ("llama", "", DataError, "leaves no token to predict"),
        ("llama", TEXT * 9, DataError, "tokens, the model reads"),
        ("mamba", TEXT, ModelError, "no lens into 'tiny mamba': model type 'mamba' has no residual stream"),
    ],
)
def test_what_cannot_be_shown_is_said(kind, text, error, match):
    with pytest.raises(error, match=match):
        lens_of_text(language_model(kind), text)
