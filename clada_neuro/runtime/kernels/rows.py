"""A product with every row of a matrix, or with those that are kept, whatever its weights are stored as.

What kernels store decides, when they are compiled, how it is read: float32; bfloat16 bits as uint16 (`cpu`), both with
activations in float32; or blocks of GGUF (`stored`), which are multiplied by activations that are rounded to whole numbers of two bytes (`rounding`).
"""

from typing import Any

from numba import njit, types
from numba.extending import overload

from clada_neuro.runtime.kernels.blocks_by_input import add_kept_blocks
from clada_neuro.runtime.kernels.blocks_by_output import project_blocks, read_blocks
from clada_neuro.runtime.kernels.cpu import COMPILED, Array, add_rows, project, widen
from clada_neuro.runtime.kernels.rounding import Rounded, round_all


@njit(**COMPILED)
def _read_floats(y: Array, weight: Array, row: int) -> None:
    for i in range(y.shape[0]):
        y[i] = widen(weight[row, i])


@njit(**COMPILED)
def _round_and_project(y: Array, weight: Array, x: Array, start: int, stop: int, rounded: Rounded) -> None:
    round_all(x, rounded)
    project_blocks(y, weight, rounded, start, stop)


def multiply(y: Array, weight: Array, x: Array, start: int, stop: int, rounded: Rounded) -> None:
    """Set y[start:stop] to (W x)[start:stop]; ``rounded`` is memory for blocks."""
    raise NotImplementedError


def add_kept(y: Array, rows: Array, values: Array, kept: Array, count: int, rounded: Rounded) -> None:
    """Add Σ values[r]·rows[r] over the first ``count`` entries r of ``kept`` to y; ``rounded`` is memory for blocks."""
    raise NotImplementedError


def look_up(y: Array, weight: Array, row: int) -> None:
    """Set y to a row of W."""
    raise NotImplementedError


@overload(multiply, strict=False)
def _multiply(y: Any, weight: Any, x: Any, start: Any, stop: Any, rounded: Any) -> Any:
    if isinstance(weight.dtype, types.Record):
        return lambda y, weight, x, start, stop, rounded: _round_and_project(
            y, weight, x, start, stop, rounded
        )
    return lambda y, weight, x, start, stop, rounded: project(y, weight, x, start, stop)


@overload(add_kept, strict=False)
def _add_kept(y: Any, rows: Any, values: Any, kept: Any, count: Any, rounded: Any) -> Any:
    if isinstance(rows.dtype, types.Record):
        return lambda y, rows, values, kept, count, rounded: add_kept_blocks(
            y, rows, values, kept, count, rounded
        )
    return lambda y, rows, values, kept, count, rounded: add_rows(y, rows, values, kept, count)


@overload(look_up, strict=False)
def _look_up(y: Any, weight: Any, row: Any) -> Any:
    if isinstance(weight.dtype, types.Record):
        return lambda y, weight, row: read_blocks(y, weight, row)
    return lambda y, weight, row: _read_floats(y, weight, row)
