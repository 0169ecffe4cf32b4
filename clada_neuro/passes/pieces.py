"""Pieces of a calibration as files: an interrupted one loses a minute at most."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from clada_neuro.artifacts import write_atomic
from clada_neuro.cache import INPUTS, Codec, Store

Piece: TypeAlias = tuple[dict[str, Any], Mapping[str, Tensor]]  # plain values and tensors
Pieces: TypeAlias = Store[Piece]


def _write(path: Path, piece: Piece, key: str) -> None:
    header, tensors = piece
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {INPUTS: key, "header": json.dumps(header)}
    write_atomic(path, lambda part: save_file(stored, part, metadata=metadata))


def _read(path: Path) -> Piece:
    with safe_open(path, framework="pt") as file:
        # Copies: Windows removes no file that tensors are still mapped to.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return json.loads(file.metadata()["header"]), tensors


def _key(path: Path) -> str | None:
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get(INPUTS)
    except (OSError, SafetensorError):
        return None


PIECE: Codec[Piece] = Codec(".safetensors", _write, _read, _key)
