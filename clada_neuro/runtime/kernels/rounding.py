"""A vector as whole numbers: blocks of 32 that share a step, x ≈ step·level, so that kernels multiply bytes.

step = max|x| / 32,639, and level = x / step to the nearest whole number, ties to even. A level is two signed bytes, 256·high + low,
each of which is multiplied by a weight's byte. llama.cpp keeps one byte, 127 levels: with a start token's huge activations that moves
the log-probabilities of SmolLM2 by a tenth of a nat, whatever else is exact; two move them less than bfloat16 does, and
cost little where memory is what is waited for. Of a masked vector the kept entries are blocks, as if the others were 0.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from clada_neuro.models.ggml import BLOCK
from clada_neuro.runtime.kernels.cpu import COMPILED, EXACT, Array, aligned
from clada_neuro.runtime.kernels.vectors import LANES

LEVELS = 127 * 256 + 127  # on each side of 0: the most that two signed bytes hold
_FOUR = LANES // 2  # levels that are multiplied at once
_LEVELS, _SMALLEST = np.float32(LEVELS), np.float32(1e-30)  # a block of smaller numbers is 0


class Rounded(NamedTuple):
    """Memory of one thread for vectors of up to I entries, B = I/32 blocks.

    Kept entries stand in groups of four, of one block each; what fills a group repeats its last entry with level 0.
    """

    values: Array  # (I,): float32, kept entries, else 0
    levels: Array  # (I,): int32
    high: Array  # (I,): int8
    low: Array  # (I,): int8
    factors: Array  # (B, 2): float32, step and step·Σ levels
    starts: (
        Array  # (B, 8): int32, −128·Σ of four levels each: weights of Q8_0 are multiplied as if 128 larger
    )
    kept_high: Array  # (I,): int8, group by group
    kept_low: Array  # (I,): int8
    places: Array  # (I,): int64, by how many bytes their rows are behind a block's first
    blocks: Array  # (B,): int64, blocks that have kept entries
    groups: Array  # (B + 1,): int64, each one's first group


def memory_for(entries: int) -> Rounded:
    """Return memory for vectors of up to ``entries`` entries, whole blocks."""
    blocks = -(-entries // BLOCK)
    return Rounded(
        values=aligned((blocks * BLOCK,), np.float32),
        levels=aligned((blocks * BLOCK,), np.int32),
        high=aligned((blocks * BLOCK,), np.int8),
        low=aligned((blocks * BLOCK,), np.int8),
        factors=aligned((blocks, 2), np.float32),
        starts=aligned((blocks, LANES), np.int32),
        kept_high=aligned((blocks * BLOCK,), np.int8),
        kept_low=aligned((blocks * BLOCK,), np.int8),
        places=aligned((blocks * BLOCK,), np.int64),
        blocks=aligned((blocks,), np.int64),
        groups=aligned((blocks + 1,), np.int64),
    )


@njit(**EXACT)
def _round_block(x: Array, first: int, rounded: Rounded) -> Any:
    """Set a block's levels and their bytes; return their step."""
    highest = np.float32(0)
    for i in range(first, first + BLOCK):
        highest = max(highest, abs(x[i]))
    inverse = _LEVELS / highest if highest > _SMALLEST else np.float32(0)
    for i in range(first, first + BLOCK):
        level = np.int32(np.rint(x[i] * inverse))
        upper = (level + np.int32(128)) >> np.int32(8)
        rounded.levels[i] = level
        rounded.high[i] = np.int8(upper)
        rounded.low[i] = np.int8(level - (upper << np.int32(8)))
    return highest / _LEVELS


@njit(**COMPILED)
def round_all(x: Array, rounded: Rounded) -> None:
    """Set levels, their bytes, factors and starts to those of x."""
    for block in range(x.shape[0] // BLOCK):
        step = _round_block(x, block * BLOCK, rounded)
        whole = np.int32(0)
        for lane in range(LANES):
            four = np.int32(0)
            for i in range(_FOUR):
                four += rounded.levels[block * BLOCK + lane * _FOUR + i]
            rounded.starts[block, lane] = -128 * four
            whole += four
        rounded.factors[block, 0] = step
        rounded.factors[block, 1] = step * np.float32(whole)


@njit(**COMPILED)
def round_kept(x: Array, kept: Array, count: int, stride: int, rounded: Rounded) -> int:
    """Set all that is said of kept entries to those of the first ``count`` of ``kept``, ascending; return how many blocks have any.

    Rows of weights are ``stride`` bytes apart.
    """
    values = rounded.values
    values[: x.shape[0]] = 0
    for at in range(count):
        values[kept[at]] = x[kept[at]]
    found, group, at = 0, 0, 0
    while at < count:
        block = np.int64(kept[at]) // BLOCK
        step = _round_block(values, block * BLOCK, rounded)
        end = np.uint64((block + 1) * BLOCK)
        to, whole, last = group * _FOUR, 0, np.int64(0)
        while at < count and kept[at] < end:
            entry = kept[at]
            last = (np.int64(entry) - block * BLOCK) * stride
            rounded.kept_high[to], rounded.kept_low[to] = rounded.high[entry], rounded.low[entry]
            rounded.places[to] = last
            whole += rounded.levels[entry]
            to += 1
            at += 1
        while to % _FOUR:
            rounded.kept_high[to] = rounded.kept_low[to] = np.int8(0)
            rounded.places[to] = last
            to += 1
        rounded.blocks[found], rounded.groups[found] = block, group
        rounded.factors[found, 0], rounded.factors[found, 1] = step, step * np.float32(whole)
        rounded.starts[found, 0] = -128 * whole
        group = to // _FOUR
        found += 1
    rounded.groups[found] = group
    return found
