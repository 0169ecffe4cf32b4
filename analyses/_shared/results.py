"""Where an analysis writes: results/NAME for the script NN_NAME.py, and how a table of timings says what made it."""

import os
import shlex
import sys
from pathlib import Path


def results_folder(script: str) -> Path:
    """Return the results folder of a numbered script, given its ``__file__``; made where it is missing."""
    path = Path(script)
    folder = path.parent / "results" / path.stem.partition("_")[2]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def command_and_load() -> str:
    """Return a comment line for a table of timings: the command that makes it, and how busy the machine was."""
    threads = os.environ.get("OMP_NUM_THREADS", "default")
    return f"# OMP_NUM_THREADS={threads} python {shlex.join(sys.argv)}; load {os.getloadavg()[0]:.1f}\n"
