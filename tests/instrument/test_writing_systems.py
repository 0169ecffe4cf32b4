"""The words of any script hold the surprisals of their tokens, those of bytes and those that cross characters included."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from local_tokenizers import KINDS
from tiny_language import tiny_language
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from clada_neuro import read_stimuli
from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import LanguageModel

TEXTS = pd.DataFrame(
    {
        "sentence": [
            "我|喜欢|猫。",
            "猫|坐在|窗台|上",
            "ฉัน|ชอบ|แมว",
            "나|는 고양이|를",
            "أكل الولد التفاحة.",
            "הילד אכל את התפוח",
        ],
        "critical_word": ["喜欢|猫", "坐在", "ชอบ", "고양이", "الولد", "את התפוח"],
    }
)


def crossing() -> LanguageModel:
    """Byte-level tokens that end in one character and begin in the middle of another, across words."""
    letters = dict(zip("我喜欢猫", map(as_bytes, "我喜欢猫"), strict=True))
    merges = [
        (letters["我"][2], letters["喜"][0]),
        (letters["喜"][1], letters["喜"][2]),
        (letters["欢"][2], letters["猫"][0]),
    ]
    vocabulary = {"<s>": 0} | {
        byte: 1 + k for k, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    vocabulary |= {"".join(pair): len(vocabulary) + k for k, pair in enumerate(merges)}
    backend = Tokenizer(models.BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<s>")
    model = tiny_language("byte-level").model
    assert model.config.vocab_size >= len(vocabulary)
    return LanguageModel("crossing", model, tokenizer, 0, "0" * 16)


def as_bytes(letter: str) -> str:
    ((text, _),) = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(letter)
    return text


def exact_bits(model: LanguageModel, ids: list[int]) -> np.ndarray:
    """Return the surprisal of every token by a plain pass in float64."""
    plain = (
        tiny_language("byte-level", dtype=torch.float64).model
        if model.name == "crossing"
        else model.model.double()
    )
    with torch.inference_mode():
        logits = plain(torch.tensor([[model.start_token_id, *ids]])).logits[0]
    log_p = logits.log_softmax(-1)[torch.arange(len(ids)), torch.tensor(ids)]
    return -log_p.numpy() / math.log(2)


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_any_script_hold_all_tokens(kind):
    traced = trace(read_stimuli(TEXTS, separator="|"), tiny_language(kind), progress=False)
    tokens = traced.tokens.groupby("stimulus_id")["surprisal_bits"].sum()
    words = traced.words.groupby("stimulus_id")["surprisal_with_punct_bits"].sum()
    np.testing.assert_allclose(words, tokens, atol=1e-9)
    critical = traced.words[traced.words["is_critical"]]
    assert critical["word"].tolist() == ["喜欢猫。", "坐在", "ชอบ", "고양이", "الولد", "את התפוח"]
    # A token may cover several words, all the more where a tokenizer does not know their letters: that is told.
    without = traced.words[traced.words["n_tokens"] == 0]
    assert without["surprisal_bits"].isna().all()
    assert without["shares_token"].all()
    (note,) = (one for one in traced.manifest["text_notes"] if "share a token" in one)
    assert f"{len(without)} have none of their own" in note


def test_tokens_that_cross_characters_count_once_and_are_told():
    model = crossing()
    frame = pd.DataFrame({"sentence": ["我|喜欢|猫"]})
    traced = trace(read_stimuli(frame, separator="|"), model, progress=False)
    ids = model.tokenizer("我喜欢猫", add_special_tokens=False).input_ids
    assert len(ids) == 12 - 3
    bits = exact_bits(model, ids)
    # 我 has the bytes 1 and 2 and the token of 我3+喜1; 喜欢 has 喜2+喜3, 欢1, 欢2 and the token of 欢3+猫1.
    expected = [bits[:3].sum(), bits[3:7].sum(), bits[7:].sum()]
    np.testing.assert_allclose(traced.words["surprisal_bits"], expected, atol=1e-4)
    assert traced.words["shares_token"].tolist() == [True, True, True]
    assert traced.manifest["text_notes"][-1].startswith("3 of 3 words share a token with a neighbour")


def test_a_critical_region_has_the_bits_of_its_words():
    model = tiny_language()
    sentence = "The old sailor told the children a story."
    apart, together = (
        trace(
            read_stimuli(pd.DataFrame({"sentence": [sentence], "critical_word": [word]})),
            model,
            progress=False,
        ).words
        for word in ("children", "told the children")
    )
    (region,) = together[together["is_critical"]].to_dict("records")
    parts = apart.iloc[3:6]
    assert region["surprisal_bits"] == pytest.approx(parts["surprisal_bits"].sum(), abs=1e-9)
    assert region["entropy_bits"] == pytest.approx(parts["entropy_bits"].iloc[0], abs=1e-9)
    assert region["n_tokens"] == parts["n_tokens"].sum()
    after = together["word_index"] > 3
    np.testing.assert_allclose(
        together.loc[after, "surprisal_bits"], apart["surprisal_bits"].iloc[6:], atol=1e-9
    )
