"""The start token: chosen by rule, never a chat marker, refused when unknown."""

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from clada_neuro.errors import ModelError
from clada_neuro.models.start_token import resolve_start_token


def tokenizer(*tokens: str, **special: str) -> PreTrainedTokenizerFast:
    vocabulary = {token: number for number, token in enumerate(("a", "b", *tokens))}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


@pytest.mark.parametrize(
    ("tokens", "special", "chosen"),
    [
        (("<s>", "</s>"), {"bos_token": "<s>", "eos_token": "</s>"}, "<s>"),
        (("<|endoftext|>",), {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}, "<|endoftext|>"),
        (("<|im_start|>", "<|endoftext|>"), {"bos_token": "<|im_start|>"}, "<|endoftext|>"),
        (("<|im_start|>", "<|im_end|>"), {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}, None),
        (("<|endoftext|>", "<|im_end|>"), {"eos_token": "<|im_end|>"}, "<|endoftext|>"),
        (("[end]",), {"eos_token": "[end]"}, "[end]"),
        (("</s>",), {"bos_token": "</s>"}, "</s>"),
        (("<start_of_turn>", "<bos>"), {"bos_token": "<start_of_turn>"}, "<bos>"),
        ((), {}, None),
    ],
)
def test_auto_takes_a_document_marker(tokens, special, chosen):
    found = resolve_start_token(tokenizer(*tokens, **special), "auto")
    assert (None if found is None else tokenizer(*tokens).convert_ids_to_tokens(found)) == chosen


def test_explicit_choices():
    known = tokenizer("<s>", bos_token="<s>")
    assert resolve_start_token(known, None) is None
    assert resolve_start_token(known, "none") is None
    assert resolve_start_token(known, 1) == 1
    assert resolve_start_token(known, "1") == 1
    assert resolve_start_token(known, "<s>") == 2
    assert resolve_start_token(known, "b") == 1


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("<S>", "did you mean '<s>'"),
        (3, "0 to 2"),
        (-1, "0 to 2"),
        ("-1", "0 to 2"),
        ("²", "'²' is not in the vocabulary"),
        ("--1", "'--1' is not in the vocabulary"),
        ("zebra", "special tokens are <s>"),
    ],
)
def test_unknown_choices_are_refused(choice, message):
    with pytest.raises(ModelError, match=message):
        resolve_start_token(tokenizer("<s>", bos_token="<s>"), choice)
