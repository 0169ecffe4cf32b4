"""Predictions at many positions without holding them all: a vocabulary is some hundred times as wide as a state.

A pass keeps what its output layer would have read, ``(batch, seq, hidden)``; logits come from that, a few positions at a
time. None of the supported families does anything to logits after the output layer.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

AT_ONCE = 256  # positions


class States:
    """What the output layer reads, from the passes inside `kept`."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._head: Callable[[Tensor], Tensor] = model.get_output_embeddings()
        self.last: Tensor | None = None

    def logits(self, row: Tensor, position: Tensor) -> Tensor:
        """Return the last pass's logits ``(n, vocabulary)`` at n positions."""
        assert self.last is not None
        return self._head(self.last[row, position])


@contextmanager
def kept(model: PreTrainedModel) -> Iterator[States]:
    """Let the output layer see the last position alone inside a ``with`` block, and keep what it reads at all of them."""
    states = States(model)

    def keep(_: torch.nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        states.last = args[0]
        return (args[0][:, -1:],)

    handle = model.get_output_embeddings().register_forward_pre_hook(keep)
    try:
        yield states
    finally:
        handle.remove()
