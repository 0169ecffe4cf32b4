"""How a model's tokens spread their attention, layer by layer.

Attention is mostly computed by kernels that never hold its weights. Here a model runs with the plain form of its own
family, which gives them, and each layer's are dropped as soon as their entropy is known. Whether a family gives them is
tried on a few tokens: each layer's weights, (rows, heads, seq, seq), must be distributions over tokens.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from clada_neuro.models.placing import home

PLAIN = "eager"
_LENGTH = 16  # tokens
_TOLERANCE = 1e-2  # of the sum of weights, which bfloat16 rounds


class Attention:
    """The attention of a causal language model.

    Attributes
    ----------
    layers : list of int
        Those that give their weights; others have none, as layers of hybrid models that are recurrent.
    missing : str
        Why some have none, empty where all have.
    """

    def __init__(self, model: PreTrainedModel, layers: nn.ModuleList) -> None:
        self._model, self._modules = model, layers
        self.layers, self.missing = self._tried()

    @contextmanager
    def recorded(self, layers: Collection[int]) -> Iterator[dict[int, Tensor]]:
        """Record the entropy of attention in bits, mean over heads, while the model runs: each (rows, seq)."""
        found: dict[int, Tensor] = {}
        handles = [handle for layer in layers for handle in self._watch(layer, found)]
        try:
            with _plain(self._model):
                yield found
        finally:
            for handle in handles:
                handle.remove()

    def _watch(self, layer: int, found: dict[int, Tensor]) -> Iterator[Any]:
        def see(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
            weights = _weights(output)
            if weights is not None and layer not in found:  # a layer may hand on what a part of it gave
                found[layer] = entropy_bits(weights)

        for module in self._modules[layer].modules():
            yield module.register_forward_hook(see)

    @torch.inference_mode()
    def _tried(self) -> tuple[list[int], str]:
        every = range(len(self._modules))
        size = int(self._model.get_output_embeddings().weight.shape[0])
        ids = (torch.arange(3, 3 + _LENGTH, device=home(self._model)) % size)[None]
        with self.recorded(every) as found:
            self._model(input_ids=ids, use_cache=False)
        able = [layer for layer in every if layer in found and bool(found[layer].isfinite().all())]
        if len(able) == len(every):
            return able, ""
        kind = self._model.config.get_text_config().model_type
        without = ", ".join(str(layer) for layer in every if layer not in able)
        which = f" in layers {without}" if able else ""
        return able, f"model type '{kind}' gives no attention weights that are shares of the tokens{which}"


def entropy_bits(weights: Tensor) -> Tensor:
    """Return the entropy of attention in bits, mean over heads, (rows, seq).

    Parameters
    ----------
    weights : torch.Tensor, shape (rows, heads, seq, keys)
        Missing where a row of them does not sum to 1, as with a sink that is no token.
    """
    weights = weights.to(torch.promote_types(weights.dtype, torch.float32))
    bits = torch.special.entr(weights).sum(dim=-1) / torch.log(weights.new_tensor(2.0))
    whole = (weights.sum(dim=-1) - 1).abs() <= _TOLERANCE
    return bits.masked_fill(~whole, torch.nan).mean(dim=1)


def _weights(output: Any) -> Tensor | None:
    """Return the attention weights in what a module gave, if it gave any."""
    if not isinstance(output, tuple) or len(output) < 2:
        return None
    weights = output[1]
    square = isinstance(weights, Tensor) and weights.dim() == 4 and weights.shape[-1] == weights.shape[-2]
    return weights if square else None


@contextmanager
def _plain(model: PreTrainedModel) -> Iterator[None]:
    """Let a model compute attention in the plain form, where it can choose."""
    own = model.config._attn_implementation
    log = logging.getLogger("transformers.modeling_utils")
    level = log.level
    log.setLevel(logging.ERROR)  # a model that cannot choose says so at each call
    try:
        model.set_attn_implementation(PLAIN)
        yield
    finally:
        model.set_attn_implementation(own)
        log.setLevel(level)
