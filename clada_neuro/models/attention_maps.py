"""The linear maps of a layer's attention: what a runtime can leave uncomputed there.

One map or three make queries, keys and values of the same x (the layer's normed input); one more reads what the heads gathered.
Rows of both can be left out: of [W_q; W_k; W_v] by input, and of W_o by input.
"""

from functools import cached_property

import torch
from torch import Tensor, nn

from clada_neuro.errors import ModelError
from clada_neuro.models.families import Family
from clada_neuro.models.weights import is_plain, matrix


class AttentionMaps:
    """The maps of one layer's attention.

    Parameters
    ----------
    layer : int
        Position in the model, from 0.
    holder : torch.nn.Module or None
        The decoder layer.
    family : Family
        The names of its parts.

    Attributes
    ----------
    module : torch.nn.Module
        The attention.
    qkv : tuple of torch.nn.Module
        Read x ``(batch, seq, hidden)``, in the order of the model's calls.
    out : torch.nn.Module
        Reads what the heads gathered, ``(batch, seq, mixed)``.

    Raises
    ------
    ModelError
        If the layer has no such maps, or they are quantised or wrapped.
    """

    def __init__(self, layer: int, holder: nn.Module | None, family: Family) -> None:
        self.layer = layer
        try:
            if holder is None:
                raise AttributeError("no layer that holds attention is known")
            self.module = holder.get_submodule(family.attention)
            self.qkv = tuple(self.module.get_submodule(name) for name in family.qkv)
            self.out = self.module.get_submodule(family.out)
        except AttributeError as error:
            raise ModelError(
                f"layer {layer} has no maps {', '.join(family.qkv)} and {family.out} of attention at "
                f"'{family.attention}' ({error}); leave attention dense (scope ffn)"
            ) from error
        for part in (*self.qkv, self.out):
            if not is_plain(part):
                raise ModelError(
                    f"layer {layer}: attention holds a {type(part).__name__}, an unquantised linear map expected; load the "
                    "model in float32 or bfloat16, without adapters, or leave attention dense (scope ffn)"
                )

    @property
    def hidden_size(self) -> int:
        """Width of x."""
        return self.qkv_weight.shape[1]

    @property
    def mixed_size(self) -> int:
        """Width of what the heads gathered."""
        return self.out_weight.shape[1]

    @property
    def qkv_weight(self) -> Tensor:
        """[W_q; W_k; W_v] ``(queries + keys + values, hidden)``."""
        parts = [matrix(part) for part in self.qkv]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @property
    def out_weight(self) -> Tensor:
        """W_o ``(hidden, mixed)``."""
        return matrix(self.out)

    @cached_property
    def qkv_norms(self) -> Tensor:
        """‖[W_q; W_k; W_v][:, j]‖₂ in float32, ``(hidden,)``."""
        return self.qkv_weight.float().norm(dim=0)

    @cached_property
    def out_norms(self) -> Tensor:
        """‖W_o[:, j]‖₂ in float32, ``(mixed,)``."""
        return self.out_weight.float().norm(dim=0)
