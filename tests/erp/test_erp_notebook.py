"""The ERP notebook runs from top to bottom, with and without widgets."""

import pytest
from notebook_runs import count_figures, run_notebook, text_of


@pytest.mark.slow
@pytest.mark.parametrize("widgets", [True, False], ids=["widgets", "no widgets"])
def test_the_notebook_runs_and_shows_figures(tmp_path, widgets: bool):
    outputs = run_notebook("03_erp.ipynb", tmp_path, widgets=widgets)
    assert count_figures(outputs) >= 3
    assert "items as fixed" in text_of(outputs)
