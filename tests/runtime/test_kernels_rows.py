"""Products with GGUF's blocks in both orders against float64 products of what the gguf library makes of them.

Sums are float32 in an order of their own: an entry of W x is off by at most n·2⁻²⁴ of Σ|w·x|, n its number of terms, and
two more roundings for each block's scale.
"""

import gguf
import numpy as np
import pytest
from numba import njit

from clada_neuro.runtime.kernels.cpu import aligned
from clada_neuro.runtime.kernels.rows import (
    BLOCK,
    BYTES,
    add_block_rows,
    add_kept,
    look_up,
    multiply,
    project_blocks,
    turned,
)

Q8_0 = gguf.GGMLQuantizationType.Q8_0
SHAPES = [(32, 64), (96, 64), (64, 96), (8, 32), (5, 160)]  # outputs, inputs


def random_blocks(outputs: int, inputs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Any blocks there can be with finite scales, −128, zeros and subnormal scales among them, and their numbers."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (outputs, inputs // BLOCK, BYTES), dtype=np.uint8)
    scales = rng.uniform(-1, 1, blocks.shape[:2]) * rng.choice([0, 1e-7, 1e-3, 10], blocks.shape[:2])
    blocks[..., :2] = scales.astype(np.float16)[..., None].view(np.uint8)
    blocks = blocks.reshape(outputs, -1)
    return blocks, gguf.quants.dequantize(blocks, Q8_0)


def assert_product(found: np.ndarray, weight: np.ndarray, x: np.ndarray) -> None:
    exact = weight.astype(np.float64) @ x
    bound = np.abs(weight.astype(np.float64)) @ np.abs(x) * (len(x) + 2 * BLOCK) * 2.0**-24
    assert (np.abs(found - exact) <= bound + 1e-30).all()


def in_cache_lines(blocks: np.ndarray) -> np.ndarray:
    by_input = turned(blocks)
    rows = aligned(by_input.shape, np.int8)
    rows[:] = by_input
    return rows


def test_turning_blocks_moves_bytes_and_changes_none():
    blocks, numbers = random_blocks(40, 96)
    rows = turned(blocks)
    assert rows.shape == (3 * BYTES, 40)
    assert sorted(rows.view(np.uint8).ravel()) == sorted(blocks.ravel())
    for block in range(3):
        first = block * BYTES
        scales = rows[first + BLOCK : first + BYTES].reshape(-1).view(np.float16).astype(np.float32)
        found = rows[first : first + BLOCK].astype(np.float32) * scales
        np.testing.assert_array_equal(found.T, numbers[:, block * BLOCK : (block + 1) * BLOCK])


@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_of_a_file_times_a_vector(shape):
    blocks, numbers = random_blocks(*shape)
    x = np.random.default_rng(1).standard_normal(shape[1]).astype(np.float32)
    y = np.full(shape[0], 7, np.float32)
    project_blocks(y, blocks, x, 1, shape[0] - 1)
    assert_product(y[1:-1], numbers[1:-1], x)
    assert y[[0, -1]].tolist() == [7, 7]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 1])
@pytest.mark.parametrize("seed", range(3))
def test_kept_rows_are_added_whatever_is_kept(shape, share, seed):
    blocks, numbers = random_blocks(*shape, seed=seed)
    rng = np.random.default_rng(seed)
    mask = rng.random(shape[1]) < share
    x = rng.standard_normal(shape[1]).astype(np.float32)
    kept = np.flatnonzero(mask)
    listed = rng.integers(0, shape[1], shape[1]).astype(np.uint64)  # behind the kept ones stands anything
    listed[: len(kept)] = kept
    y = np.zeros(shape[0], np.float32)
    add_block_rows(y, in_cache_lines(blocks), x, listed, len(kept))
    assert_product(y, numbers, x * mask)


@pytest.mark.parametrize("only", [[0], [31], [32], [95], [31, 32], list(range(7, 16)), [0, 95]])
def test_one_row_and_rows_across_blocks(only):
    blocks, numbers = random_blocks(64, 96)
    x = np.arange(1, 97, dtype=np.float32)
    y = np.ones(64, np.float32)
    add_block_rows(y, in_cache_lines(blocks), x, np.array(only, np.uint64), len(only))
    mask = np.zeros(96, np.float32)
    mask[only] = 1
    expected = 1 + numbers.astype(np.float64) @ (x * mask)
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6 * np.abs(numbers).max() * 96)


def test_rows_that_are_not_kept_are_not_read():
    blocks, _ = random_blocks(64, 96)
    x = np.random.default_rng(2).standard_normal(96).astype(np.float32)
    kept = np.array([3, 4, 40, 41, 90], np.uint64)
    rows = in_cache_lines(blocks)
    y, again = np.zeros(64, np.float32), np.zeros(64, np.float32)
    add_block_rows(y, rows, x, kept, len(kept))
    spared = np.setdiff1d(np.arange(96), kept.astype(int))
    rows[spared + 2 * (spared // BLOCK)] = 99
    x[spared] = np.nan
    add_block_rows(again, rows, x, kept, len(kept))
    np.testing.assert_array_equal(again, y)


@njit
def _by_storage(whole, by_input, x, kept, y, z, row):
    multiply(y, whole, x, 0, y.shape[0])
    add_kept(z, by_input, x, kept, x.shape[0])
    look_up(row, whole, 3)


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "q8_0"])
def test_what_is_stored_decides_how_it_is_read(storage):
    blocks, numbers = random_blocks(32, 64)
    bits = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    whole = {"float32": numbers, "bfloat16": bits, "q8_0": blocks}[storage]
    by_input = turned(blocks) if storage == "q8_0" else np.ascontiguousarray(whole.T)
    if storage == "bfloat16":
        numbers = (bits.astype(np.uint32) << 16).view(np.float32)
    x = np.random.default_rng(1).standard_normal(64).astype(np.float32)
    y, z, row = np.zeros(32, np.float32), np.zeros(32, np.float32), np.zeros(64, np.float32)
    _by_storage(whole, by_input, x, np.arange(64, dtype=np.uint64), y, z, row)
    assert_product(y, numbers, x)
    assert_product(z, numbers, x)
    np.testing.assert_array_equal(row, numbers[3])
