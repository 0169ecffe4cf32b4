"""The compiled building blocks against plain arithmetic."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numba import njit

from clada_neuro.runtime.kernels.cpu import add_rows, aligned, keep, meet, project, share


def matrix(rows: int, columns: int, dtype: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    """A random matrix as the kernels store it, and its values."""
    values = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0)).to(dtype)
    stored = values.view(torch.uint16) if dtype == torch.bfloat16 else values
    return stored.numpy(), values.float().numpy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_project_is_the_matrix_product_of_its_rows(dtype):
    stored, values = matrix(21, 37, dtype)
    x = np.random.default_rng(1).standard_normal(37).astype(np.float32)
    y = np.zeros(21, np.float32)
    project(y, stored, x, 3, 20)
    np.testing.assert_allclose(y[3:20], values[3:20] @ x, rtol=1e-5, atol=1e-5)
    assert not y[:3].any()
    assert not y[20:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 19, 21])
@pytest.mark.parametrize("width", [5, 37, 96])  # no whole cache line of them, some and a rest, whole ones
def test_add_rows_sums_the_kept_rows_only(dtype, count, width):
    stored, values = matrix(21, width, dtype)
    rng = np.random.default_rng(count)
    weights = rng.standard_normal(21).astype(np.float32)
    kept = rng.permutation(21).astype(np.uint64)
    before = rng.standard_normal(width).astype(np.float32)
    y = before.copy()
    add_rows(y, stored, weights, kept, count)
    chosen = kept[:count].astype(int)
    np.testing.assert_allclose(y, before + weights[chosen] @ values[chosen], rtol=1e-5, atol=1e-5)


def test_keep_lists_and_marks_values_that_reach_their_cutoff():
    values = np.array([0.5, -2.0, 1.0, 0.0], np.float32)
    cutoffs = np.array([1.0, 1.0, 0.5, 0.0], np.float32)
    kept, mask = np.zeros(4, np.uint64), np.zeros(4, np.bool_)
    assert keep(values, cutoffs, 2.0, kept, mask) == 3
    assert kept[:3].tolist() == [1, 2, 3]
    assert mask.tolist() == [False, True, True, True]
    assert keep(values, cutoffs, 0.0, kept, mask) == 4


def test_keep_drops_rows_of_infinite_cutoff_at_every_scale():
    values, cutoffs = np.zeros(3, np.float32), np.full(3, np.inf, np.float32)
    kept, mask = np.zeros(3, np.uint64), np.zeros(3, np.bool_)
    for scale in (0.0, 1.0):
        assert keep(values, cutoffs, scale, kept, mask) == 0


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_shares_cover_a_range_once(threads):
    parts = [range(*share(10, thread, threads)) for thread in range(threads)]
    assert [number for part in parts for number in part] == list(range(10))


def test_aligned_arrays_begin_on_a_cache_line():
    for size in (1, 7, 1000):
        array = aligned((size, 3), np.float32)
        assert array.ctypes.data % 64 == 0
        assert not array.any()


@njit(nogil=True)
def _relay(thread, threads, values, counter):
    """Each turn, every thread takes the highest number of all and adds one."""
    turn = 1
    for _ in range(1000):
        highest = values.max()
        turn = meet(counter, threads, turn)
        values[thread] = highest + 1
        turn = meet(counter, threads, turn)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_that_meet_see_what_the_others_wrote(threads):
    values, counter = np.zeros(threads, np.int64), np.zeros(8, np.int64)
    with ThreadPoolExecutor(threads) as pool:
        for task in [pool.submit(_relay, thread, threads, values, counter) for thread in range(threads)]:
            task.result()
    assert values.tolist() == [1000] * threads
