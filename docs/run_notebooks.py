"""Run the notebooks for the site, as a reader without widgets would: a page that stands still shows figures, not sliders.

What was run is kept in ``out/notebooks_of_the_site`` and runs again only when the notebook has changed.
"""

import hashlib
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "out" / "notebooks_of_the_site"
_WITHOUT_WIDGETS = "import sys; sys.modules['ipywidgets'] = None"
_SECONDS_A_CELL = 1200


def write(place: Path) -> None:
    """Write every notebook with its outputs into a folder."""
    place.mkdir(exist_ok=True)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        nbformat.write(executed(path), place / path.name)


def executed(path: Path) -> nbformat.NotebookNode:
    """Return a notebook with its outputs; what a cell raises is raised."""
    source = path.read_bytes()
    kept = KEPT / f"{path.stem}-{hashlib.sha256(source).hexdigest()[:16]}.ipynb"
    if kept.is_file():
        return nbformat.read(kept, as_version=4)
    notebook = nbformat.reads(source.decode("utf-8"), as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(_WITHOUT_WIDGETS))
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=_SECONDS_A_CELL, resources=resources).execute()
    del notebook.cells[0]
    for cell in notebook.cells:
        if "outputs" in cell:  # progress and warnings of libraries are the terminal's
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    KEPT.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, kept)
    return notebook
