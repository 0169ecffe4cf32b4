"""Work in small pieces whose results stay on disk, so that an interrupted calibration loses a minute at most."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from clada_neuro.artifacts import write_atomic

Piece = tuple[dict[str, Any], Mapping[str, Tensor]]  # what a piece of work returns: plain values and tensors


@dataclass(frozen=True)
class Stages:
    """A folder of results, each valid for the same inputs only.

    Attributes
    ----------
    folder : Path
    inputs : str
        Hash of everything that the results depend on.
    """

    folder: Path
    inputs: str

    def run(self, name: str, compute: Callable[[], Piece]) -> Piece:
        """Return a piece of work, from disk when it is there."""
        path = self.folder / f"{name}.safetensors"
        kept = self._read(path)
        if kept is not None:
            return kept
        header, tensors = compute()
        stored = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        metadata = {"inputs": self.inputs, "header": json.dumps(header)}
        write_atomic(path, lambda part: save_file(stored, part, metadata=metadata))
        return header, stored

    def _read(self, path: Path) -> Piece | None:
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("inputs") != self.inputs:
                    return None
                # Copies: Windows removes no file that tensors are still mapped to.
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 (not a mapping)
        except (OSError, SafetensorError):
            return None
        return json.loads(metadata["header"]), tensors

    def clear(self) -> None:
        """Remove the folder once its results are in the artifact."""
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()
