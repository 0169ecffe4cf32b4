"""`activity.of_activations` compiled for a CPU: one pass over a token's contributions while they are in the cache.

The formulas are those of `clada_neuro.instrument.activity`, in float64 (Numba's ``float`` would keep float32); measures
that are not in `NAMES` are computed there. Values are records, one a token, whose fields are the names. The edge of an active
set is found without sorting: the energy below several marks at a time narrows it down, by the bits of contributions, which
order positive floats, and only the few that lie between the last two marks are sorted.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

from clada_neuro.models.threads import shared_out
from clada_neuro.runtime.kernels.cpu import widen

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
    layers: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]],
    parents: Tensor | None,
    energy: float,
    fresh: bool,
) -> list[tuple[dict[str, Tensor], Tensor, Tensor]]:
    """Return what `activity.of_activations` returns, of `NAMES`; tokens of all layers are shared out among threads."""
    found, work = [], []
    for a, *given in layers:
        rows, seq, _ = a.shape
        stored = (a if a.dtype == torch.bfloat16 else a.float()).contiguous()
        numbers = (stored.view(torch.uint16) if a.dtype == torch.bfloat16 else stored).numpy()
        above = (
            np.tile(np.arange(-1, seq - 1), (rows, 1)) if parents is None else parents.contiguous().numpy()
        )
        values = np.full((rows, seq), np.nan, dtype=[(name, np.float32) for name in NAMES])
        norms, last, total = (part.contiguous() for part in given)
        after = last.clone(), total.clone()
        arrays = [part.numpy() for part in (norms, last, total)]
        kept = [part.numpy() for part in after]
        work.append(partial(_measure_tokens, numbers, *arrays, above, energy, fresh, values, *kept))
        found.append(({name: torch.from_numpy(values[name]) for name in NAMES}, *after))
    size = rows * seq

    def some(start: int, stop: int) -> None:
        for number, measure in enumerate(work):
            first, behind = max(start - number * size, 0), min(stop - number * size, size)
            if first < behind:
                measure(first, behind)

    shared_out(some, len(work) * size)
    return found


@njit(**_COMPILED)
def _measure_tokens(
    a: Array,
    norms: Array,
    last: Array,
    total: Array,
    parents: Array,
    energy: float,
    fresh: bool,
    values: Array,
    last_after: Array,
    total_after: Array,
    start: int,
    stop: int,
) -> None:
    """Fill ``values`` (rows, seq) of the tokens ``start`` to ``stop`` of all rows together, and what follows a row that ends there.

    Of the tokens above one, contributions and running sums are at hand by their depth: those of its parent were computed
    shortly before, or are computed once where a thread begins.
    """
    seq, n = a.shape[1:]
    root = np.sqrt(np.float64(n))
    depths = _depths(parents, seq)
    height = depths.max() + 2  # the first place is what stands before a row
    es, totals = np.empty((height, n), np.float32), np.empty((height, n), np.float32)
    powers, edges, left_out = np.empty(height), np.empty(height, np.float32), np.empty(height, np.int64)
    held, missing = np.empty(height, np.int64), np.empty(height, np.int64)
    row = -1
    for token in range(start, stop):
        if token // seq != row:
            row = token // seq
            held[:] = -1
            es[0], totals[0] = last[row], total[row]
            powers[0] = _power(es[0])
            edges[0] = _edge(es[0], powers[0], energy)[1]
        place, count = token % seq, 0
        while place >= 0 and held[depths[row, place] + 1] != place:
            missing[count] = place
            count += 1
            place = parents[row, place]
        for which in range(count - 1, -1, -1):
            place = missing[which]
            at = depths[row, place] + 1
            if fresh and at == 1:
                es[at] = 0
            else:
                _contribute(a[row, place], norms, es[at])
            _add(totals[at - 1], es[at], totals[at])
            held[at], powers[at] = place, _power(es[at])
            left_out[at], edges[at] = _edge(es[at], powers[at], energy)
        place = token % seq
        at = depths[row, place] + 1
        now, prefix, power = es[at], totals[at - 1], powers[at]
        power_prefix = _power(prefix)
        edge_prefix = _edge(prefix, power_prefix, energy)[1]
        found = values[row, place]
        if 0 < power < np.inf:
            plain, fourth = _moments(now)
            found.sparsity_energy99 = left_out[at] / n
            found.hoyer = (root - plain / np.sqrt(power)) / (root - 1)
            found.participation_ratio = power * power / (n * fourth)
        found.overlap_prev, found.adjustment_prev = _compare(
            now, es[at - 1], edges[at], edges[at - 1], power, powers[at - 1]
        )
        found.overlap_prefix, found.adjustment_prefix = _compare(
            now, prefix, edges[at], edge_prefix, power, power_prefix
        )
        if place == seq - 1:
            last_after[row], total_after[row] = now, totals[at]


@njit(**_COMPILED)
def _depths(parents: Array, seq: int) -> Array:
    depths = np.zeros(parents.shape, np.int64)
    for row in range(parents.shape[0]):
        for place in range(seq):
            above = parents[row, place]
            depths[row, place] = depths[row, above] + 1 if above >= 0 else 0
    return depths


@njit(**_COMPILED)
def _contribute(a: Array, norms: Array, e: Array) -> None:
    for i in range(e.shape[0]):
        e[i] = abs(widen(a[i])) * norms[i]


@njit(**_COMPILED)
def _add(one: Array, other: Array, both: Array) -> None:
    for i in range(both.shape[0]):
        both[i] = one[i] + other[i]


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
