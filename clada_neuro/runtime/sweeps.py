"""What stands between the products of a pass in float32 on a CPU, each in one compiled sweep over its numbers.

PyTorch computes a norm, a rotation and a gate in several sweeps, writes down what each of them leaves, and hands each to its
threads anew, which takes longer than the arithmetic. Parts of a model are replaced here while a pass runs, and only those
that compute what the sweep computes: an instance of each kind is asked with random numbers before.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor, nn
from transformers import PreTrainedModel

from clada_neuro.models.ffn import FFN
from clada_neuro.models.registry import measured_layers
from clada_neuro.models.threads import shared_out
from clada_neuro.runtime.kernels.cpu import exponential

Array = npt.NDArray[Any]

_ROTATE = "apply_rotary_pos_emb"  # the name of the function in every family's module
_FEWEST = 64  # tokens that are worth a thread
_ROTATIONS = Lock()
_UNDER_WAY: Counter[str] = Counter()  # passes whose family rotates by a sweep, by module
# What is missing must stay missing: only the order of additions may change.
_COMPILED: dict[str, Any] = dict(
    nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy"
)


@contextmanager
def swept(model: PreTrainedModel) -> Iterator[None]:
    """Let norms, rotations and gates of a model be computed by sweeps inside a ``with`` block, as far as they are known."""
    with ExitStack() as changes:
        if model.dtype == torch.float32 and model.device.type == "cpu":
            for part, forward in _replaced(model):
                part.forward = forward
                changes.callback(delattr, part, "forward")
            _replace_rotation(model, changes)
        yield


def _replaced(model: PreTrainedModel) -> list[tuple[nn.Module, Callable[..., Tensor]]]:
    """Return the parts that sweeps can compute, and the sweeps."""
    found: list[tuple[nn.Module, Callable[..., Tensor]]] = []
    norms: dict[type[nn.Module], bool] = {}
    part: Any
    for part in model.modules():
        if hasattr(part, "variance_epsilon") and _is_free(part):
            if type(part) not in norms:
                x = _numbers(5, part.weight.shape[0])
                norms[type(part)] = _close(_norm(part, x), part.forward(x))
            if norms[type(part)]:
                found.append((part, partial(_norm, part)))
    blocks = [block for block in measured_layers(model)[0] if isinstance(block, FFN)]
    x = _numbers(5, 7)
    for block in blocks:
        gated = block.gated and not block.family.fused and _is_free(block.module)
        if gated and _close(block.activation(x), nn.functional.silu(x)):
            found.append((block.module, partial(_block, block)))
    return found


def _is_free(part: nn.Module) -> bool:
    """Return whether a part computes what its class says: nobody has put something else in its place."""
    return "forward" not in vars(part)


def _numbers(*shape: int) -> Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-5, atol=1e-6)


def _norm(part: Any, x: Tensor) -> Tensor:
    """Return x over its root mean square, times the weights."""
    found = torch.empty_like(x, memory_format=torch.contiguous_format)
    width = x.shape[-1]
    given = x.contiguous().view(-1, width).numpy(), part.weight.detach().numpy(), float(part.variance_epsilon)
    shared_out(partial(_normalize, *given, found.view(-1, width).numpy()), x.numel() // width, _FEWEST)
    return found


def _block(block: FFN, x: Tensor) -> Tensor:
    """Return what a gated block computes, if its activation is SiLU."""
    gate, up = (part(x) for part in block.inputs)
    width = gate.shape[-1]
    gate, rows = gate.contiguous(), gate.numel() // width
    given = gate.view(-1, width).numpy(), up.contiguous().view(-1, width).numpy()
    shared_out(partial(_gate, *given), rows, _FEWEST)
    return block.down(gate)  # type: ignore[no-any-return]


def _replace_rotation(model: PreTrainedModel, changes: ExitStack) -> None:
    """Let queries and keys be rotated by a sweep, where the family's function does what it does.

    All models of a family share the function: the first pass puts the sweep in its place, the last of those under way takes it back.
    """
    module: Any = sys.modules[type(model).__module__]
    with _ROTATIONS:
        if not _UNDER_WAY[module.__name__]:
            usual = vars(module).get(_ROTATE)
            if usual is None or not _rotates(usual):
                return
            setattr(module, _ROTATE, partial(_rotated, usual))
        _UNDER_WAY[module.__name__] += 1
    changes.callback(_take_back, module)


def _take_back(module: Any) -> None:
    with _ROTATIONS:
        _UNDER_WAY[module.__name__] -= 1
        if not _UNDER_WAY[module.__name__]:
            setattr(module, _ROTATE, vars(module)[_ROTATE].args[0])


def _rotates(usual: Callable[..., tuple[Tensor, Tensor]]) -> bool:
    """Return whether a family's function computes what the sweep does."""
    query, key, half = _numbers(1, 4, 3, 8), _numbers(1, 2, 3, 8), _numbers(1, 3, 4)
    angles = torch.cat((half, half), dim=-1)
    given = query, key, angles.cos(), angles.sin()
    try:
        return all(_close(*pair) for pair in zip(_rotated(usual, *given), usual(*given), strict=True))
    except (TypeError, RuntimeError):  # a function of that name that takes something else
        return False


def _rotated(
    usual: Callable[..., tuple[Tensor, Tensor]],
    q: Tensor,
    k: Tensor,
    cos: Tensor,
    sin: Tensor,
    *rest: Any,
    **more: Any,
) -> tuple[Tensor, Tensor]:
    """Return queries and keys (rows, heads, seq, dim) at their positions; other models that run meanwhile get what is usual."""
    plain = not rest and not more and q.dtype == cos.dtype == torch.float32 and q.device.type == "cpu"
    if not plain or cos.shape[-1] != q.shape[-1] or cos.dim() != 3 or q.requires_grad:
        return usual(q, k, cos, sin, *rest, **more)
    found = []
    for part in (q, k):
        by_token = part.transpose(1, 2).contiguous()
        into = torch.empty_like(by_token)
        shape = (part.shape[0], part.shape[2], cos.shape[-1])
        given = [value.expand(shape).contiguous().numpy() for value in (cos, sin)]
        work = partial(
            _rotate,
            by_token.flatten(0, 1).numpy(),
            *(one.reshape(-1, shape[-1]) for one in given),
            into.flatten(0, 1).numpy(),
        )
        shared_out(work, shape[0] * shape[1], _FEWEST)
        found.append(into.transpose(1, 2))
    return found[0], found[1]


@njit(**_COMPILED)
def _normalize(x: Array, weight: Array, epsilon: float, found: Array, start: int, stop: int) -> None:
    for row in range(start, stop):
        one, into = x[row], found[row]
        total = np.float32(0)
        for i in range(one.shape[0]):
            total += one[i] * one[i]
        factor = np.float32(1 / np.sqrt(total / one.shape[0] + epsilon))
        for i in range(one.shape[0]):
            into[i] = weight[i] * (one[i] * factor)


@njit(**_COMPILED)
def _gate(gate: Array, up: Array, start: int, stop: int) -> None:
    """Turn g into silu(g)·u."""
    for row in range(start, stop):
        one, other = gate[row], up[row]
        for i in range(one.shape[0]):
            e = exponential(-abs(one[i]))  # of the side where it is small
            one[i] = one[i] * (e if one[i] < 0 else np.float32(1)) / (np.float32(1) + e) * other[i]


@njit(**_COMPILED)
def _rotate(x: Array, cos: Array, sin: Array, found: Array, start: int, stop: int) -> None:
    """Turn each head's pairs (i, i + dim/2) by the angles of its token; arrays are (tokens, heads, dim)."""
    half = x.shape[2] // 2
    for token in range(start, stop):
        c, s = cos[token], sin[token]
        for head in range(x.shape[1]):
            one, into = x[token, head], found[token, head]
            for i in range(half):
                into[i] = one[i] * c[i] - one[half + i] * s[i]
            for i in range(half):
                into[half + i] = one[half + i] * c[half + i] + one[i] * s[half + i]
