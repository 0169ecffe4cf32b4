"""What every kernel computes, in plain PyTorch: only kept rows are read."""

import torch
from torch import Tensor

from clada_neuro.models.ffn import FFN
from clada_neuro.runtime.policy import HIDDEN, INPUT, Policy, State


def kept_rows(values: Tensor, rows: Tensor, keep: Tensor) -> Tensor:
    """Return Σ values[j]·rows[j] over kept j.

    Parameters
    ----------
    values : Tensor
        ``(n,)``.
    rows : Tensor
        ``(n, m)``, one contiguous row for each value.
    keep : Tensor
        ``(n,)``, bool.
    """
    index = keep.nonzero().squeeze(1)
    return values[index] @ rows[index]


def block(ffn: FFN, policy: Policy, state: State, x: Tensor) -> Tensor:
    """Return a block's output ``(hidden,)`` for one token's x ``(hidden,)`` under an input-and-hidden policy."""
    keep = policy.select(ffn.layer, INPUT, x[None, None], state)[0, 0]
    projected = kept_rows(x, ffn.input_rows, keep) + _bias(ffn.inputs, like=x)
    if ffn.gated:
        gate, up = projected.chunk(2)
        a = ffn.gate(projected if len(ffn.inputs) == 1 else gate) * up
    else:
        a = ffn.gate(projected)
    keep = policy.select(ffn.layer, HIDDEN, a[None, None], state)[0, 0]
    y = kept_rows(a, ffn.neuron_rows, keep) + _bias((ffn.down,), like=x)
    bias = policy.compensation(ffn.layer, state)
    return y if bias is None else y + bias.reshape(-1)


def _bias(parts: tuple[torch.nn.Module, ...], like: Tensor) -> Tensor:
    biases = [part.bias for part in parts]
    if biases[0] is None:
        return like.new_zeros(())
    return torch.cat(biases)  # type: ignore[arg-type]
