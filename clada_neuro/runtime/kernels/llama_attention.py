"""Attention of one token in the compiled step: each thread has its own heads, and of the maps its own outputs or inputs.

Rows that may be skipped are whole, each thread has those of its own inputs, and what threads give is added up after a
meeting: rows that are shared out, a part to each thread, are too short to come from memory as fast as a map that is
read from end to end. Weights may be of any width (`rows`).
"""

import numpy as np
from numba import njit

from clada_neuro.runtime.kernels.cpu import COMPILED, Array, exponential, keep, meet, project, share
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
def _add_own(
    y: Array,
    rows: Array,
    values: Array,
    cutoffs: Array,
    scale: float,
    kept: Array,
    mask: Array,
    rounded: Rounded,
) -> None:
    """Set y to what the kept rows give."""
    count = keep(values, cutoffs, scale, kept, mask)
    y[:] = 0
    add_kept(y, rows, values, kept, count, rounded)


@njit(**COMPILED)
def _inputs(size: int, thread: int, threads: int, unit: int) -> tuple[int, int]:
    """Return where a thread's inputs start and stop."""
    first, last = share(size // unit, thread, threads)
    return first * unit, last * unit


@njit(**COMPILED)
def project_heads(
    thread: int,
    threads: int,
    turn: int,
    layer: int,
    scale: float,
    start: int,
    stop: int,
    weights: LlamaWeights,
    cutoffs: RowCutoffs,
    work: Work,
) -> int:
    """Set queries, keys and values from start to stop; return the next turn."""
    x = work.normed[thread]
    if weights.qkv_rows.shape[0] == 0:
        multiply(work.qkv, weights.qkv[layer], x, start, stop, work.rounded[thread])
        return turn
    first, last = _inputs(x.shape[0], thread, threads, weights.unit)
    _add_own(
        work.own_qkv[thread],
        weights.qkv_rows[thread, layer],
        x[first:last],
        cutoffs.qkv[layer, first:last],
        scale,
        work.kept[thread],
        work.qkv_mask[layer, first:last],
        work.rounded[thread],
    )
    turn = meet(work.counter, threads, turn)
    for i in range(start, stop):
        work.qkv[i] = work.qkv_bias[layer, i]
        for part in range(threads):
            work.qkv[i] += work.own_qkv[part, i]
    return turn


@njit(**COMPILED)
def project_out(
    thread: int,
    threads: int,
    layer: int,
    scale: float,
    weights: LlamaWeights,
    cutoffs: RowCutoffs,
    work: Work,
) -> None:
    """Compute this thread's part of what attention adds to the residual: some outputs, or what its own inputs give to all."""
    if weights.out_rows.shape[0] == 0:
        start, stop = share(work.attended.shape[0], thread, threads)
        multiply(work.attended, weights.out[layer], work.mixed, start, stop, work.rounded[thread])
        return
    first, last = _inputs(work.mixed.shape[0], thread, threads, weights.unit)
    _add_own(
        work.own_out[thread],
        weights.out_rows[thread, layer],
        work.mixed[first:last],
        cutoffs.out[layer, first:last],
        scale,
        work.kept[thread],
        work.out_mask[layer, first:last],
        work.rounded[thread],
    )


@njit(**COMPILED)
def add_attended(residual: Array, threads: int, layer: int, weights: LlamaWeights, work: Work) -> None:
    """Add what attention gives to the residual, once all threads have computed their parts."""
    if weights.out_rows.shape[0] == 0:
        for i in range(residual.shape[0]):
            residual[i] += work.attended[i]
        return
    for i in range(residual.shape[0]):
        residual[i] += work.out_bias[layer, i]
        for part in range(threads):
            residual[i] += work.own_out[part, i]
