"""What the runtime and the instrument need to know about a feed-forward block, whatever model it comes from.

A block maps x (hidden size) to Σ_i a_i·W_d[:, i], where a is its hidden activation: g ⊙ W_u x with g = σ(W_g x) in
gated blocks, σ(W_1 x) in plain ones. Two places can be left uncomputed: rows of the input weights ([W_g; W_u] or
W_1, stored by input) and rows of the down weights (stored by neuron).
"""

from functools import cached_property

import torch
from torch import Tensor, nn

from clada_neuro.errors import ModelError
from clada_neuro.models.attention_maps import AttentionMaps
from clada_neuro.models.families import Family
from clada_neuro.models.weights import is_plain, matrix


class FFN:
    """One feed-forward block of a model.

    `hidden` and `output` call the maps' ``forward``, past any hooks a runtime or an instrument has set on them.

    Parameters
    ----------
    layer : int
        Position in the model, from 0.
    module : torch.nn.Module
        Holds the block's linear maps (for OPT, which has no block of its own, the decoder layer).
    family : Family
        The names of its parts.
    holder : torch.nn.Module, optional
        The layer that the block belongs to.

    Attributes
    ----------
    inputs : tuple of torch.nn.Module
        The linear maps that read x: gate and up, one fused map, or the first map of a plain block.
    down : torch.nn.Module
        The linear map whose *input* is a, ``(batch, seq, intermediate)``; OPT flattens the first two.
    """

    def __init__(
        self, layer: int, module: nn.Module, family: Family, holder: nn.Module | None = None
    ) -> None:
        self.layer, self.module, self.family, self._holder = layer, module, family, holder
        self.inputs = tuple(module.get_submodule(name) for name in family.inputs)
        self.down = module.get_submodule(family.down)
        self.activation = module.get_submodule(family.activation)
        for part in (*self.inputs, self.down):
            if not is_plain(part):
                raise ModelError(
                    f"layer {layer}: the feed-forward block holds a {type(part).__name__}, an unquantised linear "
                    "map expected; load the model in float32 or bfloat16, without adapters"
                )

    @cached_property
    def attention(self) -> AttentionMaps:
        """The maps of attention in the same layer; `ModelError` where the layer has none that are known."""
        return AttentionMaps(self.layer, self._holder, self.family)

    @property
    def gated(self) -> bool:
        """Whether a = σ(W_g x) ⊙ W_u x."""
        return self.family.gated

    def hidden(self, x: Tensor) -> Tensor:
        """Return the hidden activation a ``(…, intermediate)`` of an input x ``(…, hidden)``."""
        first = self.inputs[0].forward(x)
        gate = self.gate(first)
        if not self.gated:
            return gate
        return gate * self.up(first if self.family.fused else self.up_map.forward(x))

    def gate(self, projected: Tensor) -> Tensor:
        """Return g (plain blocks: a) from what the first of `inputs` computed."""
        return self.activation(projected.chunk(2, dim=-1)[0] if self.family.fused else projected)

    @property
    def up_map(self) -> nn.Module:
        """The map that computes u (plain blocks: what a is made from)."""
        return self.inputs[-1]

    def up(self, projected: Tensor) -> Tensor:
        """Return u (plain blocks: a) from what `up_map` computed."""
        if not self.gated:
            return self.gate(projected)
        return projected.chunk(2, dim=-1)[1] if self.family.fused else projected

    def output(self, a: Tensor) -> Tensor:
        """Return the block's output ``(…, hidden)`` from the hidden activation."""
        return self.down.forward(a)

    @property
    def hidden_size(self) -> int:
        """Width of x."""
        return self.down_weight.shape[0]

    @property
    def intermediate_size(self) -> int:
        """Number of neurons."""
        return self.down_weight.shape[1]

    @property
    def down_weight(self) -> Tensor:
        """W_d ``(hidden, intermediate)``."""
        return matrix(self.down)

    @property
    def input_weight(self) -> Tensor:
        """[W_g; W_u] ``(2·intermediate, hidden)`` or W_1 ``(intermediate, hidden)``."""
        parts = [matrix(part) for part in self.inputs]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @cached_property
    def input_rows(self) -> Tensor:
        """`input_weight` stored by input: one contiguous row for each element of x."""
        return self.input_weight.t().contiguous()

    @cached_property
    def neuron_rows(self) -> Tensor:
        """W_d stored by neuron: one contiguous row for each neuron, ``(intermediate, hidden)``."""
        return self.down_weight.t().contiguous()

    @cached_property
    def neuron_norms(self) -> Tensor:
        """c_i = ‖W_d[:, i]‖₂ in float32, ``(intermediate,)``."""
        return _column_norms(self.down_weight)

    @cached_property
    def input_norms(self) -> Tensor:
        """‖[W_g; W_u][:, j]‖₂ in float32, ``(hidden,)``."""
        return _column_norms(self.input_weight)


def _column_norms(weight: Tensor) -> Tensor:
    """Return the norm of each column in float32, row by row as the weights lie: a tenth of the time of `Tensor.norm`."""
    return weight.float().square().sum(dim=0).sqrt()
