"""Pickled weights as safetensors: many older checkpoints have no others, and opening a pickle can run code.

PyTorch's weights-only unpickler makes tensors and containers, and refuses a file that asks for anything else.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from clada_neuro.errors import ModelError
from clada_neuro.models.memory import free_bytes

PICKLED = "pytorch_model*.bin"
_REFUSED = "Weights only load failed"  # what PyTorch's unpickler says


def as_safetensors(files: Sequence[Path], folder: Path) -> None:
    """Write the weights of pickled files into a new folder, a file for each and the index that transformers reads.

    Raises
    ------
    ModelError
        If a file wants to run code, holds something else than weights, or is larger than the free memory.
    """
    folder.mkdir(parents=True)
    places: dict[str, str] = {}
    for number, file in enumerate(files, start=1):
        name = f"model-{number:05d}-of-{len(files):05d}.safetensors"
        weights = _weights(file)
        save_file(weights, folder / name, metadata={"format": "pt"})
        places |= dict.fromkeys(weights, name)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _weights(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file, each with memory of its own: tied weights share theirs in a pickle."""
    needed, free = 2 * file.stat().st_size, free_bytes(torch.device("cpu"))  # read and copied
    if needed > free:
        raise ModelError(
            f"'{file}' needs {needed:,} bytes to be made safetensors, {free:,} are free; use a checkpoint with *.safetensors "
            "files or a smaller model"
        )
    try:
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises every kind
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        if _REFUSED in str(error):
            raise ModelError(
                f"'{file}' asks for more than weights when it is opened, which could run code; "
                "use a checkpoint with *.safetensors files"
            ) from error
        raise ModelError(f"'{file}' cannot be read as weights: {reason}; download it again") from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelError(f"'{file}' holds no weights by name; use a checkpoint with *.safetensors files")
    return {str(name): value.clone().contiguous() for name, value in found.items()}
