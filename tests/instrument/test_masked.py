"""Pseudo-log-likelihoods of masked models, token by token against float64 by the definition."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from local_tokenizers import byte_level, word_piece
from tiny_models import ENCODERS
from tokenizers import processors
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedTokenizerFast

from clada_neuro import generate, read_stimuli
from clada_neuro.errors import ModelError
from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import load_model

SENTENCE = "The old sailor didn't believe, (he said) that story."
# Words as written, and which letters of each are its own.
WORDS = ["The", "old", "sailor", "didn't", "believe,", "(he", "said)", "that", "story."]


def checkpoint(folder, kind: str):
    """Save a tiny masked model with a tokenizer that puts its special tokens around a text."""
    backend = word_piece() if kind == "bert" else byte_level(trim=True)
    special = ["<s>", "<pad>", "</s>", "<mask>"]
    backend.add_special_tokens(special)
    ids = {token: backend.token_to_id(token) for token in special}
    around = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(token, ids[token]) for token in ("<s>", "</s>")]
    )
    backend.post_processor = processors.Sequence(
        [*([backend.post_processor] if backend.post_processor else []), around]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, mask_token="<mask>", pad_token="<pad>", cls_token="<s>", sep_token="</s>",
        unk_token="<unk>",
    )  # fmt: skip
    torch.manual_seed(0)
    size = {"vocab_size": len(tokenizer), "pad_token_id": ids["<pad>"] if kind == "bert" else 1}
    config = AutoConfig.for_model(kind, **{**ENCODERS[kind], **size})
    model = AutoModelForMaskedLM.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                weight.mul_(8)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["bert", "roberta"])
def model(request, tmp_path_factory):
    return load_model(checkpoint(tmp_path_factory.mktemp(request.param), request.param), device="cpu")


def parts(text: str, words: list[str], offsets: list[tuple[int, int]]) -> list[tuple[int, bool]]:
    """Return for each token its word and whether it is the word's own, by the letters it covers."""
    own, end = {}, 0
    for number, word in enumerate(words):
        start = text.index(word, end)
        end = start + len(word)
        core = word.strip(".,()")
        first = start + word.index(core)
        own |= {place: (number, first <= place < first + len(core)) for place in range(start, end)}
    after = {place: (own[min(at for at in own if at >= place)][0], True) for place in range(max(own) + 1)}
    # White space alone belongs to the word that follows it.
    return [next((own[place] for place in range(*span) if place in own), after[span[0]]) for span in offsets]


def by_definition(model, ids: list[int], groups: list) -> np.ndarray:
    """Return −log2 p of each token with it and the later tokens of its group masked, in float64."""
    exact = AutoModelForMaskedLM.from_pretrained(model.name, dtype=torch.float64).eval()
    tokenizer, bits = model.tokenizer, []
    for place, token in enumerate(ids):
        masked = [
            tokenizer.mask_token_id if at >= place and groups[at] == groups[place] else other
            for at, other in enumerate(ids)
        ]
        whole = torch.tensor([[tokenizer.cls_token_id, *masked, tokenizer.sep_token_id]])
        with torch.inference_mode():
            log_p = exact(input_ids=whole).logits[0, place + 1].log_softmax(-1)
        bits.append(-float(log_p[token]) / math.log(2))
    return np.array(bits)


def test_words_have_their_pseudo_log_likelihood(model):
    traced = trace(read_stimuli(pd.DataFrame({"sentence": [SENTENCE]})), model, progress=False)
    encoded = model.tokenizer(SENTENCE, add_special_tokens=False, return_offsets_mapping=True)
    groups = parts(SENTENCE, WORDS, encoded.offset_mapping)
    exact = by_definition(model, encoded.input_ids, groups)
    np.testing.assert_allclose(traced.tokens["pseudo_surprisal_bits"], exact, atol=1e-4)
    words = [
        sum(bits for bits, part in zip(exact, groups, strict=True) if part == (place, True))
        for place in range(9)
    ]
    np.testing.assert_allclose(traced.words["pseudo_surprisal_bits"], words, atol=1e-4)
    assert len(encoded.input_ids) > len(WORDS) + 4  # words of several tokens, and punctuation
    assert traced.words[["surprisal_bits", "entropy_bits"]].isna().all(axis=None)
    assert "sparsity_energy99" not in traced.words
    assert traced.manifest["model"]["scoring"].startswith("pseudo-log-likelihood, within-word left to right")
    assert "masked language model" in traced.manifest["activity"]
    assert traced.words["pseudo_surprisal_bits_lag1"].iloc[1:].tolist() == pytest.approx(words[:-1], abs=1e-4)


def test_texts_do_not_depend_on_each_other_and_contexts_are_seen(model):
    frame = pd.DataFrame(
        {"item": [1, 2, 3], "condition": "a", "sentence": [SENTENCE, "Nobody slept.", SENTENCE],
         "context": ["", "She left.", "She left."]}
    )  # fmt: skip
    together = trace(read_stimuli(frame), model, progress=False).words
    for item in ("1", "2", "3"):
        alone = trace(read_stimuli(frame[frame["item"] == int(item)]), model, progress=False).words
        np.testing.assert_allclose(
            together.loc[together["item"] == item, "pseudo_surprisal_bits"],
            alone["pseudo_surprisal_bits"],
            atol=1e-5,
        )
    first, third = (
        together.loc[together["item"] == item, "pseudo_surprisal_bits"].to_numpy() for item in "13"
    )
    assert np.abs(first - third).max() > 0.01


def test_a_text_beyond_the_window_is_scored_once_in_the_middle_of_windows(model):
    assert model.max_context == (128 if model.model.config.model_type == "bert" else 126)
    text = " ".join([SENTENCE] * 16)
    traced = trace(read_stimuli(pd.DataFrame({"sentence": [text]})), model, progress=False)
    encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, n, room = encoded.input_ids, len(encoded.input_ids), model.max_context - 2
    assert n > 2 * room
    found = traced.tokens["pseudo_surprisal_bits"].to_numpy()
    assert np.isfinite(found).all()
    groups = parts(text, text.split(), encoded.offset_mapping)
    first = by_definition(model, ids[:room], groups[:room])
    quarter = room // 2 + room // 4  # where the second window takes over
    np.testing.assert_allclose(found[:quarter], first[:quarter], atol=1e-4)
    last = by_definition(model, ids[n - room :], groups[n - room :])
    np.testing.assert_allclose(found[n - room // 4 :], last[-(room // 4) :], atol=1e-4)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda model: generate(model, "The old", max_new_tokens=2),
            "predicts masked words from both sides: it can be traced",
        ),
        (lambda model: trace("demo.csv", model.name, start_token="0"), "leave the start token out"),
    ],
)
def test_what_a_masked_model_does_not_do_is_one_line(tmp_path, model, use, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"sentence": ["One."]}).to_csv("demo.csv")
    with pytest.raises(ModelError, match=message):
        use(model)


def test_most_probable_tokens_are_refused(model):
    with pytest.raises(ModelError, match="leave --top-k out"):
        trace(pd.DataFrame({"sentence": ["One."]}), model, top_k=3, progress=False)


def test_the_whole_text_makes_the_stimulus(model):
    frame = pd.DataFrame({"sentence": ["The sailor left.", "The sailor told."]})
    words = trace(read_stimuli(frame), model, progress=False).words
    assert words["stimulus"].nunique() == 6
    twice = trace(
        read_stimuli(pd.DataFrame({"sentence": ["He left.", "He left.", "He he."]})), model, progress=False
    ).words
    assert twice["stimulus"].nunique() == 4
    np.testing.assert_allclose(
        *(twice["pseudo_surprisal_bits"].iloc[part] for part in (slice(0, 2), slice(2, 4))), atol=1e-5
    )
