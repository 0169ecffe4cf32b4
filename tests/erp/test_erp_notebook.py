"""The ERP notebook runs from top to bottom, with and without widgets."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_erp.ipynb"
WITHOUT_WIDGETS = "import sys; sys.modules['ipywidgets'] = None"


@pytest.mark.slow
@pytest.mark.parametrize("setup", ["", WITHOUT_WIDGETS], ids=["widgets", "no widgets"])
def test_the_notebook_runs_and_shows_figures(setup: str):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(setup))
    nbclient.NotebookClient(
        notebook, timeout=180, resources={"metadata": {"path": NOTEBOOK.parent}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(figures) >= 3
    assert any("items as fixed" in output.get("text", "") for output in outputs)
