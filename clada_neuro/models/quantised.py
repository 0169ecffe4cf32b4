"""Quantised checkpoints: which package computes them, told in one line where it is not installed."""

from importlib.util import find_spec
from typing import Any

from clada_neuro.errors import ModelError

# What a checkpoint calls its method, and the packages that transformers needs for it.
_PACKAGES = {
    "bitsandbytes": ("bitsandbytes",),
    "bitsandbytes_4bit": ("bitsandbytes",),
    "bitsandbytes_8bit": ("bitsandbytes",),
    "gptq": ("optimum", "gptqmodel"),
    "awq": ("gptqmodel",),
}


def method_of(config: Any) -> str:
    """Return how a checkpoint is quantised; empty where it is not."""
    stated = getattr(config, "quantization_config", None) or {}
    method = (
        stated.get("quant_method", "") if isinstance(stated, dict) else getattr(stated, "quant_method", "")
    )
    return str(getattr(method, "value", method))


def check_quantised(name: str, method: str) -> None:
    """Raise `ModelError` if a package that computes a method's weights is not installed."""
    missing = [package for package in _PACKAGES.get(method, ()) if find_spec(package) is None]
    if missing:
        raise ModelError(
            f"model '{name}' is quantised ({method}), which needs {' and '.join(missing)}; run: pip install {' '.join(missing)}"
        )
