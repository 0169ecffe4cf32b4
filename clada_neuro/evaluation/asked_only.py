"""Predictions where they are asked for alone: a vocabulary is wide, and most positions of a pass ask for none."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel


@contextmanager
def asked_only(model: PreTrainedModel, asked: Tensor) -> Iterator[None]:
    """Let the output layer see the asked positions ``(batch, seq)`` alone: logits are (1, positions, vocabulary)."""

    def select(_: torch.nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0][asked][None],)

    handle = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()
