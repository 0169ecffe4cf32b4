"""Translators of a tuned lens: an affine map a layer, from its residual stream to what the model's tail reads.

Of place i (0: before the first layer) the tail reads h + W_i h + b_i (Belrose et al., 2023). A file has the tensors
``i.weight`` and ``i.bias`` for all layers of a model, as the package tuned-lens names them; nothing stands after the last
layer, which the tail reads as it is. Translators of another model fit where its size is the same and say nothing: the file's
metadata, or tuned-lens's ``config.json`` beside it, must hold ``unembed_hash``, and it must be this model's.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.artifacts import content_hash
from clada_neuro.errors import ModelError
from clada_neuro.models.placing import home

_HASH = "unembed_hash"


@dataclass(frozen=True)
class Translators:
    """Translators of every place of a model but the last; ``source`` says which file they are from."""

    source: dict[str, str]
    maps: list[tuple[Tensor, Tensor]]

    def __call__(self, place: int, states: Tensor) -> Tensor:
        """Return what the tail is to read of a stream, (…, hidden), at a place, -1 before the first layer."""
        if place + 1 >= len(self.maps):
            return states
        weight, bias = (part.to(states) for part in self.maps[place + 1])
        return states + states @ weight.T + bias


def read_translators(path: str | Path, model: PreTrainedModel, n_layers: int) -> Translators:
    """Read the translators of a model from a safetensors file.

    Raises
    ------
    ModelError
        If the file cannot be read, or its translators are another model's.
    """
    path = Path(path)
    hidden, where = int(model.config.get_text_config().hidden_size), home(model)
    maps = []
    try:
        with safe_open(path, "pt") as file:
            names, said = set(file.keys()), _said(path, file.metadata() or {})
            expected = {f"{place}.{part}" for place in range(n_layers) for part in ("weight", "bias")}
            if names != expected:
                odd = sorted(names ^ expected)[0]
                raise ModelError(
                    f"translators '{path}': '{odd}' is {'missing' if odd in expected else 'not expected'}; 0.weight, 0.bias … "
                    f"{n_layers - 1}.bias expected of a model of {n_layers} layers"
                )
            for place in range(n_layers):
                weight, bias = file.get_tensor(f"{place}.weight"), file.get_tensor(f"{place}.bias")
                if weight.shape != (hidden, hidden) or bias.shape != (hidden,):
                    raise ModelError(
                        f"translators '{path}': {place}.weight has shape {tuple(weight.shape)}, {(hidden, hidden)} expected of this "
                        "model; they are another model's"
                    )
                maps.append((weight.to(where, model.dtype), bias.to(where, model.dtype)))
    except (SafetensorError, OSError) as error:
        raise ModelError(f"translators '{path}' cannot be read as safetensors: {error}") from error
    if said is None:
        raise ModelError(
            f"translators '{path}' do not say whose they are; '{_HASH}' is expected in the file's metadata or in config.json beside it"
        )
    if said != unembed_hash(model):
        raise ModelError(f"translators '{path}' are another model's: its output layer has another {_HASH}")
    return Translators({"file": path.name, "hash": content_hash(path)}, maps)


def unembed_hash(model: PreTrainedModel) -> str:
    """Return tuned-lens's hash of a model's output layer: of its corners, to one digit, so that no precision changes it."""
    weight = model.get_output_embeddings().weight.detach().float().cpu().numpy()
    return hashlib.sha256(np.array_str(weight, precision=1).encode()).hexdigest()


def _said(path: Path, metadata: dict[str, str]) -> str | None:
    """Return the hash that a file, or the document beside it, has of the model."""
    if _HASH in metadata:
        return metadata[_HASH]
    beside = path.with_name("config.json")
    try:
        document: Any = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document.get(_HASH) if isinstance(document, dict) else None
