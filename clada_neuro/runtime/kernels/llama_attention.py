"""Attention of one token in the compiled step: each thread has its own heads and its own outputs."""

import numpy as np
from numba import njit

from clada_neuro.runtime.kernels.cpu import COMPILED, Array, exponential, keep, project
from clada_neuro.runtime.kernels.llama_weights import LlamaWeights
from clada_neuro.runtime.kernels.llama_work import RowCutoffs, Work
from clada_neuro.runtime.kernels.rounding import Rounded
from clada_neuro.runtime.kernels.rows import add_kept, multiply


@njit(**COMPILED)
def _rotate(head: Array, rotation: Array) -> None:
    """Turn a head's pairs (i, i + D/2) by the angles of a position."""
    half = head.shape[0] // 2
    for i in range(half):
        low, high = head[i], head[half + i]
        head[i] = low * rotation[0, i] - high * rotation[1, i]
        head[half + i] = high * rotation[0, i] + low * rotation[1, i]


@njit(**COMPILED)
def store_heads(layer: int, position: int, start: int, stop: int, weights: LlamaWeights, work: Work) -> None:
    """Rotate queries and keys of heads start to stop; put keys and values into the cache."""
    groups, size = work.keys.shape[1], work.keys.shape[3]
    queries = work.mixed.shape[0] // size
    for head in range(start, stop):
        vector = work.qkv[head * size : (head + 1) * size]
        if head < queries + groups:
            _rotate(vector, weights.rotation[position])
        if head >= queries + groups:
            work.values[layer, head - queries - groups, position] = vector
        elif head >= queries:
            work.keys[layer, head - queries, position] = vector


@njit(**COMPILED)
def attend(head: int, layer: int, position: int, scores: Array, work: Work) -> None:
    """Set a query head's part of ``mixed`` to the values weighted by softmax(q·k / √D)."""
    groups, size = work.keys.shape[1], work.keys.shape[3]
    group = head // (work.mixed.shape[0] // size // groups)
    project(scores, work.keys[layer, group], work.qkv[head * size : (head + 1) * size], 0, position + 1)
    highest = scores[0]
    for at in range(position + 1):
        highest = max(highest, scores[at])
    total = np.float32(0)
    scale = np.float32(1) / np.sqrt(np.float32(size))
    for at in range(position + 1):
        scores[at] = exponential((scores[at] - highest) * scale)
        total += scores[at]
    mixed = work.mixed[head * size : (head + 1) * size]
    mixed[:] = 0
    for at in range(position + 1):
        share_of_token = scores[at] / total
        for i in range(size):
            mixed[i] += share_of_token * work.values[layer, group, at, i]


@njit(**COMPILED)
def _add_up(
    y: Array, own: Array, rows: Array, values: Array, kept: Array, count: int, bias: Array, rounded: Rounded
) -> None:
    """Set y to what the kept rows give and what stands in for the others; ``own`` is as wide as a row, y may be less."""
    own[:] = 0
    add_kept(own, rows, values, kept, count, rounded)
    for i in range(y.shape[0]):
        y[i] = own[i] + bias[i]


@njit(**COMPILED)
def project_heads(
    thread: int,
    layer: int,
    scale: float,
    start: int,
    stop: int,
    weights: LlamaWeights,
    cutoffs: RowCutoffs,
    work: Work,
) -> None:
    """Set queries, keys and values from start to stop."""
    x, kept, rounded = work.normed[thread], work.kept[thread], work.rounded[thread]
    if weights.qkv_rows.shape[0] == 0:
        multiply(work.qkv, weights.qkv[layer], x, start, stop, rounded)
        return
    # As in the block, every thread lists what is kept.
    count = keep(x, cutoffs.qkv[layer], scale, kept, work.qkv_mask[layer])
    rows, own = weights.qkv_rows[thread, layer], work.own_qkv[thread]
    _add_up(work.qkv[start:stop], own, rows, x, kept, count, work.qkv_bias[layer, start:stop], rounded)


@njit(**COMPILED)
def project_out(
    thread: int,
    layer: int,
    scale: float,
    start: int,
    stop: int,
    weights: LlamaWeights,
    cutoffs: RowCutoffs,
    work: Work,
) -> None:
    """Set what attention adds to the residual from start to stop."""
    kept, rounded = work.kept[thread], work.rounded[thread]
    if weights.out_rows.shape[0] == 0:
        multiply(work.attended, weights.out[layer], work.mixed, start, stop, rounded)
        return
    count = keep(work.mixed, cutoffs.out[layer], scale, kept, work.out_mask[layer])
    rows, own = weights.out_rows[thread, layer], work.own_out[thread]
    bias = work.out_bias[layer, start:stop]
    _add_up(work.attended[start:stop], own, rows, work.mixed, kept, count, bias, rounded)
