"""The compiled token step as a kernel: PyTorch reads the prompt, then its threads sleep."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.kernels.llama_step import LlamaStep
from clada_neuro.runtime.thresholds import Compensation


class CompiledKernel:
    """A Llama-like model on the CPU; methods as in `clada_neuro.runtime.kernels.session.Kernel`.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Runs the dense prefill.
    compiled : LlamaStep
        The same model's compiled step.
    """

    def __init__(self, model: PreTrainedModel, compiled: LlamaStep) -> None:
        self.model, self.compiled = model, compiled
        self.layers = ffn_layers(model)
        self._scale = -1.0

    def prefill(self, ids: Tensor) -> Tensor:
        """Process a prompt ``(tokens,)`` with the model itself; return the next token's logits ``(1, vocabulary)``."""
        output = self.model(ids[None], use_cache=True, logits_to_keep=1)
        return self.compiled.start(output.past_key_values, output.logits[0, -1])[None]

    def step(self, token: Tensor) -> Tensor:
        """Process ``token (1,)``; return the next one's logits ``(1, vocabulary)``, overwritten by the next call."""
        return self.compiled(int(token), self._scale)[None]

    def use_neurons(self, neurons: Tensor | None) -> None:
        """Compute only ``neurons (layers, kept)`` from now on, ``None`` for all, and compensate for nothing."""
        self.compiled.use_neurons(self.layers, neurons)
        self.compiled.bias.zero_()
        self._scale = -1.0

    def use_cutoffs(self, inputs: Tensor | None, neurons: Tensor | None) -> None:
        """Keep rows with |value| ≥ scale·cutoff."""
        self.compiled.use_cutoffs(inputs, neurons)

    def follow(self, scale: Tensor, mean: Compensation | None) -> None:
        """Set scale and bias, on plain numbers: between two tokens of a small model a tensor is a long way."""
        new = float(scale)
        if new == self._scale:
            return
        self._scale = new
        if mean is not None:
            mean.put(new, self.compiled.bias)

    def surprisal_and_entropy(self, token: Tensor) -> tuple[float, float]:
        """Return those of a token ``(1,)`` drawn from the last logits, in bits."""
        return self.compiled.surprisal_and_entropy(int(token))

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Keep PyTorch's operations on this thread: its workers would spin, waiting for more, on the step's cores."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    @property
    def input_mask(self) -> Tensor:
        """Which inputs the last token read, ``(layers, hidden)``."""
        return self.compiled.input_mask

    @property
    def neuron_mask(self) -> Tensor:
        """Which neurons the last token read, ``(layers, neurons)``."""
        return self.compiled.neuron_mask

    @property
    def activity(self) -> Tensor:
        """The last token's hidden activation a, ``(layers, neurons)``."""
        return self.compiled.activity
