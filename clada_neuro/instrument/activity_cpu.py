"""`activity.activities` compiled for a CPU: one pass over a token's contributions while they are in the cache.

The formulas are those of `clada_neuro.instrument.activity`, in float64 (Numba's ``float`` would keep float32); measures
that are not in `NAMES` are computed there. Values are records, one a token, whose fields are the names. The edge of an active
set is found without sorting: the energy below several marks at a time narrows it down, by the bits of contributions, which
order positive floats, and only the few that lie between the last two marks are sorted.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

Array = npt.NDArray[Any]
NAMES = (
    "sparsity_energy99",
    "hoyer",
    "participation_ratio",
    "overlap_prev",
    "overlap_prefix",
    "adjustment_prev",
    "adjustment_prefix",
)

# Only the order of additions may change: missing values must stay missing.
_COMPILED: dict[str, Any] = dict(
    nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy"
)
# An active set's edge is looked for so far below the largest contribution; what is smaller holds no energy to speak of.
_OCTAVES, _OCTAVE = 16, 1 << 23  # the bits of a float32 grow by so much an octave
_MARKS, _LOOKS = 8, 3
_SMALLEST = 1e-37  # whose inverse is finite in float32


def activities(
    layers: Sequence[tuple[Tensor, Tensor, Tensor]], parents: Tensor | None, energy: float
) -> list[tuple[dict[str, Tensor], Tensor]]:
    """Return what `activity.activities` returns of `NAMES`; rows of all layers are shared out among as many threads as PyTorch has."""
    found, work = [], []
    for e, last, total in layers:
        rows, seq, _ = e.shape
        above = np.tile(np.arange(-1, seq - 1), (rows, 1)) if parents is None else parents.numpy()
        values = np.full((rows, seq), np.nan, dtype=[(name, np.float32) for name in NAMES])
        after = total.clone()
        given = (e.contiguous().numpy(), last.contiguous().numpy(), after.numpy(), above, energy, values)
        work += [partial(_measure_rows, *given, row, row + 1) for row in range(rows)]
        found.append(({name: torch.from_numpy(values[name]) for name in NAMES}, after))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for part in [pool.submit(measure) for measure in work]:
            part.result()
    return found


@njit(**_COMPILED)
def _measure_rows(
    e: Array, last: Array, total: Array, parents: Array, energy: float, values: Array, start: int, stop: int
) -> None:
    """Fill ``values`` (rows, seq) for some rows and bring ``total`` (rows, n) up to date."""
    seq, n = e.shape[1:]
    root = np.sqrt(np.float64(n))
    # The first place is what stands before a row, the others are its tokens.
    totals, powers, edges = np.empty((seq + 1, n), e.dtype), np.empty(seq + 1), np.empty(seq + 1, e.dtype)
    for row in range(start, stop):
        totals[0], powers[0] = total[row], _power(last[row])
        edges[0] = _edge(last[row], powers[0], energy)[1]
        for t in range(seq):
            parent = parents[row, t]
            now, prefix = e[row, t], totals[parent + 1]
            before = last[row] if parent < 0 else e[row, parent]
            power, power_prefix = _power(now), _power(prefix)
            left_out, edge = _edge(now, power, energy)
            _, edge_prefix = _edge(prefix, power_prefix, energy)
            found = values[row, t]
            if 0 < power < np.inf:
                plain, fourth = _moments(now)
                found.sparsity_energy99 = left_out / n
                found.hoyer = (root - plain / np.sqrt(power)) / (root - 1)
                found.participation_ratio = power * power / (n * fourth)
            found.overlap_prev, found.adjustment_prev = _compare(
                now, before, edge, edges[parent + 1], power, powers[parent + 1]
            )
            found.overlap_prefix, found.adjustment_prefix = _compare(
                now, prefix, edge, edge_prefix, power, power_prefix
            )
            for i in range(n):
                totals[t + 1, i] = prefix[i] + now[i]
            powers[t + 1], edges[t + 1] = power, edge
        total[row] = totals[seq]


@njit(**_COMPILED)
def _power(e: Array) -> float:
    total = 0.0
    for i in range(e.shape[0]):  # by place: only such a loop takes several values at a time
        total += np.float64(e[i]) * np.float64(e[i])
    return total


@njit(**_COMPILED)
def _moments(e: Array) -> tuple[float, float]:
    """Return Σe and Σe⁴."""
    plain = fourth = 0.0
    for i in range(e.shape[0]):
        square = np.float64(e[i]) * np.float64(e[i])
        plain += np.float64(e[i])
        fourth += square * square
    return plain, fourth


@njit(**_COMPILED)
def _compare(
    one: Array, other: Array, edge_one: Any, edge_other: Any, power_one: float, power_other: float
) -> tuple[float, float]:
    """Return the Jaccard index of two active sets and 1 - cosine; NaN where a vector is zero."""
    if not (0 < power_one < np.inf and 0 < power_other < np.inf):
        return np.nan, np.nan
    shared = either = 0
    product = 0.0
    for i in range(one.shape[0]):
        first, second = one[i] >= edge_one, other[i] >= edge_other
        shared += first & second
        either += first | second
        product += np.float64(one[i]) * np.float64(other[i])
    return shared / either, max(0.0, 1 - product / np.sqrt(power_one * power_other))


@njit(**_COMPILED)
def _edge(e: Array, power: float, energy: float) -> tuple[int, Any]:
    """Return how many contributions are outside the active set, and the smallest one inside."""
    if not 0 < power < np.inf:
        return 0, np.float32(np.inf)
    target = (1 - energy) * power
    between = _bracket(e, target)
    low = between[0]
    bits, first, width = e.view(np.uint32), between.view(np.uint32)[0], between.view(np.uint32)[1]
    below, left_out = 0.0, 0
    for i in range(e.shape[0]):
        value = np.float64(e[i] if e[i] < low else np.float32(0))
        below += value * value
    for i in range(e.shape[0]):
        left_out += e[i] < low
    inside = np.empty(e.shape[0], np.float32)
    found = 0
    for i in range(e.shape[0]):
        if np.uint32(bits[i] - first) < width:  # one question, which is rarely answered with yes
            inside[found] = e[i]
            found += 1
    some = inside[:found]
    some.sort()
    for value in some[:-1]:
        below += np.float64(value) * np.float64(value)
        if below > target:
            return left_out, value
        left_out += 1
    return left_out, some[-1]


@njit(**_COMPILED)
def _bracket(e: Array, target: float) -> Array:
    """Return the value where the edge lies or before it, and, as bits, how far beyond it cannot lie.

    A few looks at all contributions narrow them down, each with several marks between their bits. The sums are float32, which decide
    the edge where both sides are equal to seven digits.
    """
    bits = e.view(np.int32)
    highest: Any = np.int32(0)
    for i in range(e.shape[0]):
        highest = max(highest, bits[i])
    marks = np.empty(_MARKS, np.int32)
    values = marks.view(np.float32)
    marks[0] = highest
    largest = np.float64(values[0])
    low, high = max(0, highest - _OCTAVES * _OCTAVE), highest + 1
    unit, share = np.float32(1 / max(largest, _SMALLEST)), target / (largest * largest)
    for _ in range(_LOOKS):
        step = (high - low) // (_MARKS + 1)
        for mark in range(_MARKS):
            marks[mark] = low + (mark + 1) * step
        passed = 0
        for held in _held_below(e, unit, values):
            passed += held <= share
        if passed < _MARKS:
            high = low + (passed + 1) * step
        low += passed * step
    marks[0], marks[1] = low, high - low
    return values


@njit(**_COMPILED)
def _held_below(e: Array, unit: Any, marks: Array) -> tuple[Any, ...]:
    """Return the energies of what lies below each of eight marks, in units that float32 can square."""
    m0, m1, m2, m3, m4, m5, m6, m7 = (
        marks[0],
        marks[1],
        marks[2],
        marks[3],
        marks[4],
        marks[5],
        marks[6],
        marks[7],
    )
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = none = np.float32(0)
    for i in range(e.shape[0]):
        energy = (e[i] * unit) * (e[i] * unit)
        s0 += energy if e[i] < m0 else none
        s1 += energy if e[i] < m1 else none
        s2 += energy if e[i] < m2 else none
        s3 += energy if e[i] < m3 else none
        s4 += energy if e[i] < m4 else none
        s5 += energy if e[i] < m5 else none
        s6 += energy if e[i] < m6 else none
        s7 += energy if e[i] < m7 else none
    return s0, s1, s2, s3, s4, s5, s6, s7
