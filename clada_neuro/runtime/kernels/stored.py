"""How kernels store blocks of GGUF, and the data types that tell them so when they are compiled.

Two orders of the same blocks, neither of which changes a number. A matrix that is read whole is as a file has it,
``(outputs, inputs / 32)`` in blocks of `WHOLE`. One of which inputs are skipped is turned, ``(rows, width)`` in bytes of
`TURNED`: for each 32 inputs their 32 rows with all outputs' numbers, then rows with what each output's block shares. A
skipped input is a row of bytes that nobody touches.

====== ==================== ================= ============================= ==========================================
kind   block of a file      weight            width of a turned row         rows behind 32 inputs
====== ==================== ================= ============================= ==========================================
Q8_0   scale, 32 numbers    scale·q           outputs, a byte is q + 128    2: scales
Q4_1   scale, minimum,      scale·q + minimum outputs / 2, whole groups of  8: scales, then minima, of whole groups
       32 halves of bytes                     64: lower halves of bytes are
                                              the first 32 of a group
====== ==================== ================= ============================= ==========================================

Scales and minima are float16, q are −128…127 in Q8_0 and 0…15 in Q4_1.
"""

from typing import Any

import numpy as np
from numba import from_dtype

from clada_neuro.models.ggml import BLOCK, KINDS
from clada_neuro.runtime.kernels.cpu import Array

Q8_0, Q4_1 = "q8_0", "q4_1"
WHOLE = {name: np.dtype([(name, np.uint8, (kind.size,))]) for name, kind in KINDS.items()}
TURNED = {name: np.dtype([(f"{name}_turned", np.uint8)]) for name in KINDS}
GROUP = 64  # outputs of Q4_1 that share 32 bytes
ROWS = {Q8_0: BLOCK + 2, Q4_1: BLOCK + 8}  # of 32 inputs


def kind_of(stored: Any) -> str:
    """Return the kind of numba's type for one of `WHOLE` and `TURNED`."""
    return next(name for name in KINDS if stored in (from_dtype(WHOLE[name]), from_dtype(TURNED[name])))


def kind_stored(weight: Array) -> str | None:
    """Return the kind of a matrix's blocks in either order, None for floats."""
    return next((name for name in KINDS if weight.dtype in (WHOLE[name], TURNED[name])), None)


def outputs_of(rows: Array) -> int:
    """Return how many outputs a row of a matrix by input has, with those that fill it up."""
    return rows.shape[-1] * (2 if rows.dtype == TURNED[Q4_1] else 1)


def whole(blocks: Array, kind: str) -> Array:
    """Return the blocks of a file ``(…, outputs, bytes)`` uint8 as ``(…, outputs, inputs / 32)`` of `WHOLE`, in place."""
    return np.ascontiguousarray(blocks).view(WHOLE[kind])


def width(kind: str, outputs: int) -> int:
    """Return the bytes of a turned row."""
    return outputs if kind == Q8_0 else -(-outputs // GROUP) * GROUP // 2


def turned(blocks: Array, kind: str) -> Array:
    """Return the blocks of a file ``(outputs, bytes)`` uint8 turned, ``(rows, width)`` of `TURNED`; outputs are whole blocks, too."""
    outputs = len(blocks)
    parts = blocks.reshape(outputs, -1, KINDS[kind].size)
    by_input = _q8_0(parts) if kind == Q8_0 else _q4_1(parts)
    return np.ascontiguousarray(by_input).reshape(-1, width(kind, outputs)).view(TURNED[kind])


def _q8_0(parts: Array) -> Array:
    numbers = (parts[:, :, 2:] ^ 128).transpose(1, 2, 0)
    return np.concatenate([numbers, _shared(parts[:, :, :2], len(parts))], axis=1)


def _q4_1(parts: Array) -> Array:
    """Return nibbles of neighbouring inputs from a file's, where the 16th after each is its byte's upper half."""
    outputs, blocks, _ = parts.shape
    packed = width(Q4_1, outputs)
    numbers = np.zeros((blocks, BLOCK, 2 * packed), np.uint8)
    numbers[:, : BLOCK // 2, :outputs] = (parts[:, :, 4:] & 15).transpose(1, 2, 0)
    numbers[:, BLOCK // 2 :, :outputs] = (parts[:, :, 4:] >> 4).transpose(1, 2, 0)
    low, high = numbers.reshape(blocks, BLOCK, -1, 2, GROUP // 2).transpose(3, 0, 1, 2, 4)
    halves = (low | high << 4).reshape(blocks, BLOCK, packed)
    shared = [_shared(parts[:, :, at : at + 2], 2 * packed) for at in (0, 2)]
    return np.concatenate([halves, *(rows.reshape(blocks, -1, packed) for rows in shared)], axis=1)


def _shared(numbers: Array, outputs: int) -> Array:
    """Return float16 numbers ``(outputs, blocks, 2)`` uint8 side by side, two rows a block; zeros behind the last."""
    found = np.zeros((numbers.shape[1], outputs, 2), np.uint8)
    found[:, : len(numbers)] = numbers.swapaxes(0, 1)
    return found.reshape(-1, 2, outputs)
