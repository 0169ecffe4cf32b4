"""What all kernels ask of a model; one that asks for more is computed by PyTorch."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedModel

from clada_neuro.errors import ModelError

# Rotary frequencies that are set once; others follow the length of the sequence.
FIXED_ROTATIONS = ("default", "linear", "llama3", "proportional", "yarn")


def require(kernels: str, found_and_allowed: Mapping[str, tuple[Any, tuple[Any, ...]]]) -> None:
    """Raise `ModelError` for the first property whose value is not among the allowed ones."""
    for name, (found, allowed) in found_and_allowed.items():
        if found not in allowed:
            raise ModelError(f"{kernels} need {name} in {allowed}, '{found}' found; use the PyTorch path")


def common(model: PreTrainedModel) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Return what every kernel requires: nothing that changes with the length, nothing that others hung in."""
    config = model.config
    rotary = getattr(config, "rope_parameters", None) or {}
    hooked = any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    return {
        "hidden_act": (getattr(config, "hidden_act", None), ("silu",)),
        "sliding_window": (getattr(config, "sliding_window", None), (None,)),
        "rope_type": (rotary.get("rope_type", "default"), FIXED_ROTATIONS),
        "hooks on its modules": (hooked, (False,)),
    }
