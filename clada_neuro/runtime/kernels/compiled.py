"""The compiled token step as a kernel: PyTorch reads the prompt, then its threads sleep."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.kernels.llama_step import LlamaStep
from clada_neuro.runtime.policy import HIDDEN, INPUT, OUT, QKV
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

    skips_attention = True

    def __init__(self, model: PreTrainedModel, compiled: LlamaStep) -> None:
        self.model, self.compiled = model, compiled
        self.layers = ffn_layers(model)
        self._biases = {HIDDEN: compiled.bias, QKV: compiled.qkv_bias, OUT: compiled.out_bias}
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
        for bias in self._biases.values():
            bias.zero_()
        self._scale = -1.0

    def use_cutoffs(self, cutoffs: Mapping[str, Tensor]) -> None:
        """Keep rows with |value| ≥ scale·cutoff."""
        self.compiled.use_cutoffs(*(cutoffs.get(site) for site in (INPUT, HIDDEN, QKV, OUT)))

    def follow(self, scale: Tensor, means: Mapping[str, Compensation]) -> None:
        """Set scale and biases, on plain numbers: between two tokens of a small model a tensor is a long way."""
        new = float(scale)
        if new == self._scale:
            return
        self._scale = new
        for site, mean in means.items():
            mean.put(new, self._biases[site])

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
    def masks(self) -> dict[str, Tensor]:
        """Which rows the last token read, ``(layers, rows)`` by site; those of attention under cut-offs of it."""
        step = self.compiled
        return {
            INPUT: step.input_mask,
            HIDDEN: step.neuron_mask,
            QKV: step.qkv_mask,
            OUT: step.out_mask,
        }

    @property
    def activity(self) -> Tensor:
        """The last token's hidden activation a, ``(layers, neurons)``."""
        return self.compiled.activity
