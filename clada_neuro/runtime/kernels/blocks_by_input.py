"""Sums of kept rows of turned blocks (`clada_neuro.runtime.kernels.stored`): what is not kept is not read.

Four kept inputs of a block at a time: their bytes are interleaved in registers, so that each output has four neighbours,
which one product adds up in whole numbers (`clada_neuro.runtime.kernels.vectors`). A block's sums are scaled once.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from clada_neuro.models.ggml import BLOCK
from clada_neuro.runtime.kernels import vectors as v
from clada_neuro.runtime.kernels.cpu import ALIGNMENT, COMPILED, Array
from clada_neuro.runtime.kernels.rounding import Rounded, round_kept
from clada_neuro.runtime.kernels.stored import Q4_1, ROWS, kind_of

_FOUR = 4
_PAIRS = ir.VectorType(ir.IntType(16), v.BYTES // 2)


def _woven(builder: Any, first: Any, second: Any, kind: Any) -> tuple[Any, Any]:
    """Return elements of two vectors in turn: those of the lower halves of their 128-bit lanes, and of the upper."""
    first, second = (builder.bitcast(vector, kind) for vector in (first, second))
    count = kind.count
    halves = []
    for offset in (0, count // 4):
        lanes = [lane + offset + i for lane in (0, count // 2) for i in range(count // 4)]
        halves.append(v.pick(builder, first, second, [at for n in lanes for at in (n, count + n)]))
    return halves[0], halves[1]


def _four_neighbours(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the bytes of four rows output by output; outputs in the order that `_in_order` undoes."""
    low, high = _woven(builder, rows[0], rows[1], v.NUMBERS), _woven(builder, rows[2], rows[3], v.NUMBERS)
    woven = [
        vector for pair in zip(low, high, strict=True) for vector in _woven(builder, pair[0], pair[1], _PAIRS)
    ]
    return [builder.bitcast(vector, v.NUMBERS) for vector in woven]


def _in_order(builder: Any, sums: list[Any]) -> list[Any]:
    """Return four vectors of eight outputs' sums, ascending."""
    lower, upper = [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]
    return [
        v.pick(builder, pair[0], pair[1], lanes) for lanes in (lower, upper) for pair in (sums[:2], sums[2:])
    ]


def _unsigned(builder: Any, halves: bool, neighbours: list[Any]) -> list[Any]:
    """Return weights as unsigned bytes, of Q4_1 those of lower and then of upper halves."""
    if not halves:
        return neighbours
    low = [builder.and_(vector, v.constant(v.NUMBERS, 15)) for vector in neighbours]
    return low + [builder.lshr(vector, v.constant(v.NUMBERS, 4)) for vector in neighbours]


class _Tile:
    """32 bytes of each of a block's rows: 32 outputs of Q8_0, 64 of Q4_1."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        y, rows, block, byte = args[:4]
        self._builder, kind = builder, kind_of(signature.args[1].dtype)
        self.has_minima = kind == Q4_1
        self.outputs = 2 * v.BYTES if self.has_minima else v.BYTES
        found = context.make_array(signature.args[1])(context, builder, rows)
        self.stride = builder.extract_value(found.strides, 0)
        start = v.start_of_row(context, builder, signature.args[1], rows, v.times(builder, block, ROWS[kind]))
        self.numbers = builder.gep(start, [byte])
        output = v.times(builder, byte, self.outputs // v.BYTES)
        self._scales = v.at(
            builder, v.at(builder, start, index=self.stride, size=BLOCK), index=output, size=2
        )
        self._minima = v.at(
            builder, self._scales, index=self.stride, size=4
        )  # of Q4_1: its scales are four rows
        target = context.make_array(signature.args[0])(context, builder, y)
        self._y = builder.gep(target.data, [output])
        self._left = builder.sub(builder.extract_value(target.shape, 0), output)

    def add(self, sums: list[Any], step: Any, sum_of_x: Any) -> None:
        """Add to y scale·step·sums and minimum·Σx; the upper half of a tile may lie behind its end."""
        half = len(sums) // 2
        if not self.has_minima:
            self._add(sums, 0, step, sum_of_x)
            return
        self._add(sums[:half], 0, step, sum_of_x)
        all_there = self._builder.icmp_signed(">=", self._left, ir.Constant(self._left.type, self.outputs))
        with self._builder.if_then(all_there):
            self._add(sums[half:], half, step, sum_of_x)

    def _add(self, sums: list[Any], first: int, step: Any, sum_of_x: Any) -> None:
        builder = self._builder
        for place, eight in enumerate(_in_order(builder, sums), first):
            factor = builder.fmul(
                self._shared(self._scales, place), v.spread(builder, step, v.FLOATS), flags=v.FAST
            )
            more = builder.fmul(factor, builder.sitofp(eight, v.FLOATS), flags=v.FAST)
            if self.has_minima:
                minimum = self._shared(self._minima, place)
                lowest = builder.fmul(minimum, v.spread(builder, sum_of_x, v.FLOATS), flags=v.FAST)
                more = builder.fadd(more, lowest, flags=v.FAST)
            target = v.at(builder, self._y, offset=place * v.LANES)
            new = builder.fadd(v.load(builder, target, v.FLOATS, 4), more, flags=v.FAST)
            builder.store(new, builder.bitcast(target, v.FLOATS.as_pointer()), align=4)

    def _shared(self, numbers: Any, place: int) -> Any:
        halves = v.load(self._builder, v.at(self._builder, numbers, offset=place * 2 * v.LANES), v.HALVES)
        return self._builder.fpext(halves, v.FLOATS)


@v.Intrinsic
def _add_tile(
    _context: Any,
    y: Any,
    rows: Any,
    block: Any,
    byte: Any,
    high: Any,
    low: Any,
    places: Any,
    group: Any,
    stop: Any,
    start: Any,
    step: Any,
    sum_of_x: Any,
) -> Any:
    """Add to y what a block's kept inputs, groups ``group`` to ``stop``, give to the outputs of a tile that begins at ``byte``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile = _Tile(context, builder, signature, args)
        *x, wanted = (v.data(context, builder, signature.args[i], args[i]) for i in (4, 5, 6))
        none = v.constant(v.INTEGERS, 0)
        begin = none if tile.has_minima else v.spread(builder, args[9], v.INTEGERS)
        sums = [
            [v.variable(builder, value) for _ in range(tile.outputs // v.LANES)] for value in (none, begin)
        ]
        one = ir.Constant(v.PLACE, 1)
        with cgutils.for_range_slice(builder, args[7], args[8], one, v.PLACE) as (index, _):
            fours = [v.load(builder, v.at(builder, part, index=index, size=_FOUR), v.INTEGER) for part in x]
            signed = [builder.bitcast(v.spread(builder, four, v.INTEGERS), v.NUMBERS) for four in fours]
            read = []
            for i in range(_FOUR):
                place = v.at(builder, v.at(builder, wanted, index=index, size=_FOUR), offset=i)
                row = builder.gep(tile.numbers, [v.load(builder, place, v.PLACE, 8)])
                read.append(v.load(builder, row, v.NUMBERS))
            weights = _unsigned(builder, tile.has_minima, _four_neighbours(builder, read))
            for totals, part in zip(sums, signed, strict=True):
                for total, unsigned in zip(totals, weights, strict=True):
                    builder.store(v.add_products(builder, builder.load(total), unsigned, part), total)
        whole = [v.joined(builder, *map(builder.load, pair)) for pair in zip(*sums, strict=True)]
        tile.add(whole, args[10], args[11])
        return context.get_dummy_value()

    given = (y, rows, types.int64, types.int64, high, low, places, types.int64, types.int64, types.int32)
    return types.void(*given, types.float32, types.float32), generate


@v.Intrinsic
def _ask(_context: Any, rows: Any, block: Any, byte: Any) -> Any:
    """Ask for the cache line of a block's byte."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = kind_of(signature.args[0].dtype)
        first = v.times(builder, args[1], ROWS[kind])
        start = v.start_of_row(context, builder, signature.args[0], args[0], first)
        v.ask(builder, builder.gep(start, [args[2]]))
        return context.get_dummy_value()

    return types.void(rows, types.int64, types.int64), generate


@njit(**COMPILED)
def add_kept_blocks(y: Array, rows: Array, x: Array, kept: Array, count: int, rounded: Rounded) -> None:
    """Add Σ x[r]·row r over the first ``count`` entries r of ``kept``, ascending, to y.

    While a block is added, memory is asked for the rows of the next: they are too short for a processor to see them coming.
    """
    blocks = round_kept(x, kept, count, rows.strides[0], rounded)
    for found in range(blocks):
        coming = min(found + 1, blocks - 1)
        for byte in range(0, rows.shape[1], v.BYTES):
            if byte % ALIGNMENT == 0:
                for at in range(rounded.groups[coming] * _FOUR, rounded.groups[coming + 1] * _FOUR):
                    _ask(rows, rounded.blocks[coming], rounded.places[at] + byte)
            _add_tile(
                y,
                rows,
                rounded.blocks[found],
                byte,
                rounded.kept_high,
                rounded.kept_low,
                rounded.places,
                rounded.groups[found],
                rounded.groups[found + 1],
                rounded.starts[found, 0],
                rounded.factors[found, 0],
                rounded.factors[found, 1],
            )
