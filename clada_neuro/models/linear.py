"""How a CPU multiplies by a model's weights: by what PyTorch takes itself, or by oneDNN, whichever is faster here.

PyTorch hands products in float32 to MKL, which is slow on some processors, and those in bfloat16 to oneDNN. Both are
exact routes: they differ in the order of additions alone. A map that reads more than the hidden size is left to PyTorch:
it adds up a start token's huge activations, where another order moves surprisals by 2e-4 bits. oneDNN reads the weights where they are, so that none are
kept twice. A short timing of each shape of weights decides, once a machine, data type and number of threads; it is kept
in the user's cache, so that an interrupted run goes on by the route that it began with. The route of every shape
stands in a manifest with its speed, and is part of what results on disk are bound to, since it moves the last bits.
"""

import json
import os
import platform
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.falcon.modeling_falcon import FalconLinear
from transformers.pytorch_utils import Conv1D

from clada_neuro.artifacts import cache_folder, content_hash, one_at_a_time, write_text
from clada_neuro.errors import ModelError

VARIABLE = "CLADA_NEURO_LINEAR"
TORCH, ONEDNN = ROUTES = "torch", "onednn"
SPEEDS = "linear_gflops"  # in a manifest; measured anew elsewhere, so that nothing is bound to it
_CHOOSE = "auto"
_DTYPES = (torch.float32, torch.bfloat16)
_LINEAR = (nn.Linear, FalconLinear, Conv1D)
_FEWEST_TOKENS = 16  # below it a product waits for memory, and no route is faster by much
_MOST_TOKENS, _FLOP = 256, 2e9  # of one product that is timed
_ROUNDS = 5
_WORTH = 1.03  # by how much oneDNN must be faster


def wanted() -> str:
    """Return the route that the environment asks for, or ``auto``.

    Raises
    ------
    ModelError
        If it is none of the known ones.
    """
    route = os.environ.get(VARIABLE) or _CHOOSE
    if route not in (*ROUTES, _CHOOSE):
        known = ", ".join((_CHOOSE, *ROUTES))
        raise ModelError(
            f"{VARIABLE} is '{route}', one of {known} expected; set one of these, or leave it out"
        )
    return route


def choose(model: PreTrainedModel) -> None:
    """Let a model's linear maps take the route that the environment names, or the fastest one."""
    route = wanted()
    if not _has_choice(model):
        return
    if route == _CHOOSE:
        take(model, {shape: _fastest(found) for shape, found in speeds(model).items()})
    else:
        take(model, dict.fromkeys(_by_shape(model), route))


def take(model: PreTrainedModel, routes: Mapping[str, str]) -> None:
    """Let a model's linear maps take given routes, as `routes` returned them; where there is no choice, none."""
    if not _has_choice(model):
        return
    for shape, parts in _by_shape(model).items():
        for part in parts:
            if routes.get(shape) == ONEDNN:
                part.forward = MethodType(_by_onednn, part)
            elif _is_changed(part):
                del part.forward


def routes(model: PreTrainedModel) -> dict[str, str]:
    """Return the route of every shape of weights that has a choice, ``outputs x inputs``."""
    if not _has_choice(model):
        return {}
    return {shape: ONEDNN if _is_changed(parts[0]) else TORCH for shape, parts in _by_shape(model).items()}


def speeds(model: PreTrainedModel) -> dict[str, dict[str, float]]:
    """Return the GFLOP/s of every shape and route on this machine, timed where that was not done before; else none."""
    if wanted() != _CHOOSE or not _has_choice(model):
        return {}
    file = _file(model.dtype)
    with one_at_a_time(file.with_suffix(".lock"), "times products of matrices (once)"):
        known = _read(file)
        parts = _by_shape(model)
        new = {shape: _timed(ones[0]) for shape, ones in parts.items() if shape not in known}
        if new:
            write_text(file, json.dumps(known | new, indent=1))
    return {shape: (known | new)[shape] for shape in parts}


def is_linear(part: nn.Module) -> bool:
    """Return whether a module is a linear map of a kind that is known here."""
    return type(part) in _LINEAR


def inputs_of(part: nn.Module) -> int:
    """Return how many numbers a linear map reads."""
    return _matrix(part).shape[1]


def weights_of(part: nn.Module) -> int:
    """Return how many weights a linear map has, its bias apart."""
    return _matrix(part).numel()


def _has_choice(model: PreTrainedModel) -> bool:
    able = torch.backends.mkldnn.is_available() and model.device.type == "cpu"
    return able and model.dtype in _DTYPES


def _fastest(found: Mapping[str, float]) -> str:
    return ONEDNN if found[ONEDNN] > _WORTH * found[TORCH] else TORCH


def _by_shape(model: PreTrainedModel) -> dict[str, list[Any]]:
    """Return the linear maps whose route can be chosen."""
    widest = model.config.get_text_config().hidden_size
    found: dict[str, list[Any]] = {}
    for part in model.modules():
        if is_linear(part) and _matrix(part).shape[1] <= widest:
            found.setdefault("x".join(map(str, _matrix(part).shape)), []).append(part)
    return dict(sorted(found.items()))


def _is_changed(part: nn.Module) -> bool:
    own = part.__dict__.get("forward")
    return isinstance(own, MethodType) and own.__func__ is _by_onednn


def _matrix(part: Any) -> Tensor:
    weight: Tensor = part.weight
    return weight.t() if isinstance(part, Conv1D) else weight


def _by_onednn(part: Any, x: Tensor) -> Tensor:
    """Compute what ``part`` computes by oneDNN; by its own way where that has no advantage, or gradients are wanted."""
    weight = _matrix(part)
    few = x.numel() < _FEWEST_TOKENS * x.shape[-1]
    if few or x.dtype != weight.dtype or x.dtype not in _DTYPES or x.device.type != "cpu":
        return type(part).forward(part, x)
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        return type(part).forward(part, x)
    return torch.ops.mkldnn._linear_pointwise(x, weight, part.bias, "none", [], "")


@torch.inference_mode()
def _timed(part: Any) -> dict[str, float]:
    """Return GFLOP/s by route: the best of several rounds, in which the routes take turns."""
    weight = _matrix(part)
    flop = 2 * weight.numel()
    tokens = int(min(_MOST_TOKENS, max(_FEWEST_TOKENS, _FLOP // flop)))
    source = torch.Generator().manual_seed(0)  # not the caller's
    x = torch.randn(tokens, weight.shape[1], generator=source).to(weight.dtype)
    ways: dict[str, Callable[[], Tensor]] = {
        TORCH: partial(type(part).forward, part, x),
        ONEDNN: partial(_by_onednn, part, x),
    }
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(_ROUNDS + 1):
        for route, way in ways.items():
            started = perf_counter()
            way()
            seconds[route] = min(seconds[route], perf_counter() - started)
    return {route: round(flop * tokens / best / 1e9, 1) for route, best in seconds.items()}


def _file(dtype: torch.dtype) -> Path:
    kind = str(dtype).removeprefix("torch.")
    machine = content_hash(_processor(), torch.__version__, torch.get_num_threads(), kind)
    return cache_folder("linear") / f"{machine}.json"


def _read(file: Path) -> dict[str, dict[str, float]]:
    try:
        found: dict[str, dict[str, float]] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {shape: values for shape, values in found.items() if set(values) == set(ROUTES)}


@cache
def _processor() -> str:
    """Return what names this machine's processor: one folder may serve machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    names = ("model name", "cpu family", "model", "flags", "Features", "CPU part")
    return content_hash(sorted({line for line in lines if line.split("\t")[0].strip() in names}))
