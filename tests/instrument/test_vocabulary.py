"""Roles of tokens are found once a tokenizer, and again when it changes."""

import torch
from tiny_models import tiny_checkpoint

from clada_neuro import load_model
from clada_neuro.instrument.vocabulary import Vocabulary

CPU = torch.device("cpu")


def test_roles_are_kept_as_long_as_the_tokenizer_is_the_same(tmp_path):
    tokenizer = load_model(tiny_checkpoint(tmp_path)).tokenizer
    first = Vocabulary.of(tokenizer, len(tokenizer) + 8, CPU)
    assert Vocabulary.of(tokenizer, len(tokenizer) + 8, CPU) is first
    assert len(Vocabulary.of(tokenizer, len(tokenizer), CPU).spaced) == len(tokenizer)
    before = len(tokenizer)
    tokenizer.add_tokens(["<turn>"], special_tokens=True)
    again = Vocabulary.of(tokenizer, before + 8, CPU)
    assert not first.ending[before]
    assert again.ending[before]
