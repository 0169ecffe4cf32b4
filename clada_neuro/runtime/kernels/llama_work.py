"""What changes from token to token in the compiled step, and what a policy decides for a sequence."""

from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedModel

from clada_neuro.runtime.kernels.cpu import Array, aligned
from clada_neuro.runtime.kernels.llama_weights import LlamaWeights
from clada_neuro.runtime.kernels.rounding import Rounded, memory_for
from clada_neuro.runtime.kernels.stored import outputs_of


class RowCutoffs(NamedTuple):
    """What a policy decides for a sequence."""

    inputs: Array  # (L, H)
    neurons: Array  # (L, I)
    qkv: Array  # (L, H)
    out: Array  # (L, q heads·D)


class Work(NamedTuple):
    """What changes from token to token."""

    keys: Array  # (L, kv heads, T, D), rotated
    values: Array  # (L, kv heads, T, D)
    residual: Array  # (N, H): a copy a thread
    normed: Array  # (N, H)
    qkv: Array  # ((q heads + 2 kv heads)·D,)
    scores: Array  # (N, T)
    mixed: Array  # (q heads·D,)
    attended: Array  # (H,)
    hidden: Array  # (N, 2·I/N)
    partial: Array  # (N, H)
    own_qkv: Array  # (N, width of qkv_rows): what a thread's inputs give
    own_out: Array  # (N, width of out_rows): likewise
    kept: Array  # (N, max(H, I/N, q heads·D))
    rounded: tuple[Rounded, ...]  # (N,): of as many, what blocks of GGUF are multiplied by
    bias: Array  # (L, H): stands in for dropped rows of the block
    qkv_bias: Array  # (L, (q heads + 2 kv heads)·D): likewise
    out_bias: Array  # (L, H): likewise
    input_mask: Array  # (L, H)
    neuron_mask: Array  # (L, I)
    qkv_mask: Array  # (L, H)
    out_mask: Array  # (L, q heads·D)
    activity: Array  # (L, I): a
    logits: Array  # (V,)
    counter: Array  # (8,): one cache line


def work_for(model: PreTrainedModel, weights: LlamaWeights, threads: int) -> Work:
    """Return room for sequences of as many tokens as the weights have positions."""
    layers, hidden = weights.qkv.shape[0], weights.norms.shape[1]
    mixed = model.config.num_attention_heads * 2 * weights.rotation.shape[2]
    return Work(
        residual=_zeros(threads, hidden),
        normed=_zeros(threads, hidden),
        qkv=_zeros(weights.qkv.shape[1]),
        mixed=_zeros(mixed),
        attended=_zeros(hidden),
        partial=_zeros(threads, hidden),
        bias=_zeros(layers, hidden),
        qkv_bias=_zeros(layers, weights.qkv.shape[1]),
        out_bias=_zeros(layers, hidden),
        input_mask=_zeros(layers, hidden, dtype=np.bool_),
        qkv_mask=_zeros(layers, hidden, dtype=np.bool_),
        out_mask=_zeros(layers, mixed, dtype=np.bool_),
        logits=_zeros(weights.head.shape[0]),
        counter=_zeros(8, dtype=np.int64),
        **of_context(model, weights, threads),
        **of_block(weights, mixed),
        **of_attention(weights, threads),
    )


def of_context(model: PreTrainedModel, weights: LlamaWeights, threads: int) -> dict[str, Any]:
    """Return what depends on the longest sequence."""
    context, _, half = weights.rotation.shape
    shape = (weights.qkv.shape[0], model.config.num_key_value_heads, context, 2 * half)
    return {"keys": _zeros(*shape), "values": _zeros(*shape), "scores": _zeros(threads, context)}


def of_block(weights: LlamaWeights, mixed: int) -> dict[str, Any]:
    """Return what depends on the number of neurons; heads gather ``mixed`` numbers."""
    threads, layers = weights.gate_up.shape[:2]
    neurons, hidden = outputs_of(weights.gate_up) // 2, weights.norms.shape[1]
    longest = max(hidden, neurons, mixed)
    return {
        "hidden": _zeros(threads, 2 * neurons),
        "kept": _zeros(threads, longest, dtype=np.uint64),
        "rounded": tuple(memory_for(longest) for _ in range(threads)),
        "neuron_mask": _zeros(layers, threads * neurons, dtype=np.bool_),
        "activity": _zeros(layers, threads * neurons),
    }


def of_attention(weights: LlamaWeights, threads: int) -> dict[str, Any]:
    """Return what depends on whether rows of attention can be left out."""
    return {
        "own_qkv": _zeros(threads, outputs_of(weights.qkv_rows)),
        "own_out": _zeros(threads, outputs_of(weights.out_rows)),
    }


def _zeros(*shape: int, dtype: Any = np.float32) -> Array:
    return aligned(shape, dtype)
