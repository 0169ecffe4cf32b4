"""`activity.activities` compiled for a CPU: one pass over a token's contributions while they are in the cache.

The formulas are those of `clada_neuro.instrument.activity`, in float64 (Numba's ``float`` would keep float32); measures
that are not in `NAMES` are computed there. Values are records, one a token, whose fields are the names. The edge of an active
set is found without sorting: energies are added up by the leading bits of the contribution, which order positive floats,
and only the few contributions that share the decisive bits are sorted.
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
_BITS = 20  # of a float32 below its exponent and first three binary places
_BUCKETS = 256  # 32 octaves below the largest contribution; what is smaller holds no energy to speak of


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
    bits = e.view(np.int32)
    highest = np.int32(0)
    for i in range(e.shape[0]):
        highest = max(highest, bits[i])
    lowest = (highest >> _BITS) - _BUCKETS + 1
    held = np.zeros(_BUCKETS)
    count = np.zeros(_BUCKETS, np.int64)
    for i in range(e.shape[0]):
        bucket = max(0, (bits[i] >> _BITS) - lowest)
        held[bucket] += np.float64(e[i]) * np.float64(e[i])
        count[bucket] += 1
    below, left_out, bucket = 0.0, 0, 0
    while below + held[bucket] <= target and bucket < _BUCKETS - 1:
        below += held[bucket]
        left_out += count[bucket]
        bucket += 1
    inside = np.empty(count[bucket], np.float32)
    found = 0
    for i in range(e.shape[0]):
        if max(0, (bits[i] >> _BITS) - lowest) == bucket:
            inside[found] = e[i]
            found += 1
    inside.sort()
    for value in inside[:-1]:
        below += np.float64(value) * np.float64(value)
        if below > target:
            return left_out, value
        left_out += 1
    return left_out, inside[-1]
