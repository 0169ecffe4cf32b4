"""Run a notebook from top to bottom as a reader without a screen would."""

from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
WITHOUT_WIDGETS = "import sys; sys.modules['ipywidgets'] = None"
SECONDS_A_CELL = 600  # on a busy machine


def run_notebook(name: str, folder: Path, *, widgets: bool = True) -> list[dict]:
    """Execute a notebook in a folder and return the outputs of its cells, in order; an error in a cell is raised."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    if not widgets:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(WITHOUT_WIDGETS))
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=SECONDS_A_CELL, resources=resources).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def text_of(outputs: list[dict]) -> str:
    """Return everything that was printed or shown as HTML or text, one output a paragraph."""
    parts = []
    for output in outputs:
        data = output.get("data", {})
        parts.append(output.get("text") or data.get("text/html") or data.get("text/plain", ""))
    return "\n\n".join(parts)


def count_figures(outputs: list[dict]) -> int:
    """Return how many outputs hold a picture."""
    data = [output.get("data", {}) for output in outputs]
    return sum("image/png" in shown or "<img" in shown.get("text/html", "") for shown in data)
