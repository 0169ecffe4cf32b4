"""Where a model's weights lie: on one device, or spread over GPUs and, what they cannot hold, the memory of the CPU."""

from collections import Counter
from typing import Any

import torch
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError

SPREAD = "spread"


def find_device(device: str) -> torch.device:
    """Return a device that can be used here; ``"auto"`` takes a GPU when there is one, as ``"spread"`` begins with."""
    if device in ("auto", SPREAD):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        target = torch.device(device)
        torch.empty(0, device=target)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"device '{device}' cannot be used here; use 'cpu', 'cuda:0' where there is a GPU, or 'spread' over all of them"
        ) from error
    return target


def devices_of(device: str) -> list[list[torch.device]]:
    """Return the devices on which a model must fit: alone on each of them, or together where it is spread."""
    cpu, target = torch.device("cpu"), find_device(device)
    if device == SPREAD:
        return [[*(torch.device(f"cuda:{number}") for number in range(torch.cuda.device_count())), cpu]]
    # It is read there before it moves.
    return [[cpu]] if target.type == "cpu" else [[cpu], [target]]


def device_map(device: str, quantised: bool) -> dict[str, Any]:
    """Return what transformers is told of the place; nothing where the model is moved there when it is loaded."""
    if device == SPREAD:
        return {"device_map": "auto"}
    return {"device_map": {"": find_device(device)}} if quantised else {}


def places(model: PreTrainedModel) -> Counter[str]:
    """Return how many parts of a model lie where; empty where it was not spread."""
    found = getattr(model, "hf_device_map", None) or {}
    return Counter(f"cuda:{place}" if isinstance(place, int) else str(place) for place in found.values())


def home(model: PreTrainedModel) -> torch.device:
    """Return the device on which a model takes its input in."""
    computing = [place for place in places(model) if place not in ("cpu", "disk")]
    if computing:
        return torch.device(computing[0])
    return torch.device("cpu") if places(model) else model.device


def offloaded(model: PreTrainedModel) -> bool:
    """Return whether weights wait in other memory until they are computed with."""
    found = places(model)
    return len(found) > 1 and bool({"cpu", "disk"} & set(found))


def refuse_spread(model: PreTrainedModel) -> None:
    """Raise `ModelError` if a model lies in several places, between which the runtime cannot divide its masks."""
    if len(found := places(model)) > 1:
        raise ModelError(
            f"policies need a model on one device, but it is spread over {', '.join(found)}; give one with --device"
        )
