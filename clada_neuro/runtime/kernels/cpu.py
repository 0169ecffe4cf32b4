"""Compiled building blocks for two processor cores: read only the weight rows a mask keeps, in place.

Weights are stored so that what is skipped is contiguous: a row of ``rows`` belongs to one input (gate and up) or one
neuron (down), and y += Σ_r v_r·rows[r] over the kept rows. Rows are float32, or bfloat16 held as uint16 (which halves
the bytes); sums are float32. The functions release the GIL and are run by one thread each, side by side; `meet` is
where threads wait for each other (an operating-system wait costs more than a small layer's arithmetic).
"""

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from clada_neuro.runtime.kernels.vectors import LINE, ask_for, in_a_line

# No "nnan" and "ninf": cut-offs may be infinite.
FAST = {"reassoc", "contract", "nsz", "arcp", "afn"}
COMPILED: dict[str, Any] = dict(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
# Where sums of large numbers that nearly cancel must be added up as they are written.
EXACT: dict[str, Any] = COMPILED | dict(fastmath={"contract", "nsz"})
ALIGNMENT = LINE
_SPINS = 2_000
LOWEST = np.float32(-87)  # whose exponential is nothing beside 1

Array = npt.NDArray[Any]

_HAS_YIELD = os.name == "posix"
_intrinsic: Any = intrinsic  # compiled code calls an intrinsic without its first argument
_sched_yield = types.ExternalFunction("sched_yield", types.int32())


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return a zeroed array that begins on a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


@_intrinsic
def widen(_context: Any, value: Any) -> Any:
    """Return a stored weight as float32: itself, or bfloat16 bits moved to the upper half."""

    def generate(_context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if signature.args[0] == types.float32:
            return args[0]
        wide = builder.zext(args[0], ir.IntType(32))
        return builder.bitcast(builder.shl(wide, ir.Constant(ir.IntType(32), 16)), ir.FloatType())

    return types.float32(value), generate


@_intrinsic
def _add_atomic(_context: Any, counter: Any, amount: Any) -> Any:
    """Add to the first element of an int64 array, visible to every thread; return what it held."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.atomic_rmw("add", array.data, args[1], "seq_cst")

    return types.int64(counter, types.int64), generate


@_intrinsic
def _load_atomic(_context: Any, counter: Any) -> Any:
    """Return the first element of an int64 array as last written by any thread."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.load_atomic(array.data, "acquire", 8)

    return types.int64(counter), generate


@njit(**COMPILED)
def meet(counter: Array, threads: int, turn: int) -> int:
    """Wait until every thread has come here for the ``turn``-th time (from 1); return the next turn.

    Waiting yields the processor after a few microseconds, so that a core shared with other work does not starve.
    """
    _add_atomic(counter, 1)
    spins = 0
    while _load_atomic(counter) < threads * turn:
        spins += 1
        if _HAS_YIELD and spins > _SPINS:
            _sched_yield()
    return turn + 1


@njit(**COMPILED)
def share(size: int, thread: int, threads: int) -> tuple[int, int]:
    """Return where a thread's even part of ``range(size)`` starts and stops."""
    return size * thread // threads, size * (thread + 1) // threads


@njit(**COMPILED)
def project(y: Array, weight: Array, x: Array, start: int, stop: int) -> None:
    """Set y[start:stop] to (W x)[start:stop]; weight ``(out, in)``."""
    for row in range(start, stop):
        total = np.float32(0)
        for column in range(x.shape[0]):
            total += widen(weight[row, column]) * x[column]
        y[row] = total


@njit(**COMPILED)
def keep(values: Array, cutoffs: Array, scale: float, kept: Array, mask: Array) -> int:
    """List in ``kept`` the rows with |value| ≥ scale·cutoff, mark them in ``mask``, return how many there are."""
    count = 0
    for row in range(values.shape[0]):
        chosen = abs(values[row]) >= scale * cutoffs[row]
        mask[row] = chosen
        kept[count] = row
        count += chosen
    return count


@njit(**COMPILED)
def add_rows(y: Array, rows: Array, values: Array, kept: Array, count: int) -> None:
    """Add Σ values[r]·rows[r] over the first ``count`` entries r of ``kept`` to y.

    Eight rows a pass over y keep as many reads from memory under way. Those of the next pass are asked for meanwhile:
    processors see reads coming up to the end of a page, which so many rows reach all the time.
    """
    line = in_a_line(rows)
    lines = y.shape[0] - y.shape[0] % line
    eights = count - count % 8
    for at in range(0, eights, 8):
        r0, r1, r2, r3 = kept[at], kept[at + 1], kept[at + 2], kept[at + 3]
        r4, r5, r6, r7 = kept[at + 4], kept[at + 5], kept[at + 6], kept[at + 7]
        v0, v1, v2, v3 = values[r0], values[r1], values[r2], values[r3]
        v4, v5, v6, v7 = values[r4], values[r5], values[r6], values[r7]
        coming = min(at + 8, eights - 8)
        for first in range(0, lines, line):
            for row in range(coming, coming + 8):
                ask_for(rows, kept[row], first)
            for column in range(first, first + line):
                y[column] += (
                    v0 * widen(rows[r0, column])
                    + v1 * widen(rows[r1, column])
                    + v2 * widen(rows[r2, column])
                    + v3 * widen(rows[r3, column])
                    + v4 * widen(rows[r4, column])
                    + v5 * widen(rows[r5, column])
                    + v6 * widen(rows[r6, column])
                    + v7 * widen(rows[r7, column])
                )
    _add_one_by_one(y, rows, values, kept, 0, eights, lines)
    _add_one_by_one(y, rows, values, kept, eights, count, 0)


@njit(**COMPILED)
def _add_one_by_one(
    y: Array, rows: Array, values: Array, kept: Array, start: int, stop: int, first: int
) -> None:
    """Add to y, from its entry ``first`` on, the entries ``start`` to ``stop`` of ``kept``."""
    for at in range(start, stop):
        row = kept[at]
        for column in range(first, y.shape[0]):
            y[column] += values[row] * widen(rows[row, column])


@njit(**EXACT)
def exponential(x: Any) -> Any:
    """Return e^x in float32 for x ≤ 0, to 1e-7 of itself (below −87 that of −87); unlike `np.exp` it is computed many at a time.

    2^n·e^r with n the whole number nearest to x / ln 2, which is taken off in two parts, and e^r by its Taylor
    polynomial (|r| ≤ 0.35).
    """
    x = LOWEST if x < LOWEST else x
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    r = x - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
    p = r * np.float32(1 / 5040) + np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + np.float32(1 / 2)
    p = (p * r + np.float32(1)) * r + np.float32(1)
    return p * widen(np.uint16((np.int32(n) + 127) << 7))  # the upper half of the bits of 2^n


@njit(**COMPILED)
def moments(logits: Array, highest: float) -> tuple[float, float]:
    """Return Σe^d and Σe^d·d with d = logit − highest: the softmax's normaliser and what its entropy needs."""
    mass, weighted = np.float32(0), np.float32(0)
    for i in range(logits.shape[0]):
        d = max(logits[i] - highest, LOWEST)
        e = exponential(d)
        mass += e
        weighted += e * d
    return float(mass), float(weighted)
