"""Whether a checkpoint fits into memory, told before it is loaded: a system that runs out ends the process without a word."""

import math
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch
from safetensors import SafetensorError, safe_open

from clada_neuro.errors import ModelError

_GB = 1e9
# As safetensors calls them; what is in neither has a byte.
_FLOATS = ("F16", "BF16", "F32", "F64")
_INTEGERS = {"I16": 2, "U16": 2, "I32": 4, "U32": 4, "I64": 8, "U64": 8}
_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container


def check_memory(
    name: str, folder: Path, dtype: torch.dtype, devices: Sequence[torch.device], beside: float = 0.0
) -> None:
    """Raise `ModelError` if a checkpoint's weights are larger in `dtype` than what is free on devices together.

    ``beside`` is what lies beside them, as a share of them (blocks of GGUF).
    """
    try:
        needed = math.ceil(bytes_of_weights(folder, dtype) * (1 + beside))
    except SafetensorError:
        return  # damaged: the loader says how
    free = sum(map(free_bytes, devices))
    if needed <= free:
        return
    half = bytes_of_weights(folder, torch.bfloat16)
    smaller = f"--dtype bfloat16 takes {half / _GB:.1f} GB, or " if half < needed else ""
    kind = str(dtype).removeprefix("torch.")
    raise ModelError(
        f"model '{name}' needs {needed / _GB:.1f} GB ({needed:,} bytes) in {kind}, {free / _GB:.1f} GB ({free:,} bytes) are "
        f"free on {' and '.join(map(str, devices))}; {smaller}use a smaller model"
    )


def bytes_of_weights(folder: Path, dtype: torch.dtype) -> int:
    """Return how many bytes the safetensors of a folder take in memory: floats in `dtype`, packed integers as they are."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            for name in list(tensors.keys()):
                weight = tensors.get_slice(name)
                size = (
                    dtype.itemsize if weight.get_dtype() in _FLOATS else _INTEGERS.get(weight.get_dtype(), 1)
                )
                total += size * math.prod(weight.get_shape())
    return total


def free_bytes(device: torch.device) -> int:
    """Return how many bytes are free on a device, within the limit of a container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    limit = _LIMIT.read_text(encoding="ascii").strip() if _LIMIT.is_file() else "max"
    return free if limit == "max" else min(free, int(limit))
