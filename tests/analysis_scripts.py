"""Load a numbered script of analyses/ as a module; its `_shared` helpers lie beside it."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

ANALYSES = Path(__file__).parent.parent / "analyses"


def load(name: str) -> ModuleType:
    """Return ``analyses/NAME.py``."""
    if str(ANALYSES) not in sys.path:
        sys.path.append(str(ANALYSES))
    return importlib.import_module(name)
