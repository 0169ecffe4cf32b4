"""A product with every row of a matrix, or with those that are kept, whatever its weights are stored as.

What kernels store decides, when they are compiled, how it is read: float32; bfloat16 bits as uint16 (`cpu`); or Q8_0
blocks of GGUF, 32 numbers q of one byte and a float16 scale, whose weights are scale·q. Activations and sums are float32.

Two orders of blocks, neither of which changes a number. A matrix that is read whole is as a file has it, uint8
``(outputs, 34·inputs/32)``: a scale and the numbers of 32 inputs, block by block. One of which inputs are skipped has
the same blocks turned, int8 ``(34·inputs/32, outputs)``: 32 rows with each input's numbers, then two rows with the scales
of all outputs. A skipped input is a row of bytes that nobody touches.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from clada_neuro.runtime.kernels.cpu import ALIGNMENT, COMPILED, Array, add_rows, project, widen

BLOCK, BYTES = 32, 34
_FIVE = np.uint64(5)  # 32 = 2⁵
_TWO = np.uint64(2)
_SCALES = np.uint64(BLOCK)
_ROWS = np.uint64(BYTES)
_LANES = 16
_FAST = ("reassoc", "contract", "nsz", "arcp", "afn")

_intrinsic: Any = intrinsic
_BYTE, _HALF, _FLOAT = ir.IntType(8), ir.HalfType(), ir.FloatType()
_NUMBERS, _VECTOR = ir.VectorType(_BYTE, _LANES), ir.VectorType(_FLOAT, _LANES)


def turned(blocks: Array) -> Array:
    """Return the blocks of a matrix ``(outputs, 34·inputs/32)`` by input, ``(34·inputs/32, outputs)`` in int8."""
    outputs = len(blocks)
    parts = blocks.reshape(outputs, -1, BYTES)
    scales = np.ascontiguousarray(parts[:, :, :2].swapaxes(0, 1))  # two bytes an output, side by side
    by_input = np.empty((parts.shape[1], BYTES, outputs), np.int8)
    by_input[:, :BLOCK] = parts[:, :, 2:].transpose(1, 2, 0).view(np.int8)
    by_input[:, BLOCK:] = scales.reshape(-1, 2, outputs).view(np.int8)
    return by_input.reshape(-1, outputs)


@_intrinsic
def _half(_context: Any, array: Any, row: Any, element: Any) -> Any:
    """Return a float16 number as float32: the ``element``-th from the start of a row of bytes on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = _row(context, builder, signature.args[0], args[0], args[1])
        place = builder.bitcast(start, _HALF.as_pointer())
        return builder.fpext(_load(builder, builder.gep(place, [args[2]]), _HALF, 1), _FLOAT)

    return types.float32(array, row, types.intp), generate


@_intrinsic
def _ask(_context: Any, array: Any, row: Any, byte: Any) -> Any:
    """Have a byte's cache line brought nearer, beyond the first-level cache, whose queue is short."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.gep(_row(context, builder, signature.args[0], args[0], args[1]), [args[2]])
        pointer, number = _BYTE.as_pointer(), ir.IntType(32)
        signature_of = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], signature_of)
        read, locality, data = (ir.Constant(number, value) for value in (0, 1, 1))
        builder.call(prefetch, [place, read, locality, data])
        return context.get_dummy_value()

    return types.void(array, row, byte), generate


@_intrinsic
def _block_product(_context: Any, weight: Any, row: Any, x: Any) -> Any:
    """Return the product of a row of blocks, as a file has them, with x."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = _row(context, builder, signature.args[0], args[0], args[1])
        vector = context.make_array(signature.args[2])(context, builder, args[2])
        blocks = builder.sdiv(builder.extract_value(vector.shape, 0), ir.Constant(ir.IntType(64), BLOCK))
        total = cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, [0.0] * _LANES))
        with cgutils.for_range(builder, blocks) as loop:
            start = builder.gep(base, [_times(builder, loop.index, BYTES)])
            inputs = builder.gep(vector.data, [_times(builder, loop.index, BLOCK)])
            scale = builder.fpext(
                _load(builder, builder.bitcast(start, _HALF.as_pointer()), _HALF, 1), _FLOAT
            )
            low, high = (_lanes(builder, start, inputs, half) for half in (0, 1))
            block = builder.fadd(low, high, flags=_FAST)
            scaled = builder.fmul(_spread(builder, scale), block, flags=_FAST)
            builder.store(builder.fadd(builder.load(total), scaled, flags=_FAST), total)
        return _sum(builder, builder.load(total))

    return types.float32(weight, row, x), generate


def _row(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> Any:
    """Return where a row of a two-dimensional array of bytes begins."""
    found = context.make_array(kind)(context, builder, array)
    return builder.gep(found.data, [builder.mul(row, builder.extract_value(found.strides, 0))])


def _lanes(builder: Any, block: Any, inputs: Any, half: int) -> Any:
    """Return the products of half a block's numbers with its inputs."""
    first = builder.gep(block, [ir.Constant(ir.IntType(64), BYTES - BLOCK + half * _LANES)])
    found = _load(builder, builder.bitcast(first, _NUMBERS.as_pointer()), _NUMBERS, 1)
    place = builder.gep(inputs, [ir.Constant(ir.IntType(64), half * _LANES)])
    x = _load(builder, builder.bitcast(place, _VECTOR.as_pointer()), _VECTOR, 4)
    return builder.fmul(builder.sitofp(found, _VECTOR), x, flags=_FAST)


def _load(builder: Any, place: Any, kind: Any, alignment: int) -> Any:
    return builder.load(place, align=alignment, typ=kind)


def _times(builder: Any, index: Any, size: int) -> Any:
    return builder.mul(index, ir.Constant(index.type, size))


def _spread(builder: Any, number: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), zeros)


def _sum(builder: Any, vector: Any) -> Any:
    """Return the sum of a vector's lanes, folded in the middle until one is left."""
    places, width = ir.VectorType(ir.IntType(32), _LANES), _LANES
    while width > 1:
        width //= 2
        fold = ir.Constant(places, [(lane + width) % _LANES for lane in range(_LANES)])
        vector = builder.fadd(vector, builder.shuffle_vector(vector, vector, fold), flags=_FAST)
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


@njit(**COMPILED)
def project_blocks(y: Array, weight: Array, x: Array, start: int, stop: int) -> None:
    """Set y[start:stop] to (W x)[start:stop]; W's blocks as a file has them."""
    for row in range(start, stop):
        y[row] = _block_product(weight, row, x)


@njit(**COMPILED)
def add_block_rows(y: Array, rows: Array, values: Array, kept: Array, count: int) -> None:
    """Add Σ values[r]·row r over the first ``count`` entries r of ``kept``, in ascending order, to y; blocks are turned.

    Up to eight inputs of one block a pass over y, which asks memory for the rows of the next pass: they are too short for
    a processor to see them coming.
    """
    at = 0
    whole = y.shape[0] - y.shape[0] % ALIGNMENT
    while at < count:
        block = kept[at] >> _FIVE
        stop = at + 1
        while stop < count and stop < at + 8 and kept[stop] >> _FIVE == block:
            stop += 1
        r, v = _rows_from(kept, at, stop), _values_from(values, kept, at, stop)
        coming = _rows_from(kept, min(stop, count - 1), count)
        scales = np.int64(block * _ROWS + _SCALES)
        for start in range(0, whole, ALIGNMENT):
            _ask(rows, coming[0], start)
            _ask(rows, coming[1], start)
            _ask(rows, coming[2], start)
            _ask(rows, coming[3], start)
            _ask(rows, coming[4], start)
            _ask(rows, coming[5], start)
            _ask(rows, coming[6], start)
            _ask(rows, coming[7], start)
            for i in range(ALIGNMENT):
                y[start + i] += _half(rows, scales, start + i) * _weighted(rows, r, v, start + i)
        for column in range(whole, y.shape[0]):
            y[column] += _half(rows, scales, column) * _weighted(rows, r, v, column)
        at = stop


@njit(**COMPILED)
def _rows_from(kept: Array, at: int, stop: int) -> Any:
    """Return where the numbers of eight inputs are; where fewer are left before ``stop``, the last one again."""
    last = stop - 1
    return (
        _in_bytes(kept[at]),
        _in_bytes(kept[min(at + 1, last)]),
        _in_bytes(kept[min(at + 2, last)]),
        _in_bytes(kept[min(at + 3, last)]),
        _in_bytes(kept[min(at + 4, last)]),
        _in_bytes(kept[min(at + 5, last)]),
        _in_bytes(kept[min(at + 6, last)]),
        _in_bytes(kept[min(at + 7, last)]),
    )


@njit(**COMPILED)
def _values_from(values: Array, kept: Array, at: int, stop: int) -> Any:
    """Return the values of eight inputs; where fewer are left before ``stop``, zeros."""
    none = np.float32(0)
    return (
        values[kept[at]],
        values[kept[at + 1]] if at + 1 < stop else none,
        values[kept[at + 2]] if at + 2 < stop else none,
        values[kept[at + 3]] if at + 3 < stop else none,
        values[kept[at + 4]] if at + 4 < stop else none,
        values[kept[at + 5]] if at + 5 < stop else none,
        values[kept[at + 6]] if at + 6 < stop else none,
        values[kept[at + 7]] if at + 7 < stop else none,
    )


@njit(**COMPILED)
def _in_bytes(row: Any) -> Any:
    """Return which row of bytes an input's numbers are: two rows of scales stand behind each 32."""
    return row + _TWO * (row >> _FIVE)


@njit(**COMPILED)
def _weighted(rows: Array, r: Any, v: Any, column: int) -> Any:
    """Return the sum of eight rows' numbers in a column, each times its value."""
    return (
        v[0] * np.float32(rows[r[0], column])
        + v[1] * np.float32(rows[r[1], column])
        + v[2] * np.float32(rows[r[2], column])
        + v[3] * np.float32(rows[r[3], column])
        + v[4] * np.float32(rows[r[4], column])
        + v[5] * np.float32(rows[r[5], column])
        + v[6] * np.float32(rows[r[6], column])
        + v[7] * np.float32(rows[r[7], column])
    )


@njit(**COMPILED)
def _read_floats(y: Array, weight: Array, row: int) -> None:
    for i in range(y.shape[0]):
        y[i] = widen(weight[row, i])


@njit(**COMPILED)
def _read_blocks(y: Array, weight: Array, row: int) -> None:
    for block in range(y.shape[0] // BLOCK):
        scale = _half(weight, row, np.intp(block * (BYTES // 2)))
        for i in range(BLOCK):
            y[block * BLOCK + i] = scale * np.float32(np.int8(weight[row, block * BYTES + 2 + i]))


def multiply(y: Array, weight: Array, x: Array, start: int, stop: int) -> None:
    """Set y[start:stop] to (W x)[start:stop]."""
    raise NotImplementedError


def add_kept(y: Array, rows: Array, values: Array, kept: Array, count: int) -> None:
    """Add Σ values[r]·rows[r] over the first ``count`` entries r of ``kept`` to y."""
    raise NotImplementedError


def look_up(y: Array, weight: Array, row: int) -> None:
    """Set y to a row of W."""
    raise NotImplementedError


@overload(multiply, strict=False)
def _multiply(y: Any, weight: Any, x: Any, start: Any, stop: Any) -> Any:
    if weight.dtype == types.uint8:
        return lambda y, weight, x, start, stop: project_blocks(y, weight, x, start, stop)
    return lambda y, weight, x, start, stop: project(y, weight, x, start, stop)


@overload(add_kept, strict=False)
def _add_kept(y: Any, rows: Any, values: Any, kept: Any, count: Any) -> Any:
    if rows.dtype == types.int8:
        return lambda y, rows, values, kept, count: add_block_rows(y, rows, values, kept, count)
    return lambda y, rows, values, kept, count: add_rows(y, rows, values, kept, count)


@overload(look_up, strict=False)
def _look_up(y: Any, weight: Any, row: Any) -> Any:
    if weight.dtype == types.uint8:
        return lambda y, weight, row: _read_blocks(y, weight, row)
    return lambda y, weight, row: _read_floats(y, weight, row)
