"""Products with matrices of blocks that are read whole, as a file has them (`clada_neuro.runtime.kernels.stored`).

The vector comes as levels (`clada_neuro.runtime.kernels.rounding`): a block's products are added up in whole numbers, of
which float32 sums take scale·step times. Four outputs a pass share what is read of the vector.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from clada_neuro.models.ggml import BLOCK, KINDS
from clada_neuro.runtime.kernels import vectors as v
from clada_neuro.runtime.kernels.cpu import ALIGNMENT, COMPILED, Array
from clada_neuro.runtime.kernels.rounding import Rounded
from clada_neuro.runtime.kernels.stored import Q4_1, Q8_0, kind_of

_AHEAD = 4  # passes


class _Vector:
    """One block of the vector, loaded where a pass is at it."""

    def __init__(self, builder: Any, places: tuple[Any, ...], block: Any) -> None:
        high, low, factors, starts = places
        self._builder = builder
        self._high, self._low = (
            v.load(builder, v.at(builder, bytes_, index=block, size=BLOCK), v.NUMBERS)
            for bytes_ in (high, low)
        )
        self.factors = v.load(builder, v.at(builder, factors, index=block, size=2), v.TWO, 4)
        self.start = v.load(builder, v.at(builder, starts, index=block, size=v.LANES), v.INTEGERS, 4)

    def times(self, unsigned: Any, start: Any) -> Any:
        """Return Σ weight·level, from ``start`` on, in eight parts."""
        high = v.add_products(self._builder, v.constant(v.INTEGERS, 0), unsigned, self._high)
        return v.joined(self._builder, high, v.add_products(self._builder, start, unsigned, self._low))


def _q8_0(builder: Any, block: Any, x: _Vector) -> tuple[Any, Any]:
    """Return scale·step (and nothing) and whole sums of a block: Σ (q + 128)·level − 128·Σ level."""
    numbers = v.load(builder, v.at(builder, block, offset=2), v.NUMBERS)
    unsigned = builder.xor(numbers, v.constant(v.NUMBERS, 128))
    scale = builder.fpext(v.load(builder, block, v.HALF), v.FLOAT)
    first = builder.insert_element(ir.Constant(v.TWO, [0.0, 0.0]), scale, ir.Constant(v.INTEGER, 0))
    shared = builder.fmul(first, x.factors, flags=v.FAST)
    return shared, x.times(unsigned, x.start)


def _q4_1(builder: Any, block: Any, x: _Vector) -> tuple[Any, Any]:
    """Return scale·step and minimum·Σx, and whole sums of a block."""
    numbers = _nibbles(builder, block)
    both = builder.fpext(v.load(builder, block, v.TWO_HALVES), v.TWO)
    shared = builder.fmul(both, x.factors, flags=v.FAST)
    return shared, x.times(numbers, v.constant(v.INTEGERS, 0))


def _nibbles(builder: Any, block: Any) -> Any:
    """Return the 32 numbers of a block of Q4_1, of which the 16th after each is its byte's upper half."""
    packed = v.load(builder, v.at(builder, block, offset=4), v.SIXTEEN)
    low = builder.and_(packed, v.constant(v.SIXTEEN, 15))
    high = builder.lshr(packed, v.constant(v.SIXTEEN, 4))
    return v.pick(builder, low, high, list(range(v.BYTES)))


_READ = {Q8_0: _q8_0, Q4_1: _q4_1}


def _rows_of(together: int) -> Any:
    """Return what sets ``together`` entries of y, from ``row`` on, to rows of blocks times a vector."""

    @v.Intrinsic
    def rows_of(
        _context: Any, y: Any, weight: Any, row: Any, high: Any, low: Any, factors: Any, starts: Any
    ) -> Any:
        kind = kind_of(weight.dtype)
        size, read = KINDS[kind].size, _READ[kind]

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args
            found = context.make_array(kinds[1])(context, builder, args[1])
            first = v.start_of_row(context, builder, kinds[1], args[1], args[2])
            stride = builder.extract_value(found.strides, 0)
            vector = tuple(v.data(context, builder, kinds[i], args[i]) for i in range(3, 7))
            bases = [builder.gep(first, [v.times(builder, stride, n)]) for n in range(together)]
            # A processor does not see such short rows coming, of which several are read at once.
            ahead = builder.gep(first, [v.times(builder, stride, _AHEAD * together)])
            totals = [v.variable(builder, ir.Constant(v.FLOATS, [0.0] * v.LANES)) for _ in bases]
            shared = [v.variable(builder, ir.Constant(v.TWO, [0.0, 0.0])) for _ in bases]
            with cgutils.for_range(builder, builder.extract_value(found.shape, 1)) as loop:
                x = _Vector(builder, vector, loop.index)
                coming = v.at(builder, ahead, index=loop.index, size=together * size)
                for line in range(-(-together * size // ALIGNMENT)):
                    v.ask(builder, v.at(builder, coming, offset=line * ALIGNMENT))
                for base, sums in zip(bases, zip(totals, shared, strict=True), strict=True):
                    block = v.at(builder, base, index=loop.index, size=size)
                    _add(builder, read(builder, block, x), sums)
            target = builder.gep(v.data(context, builder, kinds[0], args[0]), [args[2]])
            for n, (total, both) in enumerate(zip(totals, shared, strict=True)):
                value = v.total(builder, builder.load(total))
                if kind == Q4_1:
                    lowest = builder.extract_element(builder.load(both), ir.Constant(v.INTEGER, 1))
                    value = builder.fadd(value, lowest, flags=v.FAST)
                builder.store(value, v.at(builder, target, offset=n), align=4)
            return context.get_dummy_value()

        return types.void(y, weight, row, high, low, factors, starts), generate

    return rows_of


def _add(builder: Any, found: tuple[Any, Any], sums: tuple[Any, Any]) -> None:
    """Add a block to a row's eight float sums, scale·step times, and to what its blocks share."""
    shared, whole = found
    total, both = sums
    factor = v.spread(builder, builder.extract_element(shared, ir.Constant(v.INTEGER, 0)), v.FLOATS)
    scaled = builder.fmul(factor, builder.sitofp(whole, v.FLOATS), flags=v.FAST)
    builder.store(builder.fadd(builder.load(total), scaled, flags=v.FAST), total)
    builder.store(builder.fadd(builder.load(both), shared, flags=v.FAST), both)


_four_rows, _one_row = _rows_of(4), _rows_of(1)


@njit(**COMPILED)
def project_blocks(y: Array, weight: Array, rounded: Rounded, start: int, stop: int) -> None:
    """Set y[start:stop] to (W x)[start:stop], x rounded whole."""
    fours = start + (stop - start) // 4 * 4
    for row in range(start, fours, 4):
        _four_rows(y, weight, row, rounded.high, rounded.low, rounded.factors, rounded.starts)
    for row in range(fours, stop):
        _one_row(y, weight, row, rounded.high, rounded.low, rounded.factors, rounded.starts)


@v.Intrinsic
def _read_block(_context: Any, y: Any, weight: Any, row: Any, block: Any) -> Any:
    """Set 32 entries of y to the numbers of a block."""
    kind = kind_of(weight.dtype)
    wide = ir.VectorType(v.FLOAT, BLOCK)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = v.start_of_row(context, builder, signature.args[1], args[1], args[2])
        place = v.at(builder, first, index=args[3], size=KINDS[kind].size)
        scale = v.spread(builder, builder.fpext(v.load(builder, place, v.HALF), v.FLOAT), wide)
        if kind == Q8_0:
            numbers = builder.sitofp(v.load(builder, v.at(builder, place, offset=2), v.NUMBERS), wide)
            values = builder.fmul(scale, numbers)
        else:
            minimum = builder.fpext(v.load(builder, v.at(builder, place, offset=2), v.HALF), v.FLOAT)
            scaled = builder.fmul(scale, builder.uitofp(_nibbles(builder, place), wide))
            values = builder.fadd(scaled, v.spread(builder, minimum, wide))
        target = v.at(
            builder, v.data(context, builder, signature.args[0], args[0]), index=args[3], size=BLOCK
        )
        builder.store(values, builder.bitcast(target, wide.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(y, weight, row, types.int64), generate


@njit(**COMPILED)
def read_blocks(y: Array, weight: Array, row: int) -> None:
    """Set y to a row of W."""
    for block in range(weight.shape[1]):
        _read_block(y, weight, row, block)
