"""Products with GGUF's blocks in both orders against float64 products of what the gguf library makes of them.

Activations are whole numbers of steps, so that a block's products are exact; what is float32 are its scale·step times that
sum, and sums over blocks. An entry of W x is off by at most (B + 4)·2⁻²⁴ of its terms' absolute sum, B its number of blocks.
"""

import os
import subprocess
import sys

import gguf
import numpy as np
import pytest
from numba import njit

from clada_neuro.models.ggml import BLOCK, KINDS
from clada_neuro.runtime.kernels import vectors
from clada_neuro.runtime.kernels.blocks_by_input import add_kept_blocks
from clada_neuro.runtime.kernels.blocks_by_output import project_blocks
from clada_neuro.runtime.kernels.cpu import aligned
from clada_neuro.runtime.kernels.rounding import LEVELS, memory_for, round_all
from clada_neuro.runtime.kernels.rows import add_kept, look_up, multiply
from clada_neuro.runtime.kernels.stored import GROUP, ROWS, turned, whole

SHAPES = [(32, 64), (96, 64), (64, 96), (160, 32), (32, 160)]  # outputs, inputs
BOTH = pytest.mark.parametrize("kind", KINDS)


def random_blocks(kind: str, outputs: int, inputs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Any blocks there can be with finite scales, −128, zeros and subnormal scales among them, and their numbers."""
    rng = np.random.default_rng(seed)
    size = KINDS[kind].size
    blocks = rng.integers(0, 256, (outputs, inputs // BLOCK, size), dtype=np.uint8)
    for at in range(0, KINDS[kind].scales, 2):
        shared = rng.uniform(-1, 1, blocks.shape[:2]) * rng.choice([0, 1e-7, 1e-3, 10], blocks.shape[:2])
        blocks[..., at : at + 2] = shared.astype(np.float16)[..., None].view(np.uint8)
    blocks = blocks.reshape(outputs, -1)
    return blocks, gguf.quants.dequantize(blocks, KINDS[kind].stored)


def in_steps(x: np.ndarray) -> np.ndarray:
    """x as whole numbers of 32,639ths of each block's largest, in float64."""
    blocks = x.reshape(-1, BLOCK)
    highest = np.abs(blocks).max(1, keepdims=True)
    inverse = np.divide(np.float32(32_639), highest, out=np.zeros_like(highest), where=highest > 0)
    return (np.rint(blocks * inverse) * (highest / np.float32(32_639)).astype(np.float64)).ravel()


def terms(kind: str, blocks: np.ndarray) -> np.ndarray:
    """Upper bounds of what is added up for each number: |scale·q|, and the minimum's share."""
    parts = blocks.reshape(len(blocks), -1, KINDS[kind].size)
    scale = np.abs(parts[..., :2].copy().view(np.float16).astype(np.float64))
    most = 128 * scale if kind == "q8_0" else 15 * scale + np.abs(parts[..., 2:4].copy().view(np.float16))
    return np.repeat(most[..., 0], BLOCK, axis=1)


def assert_product(found: np.ndarray, kind: str, blocks: np.ndarray, x: np.ndarray) -> None:
    numbers = gguf.quants.dequantize(blocks, KINDS[kind].stored).astype(np.float64)
    bound = terms(kind, blocks) @ np.abs(x) * (len(x) // BLOCK + 4) * 2.0**-24
    assert (np.abs(found - numbers @ in_steps(x)) <= bound + 1e-30).all()


def in_cache_lines(kind: str, blocks: np.ndarray) -> np.ndarray:
    by_input = turned(blocks, kind)
    rows = aligned(by_input.shape, np.uint8)
    rows[:] = by_input.view(np.uint8)
    return rows.view(by_input.dtype)


@BOTH
@pytest.mark.parametrize("outputs", [32, 40, 64, 96])
def test_turning_blocks_changes_no_number(kind, outputs):
    blocks, numbers = random_blocks(kind, outputs, 96)
    raw = turned(blocks, kind).view(np.uint8).reshape(3, ROWS[kind], -1)
    shared = raw[:, BLOCK:].reshape(3, -1).view(np.float16).astype(np.float32)
    if kind == "q8_0":
        found = (raw[:, :BLOCK].astype(int) - 128) * shared[:, None]
    else:
        width = shared.shape[1] // 2
        halves = raw[:, :BLOCK].reshape(3, BLOCK, -1, 1, GROUP // 2)
        q = np.concatenate([halves & 15, halves >> 4], axis=3).reshape(3, BLOCK, width)
        found = q * shared[:, None, :width] + shared[:, None, width:]
        assert not found[..., outputs:].any()
        found = found[..., :outputs]
    np.testing.assert_array_equal(found.transpose(2, 0, 1).reshape(outputs, 96), numbers)


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1, 1e6])
def test_a_vector_moves_by_half_a_step_at_most(scale):
    x = (np.random.default_rng(0).standard_normal(96) * scale).astype(np.float32)
    x[3], x[70] = 500 * scale, -scale
    rounded = memory_for(96)
    round_all(x, rounded)
    assert np.abs(rounded.levels).reshape(-1, BLOCK).max(1).tolist() == [LEVELS] * 3
    np.testing.assert_array_equal(256 * rounded.high.astype(int) + rounded.low, rounded.levels)
    steps = np.abs(x).reshape(-1, BLOCK).max(1) / LEVELS
    np.testing.assert_allclose(rounded.factors[:, 0], steps, rtol=1e-6)
    assert (np.abs(np.repeat(steps, BLOCK) * rounded.levels - x) <= np.repeat(steps, BLOCK) * 0.51).all()


def test_a_block_of_zeros_and_one_of_next_to_nothing():
    x = np.zeros(64, np.float32)
    x[40] = 1e-38
    rounded = memory_for(64)
    round_all(x, rounded)
    assert not rounded.levels.any()


@BOTH
@pytest.mark.parametrize("shape", [*SHAPES, (8, 32), (5, 160)])
def test_blocks_of_a_file_times_a_vector(kind, shape):
    blocks, _ = random_blocks(kind, *shape)
    x = np.random.default_rng(1).standard_normal(shape[1]).astype(np.float32)
    y, rounded = np.full(shape[0], 7, np.float32), memory_for(shape[1])
    round_all(x, rounded)
    project_blocks(y, whole(blocks, kind), rounded, 1, shape[0] - 1)
    assert_product(y[1:-1], kind, blocks[1:-1], x)
    assert y[[0, -1]].tolist() == [7, 7]


@BOTH
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 1])
@pytest.mark.parametrize("seed", range(2))
def test_kept_rows_are_added_whatever_is_kept(kind, shape, share, seed):
    blocks, _ = random_blocks(kind, *shape, seed=seed)
    rng = np.random.default_rng(seed)
    mask = rng.random(shape[1]) < share
    x = rng.standard_normal(shape[1]).astype(np.float32)
    kept = np.flatnonzero(mask)
    listed = rng.integers(0, shape[1], shape[1]).astype(np.uint64)  # behind the kept ones stands anything
    listed[: len(kept)] = kept
    y = np.zeros(shape[0], np.float32)
    add_kept_blocks(y, in_cache_lines(kind, blocks), x, listed, len(kept), memory_for(shape[1]))
    assert_product(y, kind, blocks, x * mask)


@BOTH
@pytest.mark.parametrize("only", [[0], [31], [32], [95], [31, 32], list(range(7, 16)), [0, 95]])
def test_one_row_and_rows_across_blocks(kind, only):
    blocks, numbers = random_blocks(kind, 64, 96)
    x = np.arange(1, 97, dtype=np.float32)
    y = np.ones(64, np.float32)
    add_kept_blocks(y, in_cache_lines(kind, blocks), x, np.array(only, np.uint64), len(only), memory_for(96))
    mask = np.zeros(96, np.float32)
    mask[only] = 1
    expected = 1 + numbers.astype(np.float64) @ (x * mask)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-6 * terms(kind, blocks).max() * 96)


@BOTH
def test_rows_that_are_not_kept_are_not_read(kind):
    blocks, _ = random_blocks(kind, 64, 96)
    x = np.random.default_rng(2).standard_normal(96).astype(np.float32)
    kept = np.array([3, 4, 40, 41, 90], np.uint64)
    rows = in_cache_lines(kind, blocks)
    y, again = np.zeros(64, np.float32), np.zeros(64, np.float32)
    add_kept_blocks(y, rows, x, kept, len(kept), memory_for(96))
    spared = np.setdiff1d(np.arange(96), kept.astype(int))
    rows.view(np.uint8)[spared // BLOCK * ROWS[kind] + spared % BLOCK] = 99
    x[spared] = np.nan
    add_kept_blocks(again, rows, x, kept, len(kept), memory_for(96))
    np.testing.assert_array_equal(again, y)


@njit
def _by_storage(whole, by_input, x, kept, y, z, row, rounded):
    multiply(y, whole, x, 0, y.shape[0], rounded)
    add_kept(z, by_input, x, kept, x.shape[0], rounded)
    look_up(row, whole, 3)


@pytest.mark.parametrize("storage", ["float32", "bfloat16", *KINDS])
def test_what_is_stored_decides_how_it_is_read(storage):
    kind = storage if storage in KINDS else "q8_0"
    blocks, numbers = random_blocks(kind, 32, 64)
    bits = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    if storage == "bfloat16":
        numbers = (bits.astype(np.uint32) << 16).view(np.float32)
    read_whole = {"float32": numbers, "bfloat16": bits}.get(storage, whole(blocks, kind))
    by_input = in_cache_lines(kind, blocks) if storage == kind else np.ascontiguousarray(read_whole.T)
    x = np.random.default_rng(1).standard_normal(64).astype(np.float32)
    y, z, row = np.zeros(32, np.float32), np.zeros(32, np.float32), np.zeros(64, np.float32)
    _by_storage(read_whole, by_input, x, np.arange(64, dtype=np.uint64), y, z, row, memory_for(64))
    for found in (y, z):
        exact = numbers.astype(np.float64) @ x
        np.testing.assert_allclose(found, exact, atol=4e-5 * np.abs(numbers).max() * 64)
        if storage == kind:
            assert_product(found, kind, blocks, x)
    np.testing.assert_array_equal(row, numbers[3])


@njit
def _products(here, plain, unsigned, signed):
    vectors.products_here(here, unsigned, signed)
    vectors.products_in_plain_vectors(plain, unsigned, signed)


@pytest.mark.parametrize("seed", range(4))
def test_both_ways_to_multiply_bytes_are_exact(seed):
    rng = np.random.default_rng(seed)
    unsigned, signed = rng.integers(0, 256, 32, np.uint8), rng.integers(-128, 128, 32, np.int8)
    if seed == 0:
        unsigned[:], signed[:] = 255, -128
    start = rng.integers(-(2**20), 2**20, 8, np.int32)
    here, plain = start.copy(), start.copy()
    _products(here, plain, unsigned, signed)
    expected = start + (unsigned.astype(np.int32) * signed).reshape(8, 4).sum(1)
    np.testing.assert_array_equal(here, expected)
    np.testing.assert_array_equal(plain, expected)


def test_the_way_is_chosen_by_what_numba_compiles_for():
    code = "from clada_neuro.runtime.kernels import vectors; print(vectors.PRODUCTS)"
    own = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CPU")}
    names = (
        {"NUMBA_CPU_NAME": "generic"},
        {"NUMBA_CPU_FEATURES": "+avx2,+fma,+f16c"},
        {"NUMBA_CPU_FEATURES": "+avxvnni"},
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code], env=own | name, capture_output=True, text=True, check=True
        )
        for name in names
    ]
    assert [one.stdout.strip() for one in found] == ["portable", "portable", "vnni"]


@pytest.mark.slow
def test_kernels_of_a_processor_without_vnni_pass_these_tests(tmp_path):
    features = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+popcnt"
    asked = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow",
        __file__,
    ]
    found = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-2000:]
