"""Link human brain responses to the inner workings of language models.

The main job in one call: `run`. Step by step: `load_model`, `read_stimuli`, `trace`, `align`, `fit`, `compare`, `synergy`, `report`.
With part of the feed-forward weights left out: `calibrate`, `policy`, `attach`, `generate`.
"""

import importlib
from typing import Any

_HOME = {
    "load_model": "clada_neuro.models.loading",
    "read_stimuli": "clada_neuro.stimuli.formats",
    "trace": "clada_neuro.instrument.trace",
    "align": "clada_neuro.responses.alignment",
    "fit": "clada_neuro.stats.mixed",
    "compare": "clada_neuro.stats.several",
    "synergy": "clada_neuro.stats.synergy",
    "depth": "clada_neuro.study.depth",
    "encode": "clada_neuro.study.encode",
    "predictability": "clada_neuro.study.predictability",
    "report": "clada_neuro.reporting.build",
    "calibrate": "clada_neuro.calibration.search",
    "policy": "clada_neuro.by_name",
    "attach": "clada_neuro.by_name",
    "generate": "clada_neuro.by_name",
    "run": "clada_neuro.study.run",
}

__all__ = [
    "align",
    "attach",
    "calibrate",
    "compare",
    "depth",
    "encode",
    "fit",
    "generate",
    "load_model",
    "policy",
    "predictability",
    "read_stimuli",
    "report",
    "run",
    "synergy",
    "trace",
]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``import clada_neuro`` loads neither torch nor mne."""
    if name not in _HOME:
        raise AttributeError(f"module 'clada_neuro' has no attribute '{name}'")
    function = importlib.import_module("clada_neuro.arguments").checked(
        getattr(importlib.import_module(_HOME[name]), name)
    )
    function.__module__ = __name__  # where a process that is sent the function finds it
    globals()[name] = function  # from now on found without this
    return function


def __dir__() -> list[str]:
    """Return the public names, so that completion and ``help`` show them and nothing else."""
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
