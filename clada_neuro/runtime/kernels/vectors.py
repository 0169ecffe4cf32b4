"""LLVM's vectors in kernels: loads, spreads, sums, and the one product of bytes that compilers do not find by themselves.

A product of unsigned bytes u and signed bytes s adds four neighbours to each of eight 32-bit integers. Processors with
VNNI have it as one instruction (vpdpbusd); elsewhere the same sums are written in plain vectors, which LLVM turns into
what there is. Both are exact, so that no number depends on the choice, which is made once, when this file is imported.
"""

from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BYTES, LANES = 32, 8  # of a vector of 256 bits
LINE = 64  # bytes of a cache line
FAST = ("reassoc", "contract", "nsz", "arcp", "afn")

Intrinsic: Any = intrinsic  # compiled code calls an intrinsic without its first argument
BYTE, HALF, INTEGER, FLOAT = ir.IntType(8), ir.HalfType(), ir.IntType(32), ir.FloatType()
PLACE = ir.IntType(64)
SIXTEEN, NUMBERS = ir.VectorType(BYTE, BYTES // 2), ir.VectorType(BYTE, BYTES)
TWO, TWO_HALVES = ir.VectorType(FLOAT, 2), ir.VectorType(HALF, 2)
INTEGERS, FLOATS, HALVES = (ir.VectorType(kind, LANES) for kind in (INTEGER, FLOAT, HALF))


def _has_vnni() -> bool:
    """Return whether numba compiles for a processor whose 256-bit vectors have vpdpbusd."""
    if numba.config.CPU_NAME is not None:  # type: ignore[attr-defined]
        return False  # compiled for another processor than this one
    named = numba.config.CPU_FEATURES  # type: ignore[attr-defined]
    has = set(named.split(",")) if named is not None else set(_features())
    return {"+avx512vnni", "+avx512vl"} <= has or "+avxvnni" in has


def _features() -> list[str]:
    return llvmlite.binding.get_host_cpu_features().flatten().split(",")


VNNI = _has_vnni()
PRODUCTS = "vnni" if VNNI else "portable"


def start_of_row(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> Any:
    """Return where a row of a two-dimensional array begins, in bytes."""
    found = context.make_array(kind)(context, builder, array)
    first = builder.bitcast(found.data, BYTE.as_pointer())
    return builder.gep(first, [builder.mul(row, builder.extract_value(found.strides, 0))])


def data(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Return where an array's elements begin."""
    return context.make_array(kind)(context, builder, array).data


def load(builder: Any, place: Any, kind: Any, alignment: int = 1) -> Any:
    """Return a value of a kind from any place."""
    return builder.load(builder.bitcast(place, kind.as_pointer()), align=alignment, typ=kind)


def at(builder: Any, place: Any, *, index: Any = None, size: int = 1, offset: int = 0) -> Any:
    """Return the place ``index·size + offset`` elements on."""
    if index is not None:
        place = builder.gep(place, [times(builder, index, size)])
    return builder.gep(place, [ir.Constant(PLACE, offset)]) if offset else place


def ask(builder: Any, place: Any) -> None:
    """Have a place's cache line brought nearer, beyond the first-level cache, whose queue is short."""
    pointer, number = BYTE.as_pointer(), INTEGER
    kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
    read, locality, data_not_code = (ir.Constant(number, value) for value in (0, 1, 1))
    builder.call(prefetch, [place, read, locality, data_not_code])


@Intrinsic
def in_a_line(_context: Any, array: Any) -> Any:
    """Return how many elements of an array a cache line holds, a constant of the compiled code."""

    def generate(context: Any, _builder: Any, signature: Any, _args: Any) -> Any:
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        return ir.Constant(PLACE, LINE // size)

    return types.int64(array), generate


@Intrinsic
def ask_for(_context: Any, rows: Any, row: Any, column: Any) -> Any:
    """Have the cache line of an element of a two-dimensional array brought nearer; a place behind its end does no harm."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        first = start_of_row(context, builder, kind, *args[:2])
        size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        ask(builder, at(builder, first, index=args[2], size=size))
        return context.get_dummy_value()

    return types.void(rows, types.int64, types.int64), generate


def times(builder: Any, index: Any, size: int) -> Any:
    """Return an integer so many times."""
    return builder.mul(index, ir.Constant(index.type, size))


def variable(builder: Any, value: Any) -> Any:
    """Return a place for a value that changes in a loop; LLVM keeps it in a register."""
    return cgutils.alloca_once_value(builder, value)


def spread(builder: Any, number: Any, kind: Any) -> Any:
    """Return a vector whose lanes are all one number."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(INTEGER, 0))
    return pick(builder, one, one, [0] * kind.count)


def pick(builder: Any, first: Any, second: Any, lanes: list[int]) -> Any:
    """Return lanes of two vectors, those of the second counted on."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(INTEGER, len(lanes)), lanes))


def constant(kind: Any, value: int) -> Any:
    """Return a vector of one integer."""
    return ir.Constant(kind, [value] * kind.count)


def total(builder: Any, vector: Any) -> Any:
    """Return the sum of a vector's lanes, folded in the middle until one is left."""
    width = LANES
    while width > 1:
        width //= 2
        fold = pick(builder, vector, vector, [(lane + width) % LANES for lane in range(LANES)])
        vector = builder.fadd(vector, fold, flags=FAST)
    return builder.extract_element(vector, ir.Constant(INTEGER, 0))


def add_products(builder: Any, sums: Any, unsigned: Any, signed: Any) -> Any:
    """Add to each of eight integers the products of four neighbouring bytes, unsigned times signed."""
    return (_by_vnni if VNNI else _by_plain_vectors)(builder, sums, unsigned, signed)


def joined(builder: Any, high: Any, low: Any) -> Any:
    """Return 256·high + low."""
    return builder.add(builder.shl(high, constant(INTEGERS, 8)), low)


def _by_vnni(builder: Any, sums: Any, unsigned: Any, signed: Any) -> Any:
    # The form of LLVM before 22, which later ones still read.
    kind = ir.FunctionType(INTEGERS, [INTEGERS] * 3)
    name = "llvm.x86.avx512.vpdpbusd.256"
    known = builder.module.globals.get(name)
    function = ir.Function(builder.module, kind, name) if known is None else known
    return builder.call(function, [sums, *(builder.bitcast(v, INTEGERS) for v in (unsigned, signed))])


def _by_plain_vectors(builder: Any, sums: Any, unsigned: Any, signed: Any) -> Any:
    wide = ir.VectorType(INTEGER, BYTES)
    products = builder.mul(builder.zext(unsigned, wide), builder.sext(signed, wide))
    for first in range(4):
        every_fourth = pick(builder, products, products, list(range(first, BYTES, 4)))
        sums = builder.add(sums, every_fourth)
    return sums


def _products_by(way: Any) -> Any:
    @Intrinsic
    def products(_context: Any, sums: Any, unsigned: Any, signed: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            places = [data(context, builder, *pair) for pair in zip(signature.args, args, strict=True)]
            before, *bytes_ = (
                load(builder, place, kind)
                for place, kind in zip(places, (INTEGERS, NUMBERS, NUMBERS), strict=True)
            )
            after = way(builder, before, *bytes_)
            builder.store(after, builder.bitcast(places[0], INTEGERS.as_pointer()), align=4)
            return context.get_dummy_value()

        return types.void(sums, unsigned, signed), generate

    return products


# Of arrays int32 (8,), uint8 (32,), int8 (32,): what the two ways are compared by.
products_here, products_in_plain_vectors = _products_by(add_products), _products_by(_by_plain_vectors)
