"""Where an analysis writes: results/NAME for the script NN_NAME.py."""

from pathlib import Path


def results_folder(script: str) -> Path:
    """Return the results folder of a numbered script, given its ``__file__``; made where it is missing."""
    path = Path(script)
    folder = path.parent / "results" / path.stem.partition("_")[2]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
