"""The ERP notebook runs from top to bottom, with and without widgets; what it says of overlap is so."""

import re
from types import SimpleNamespace

import mne
import numpy as np
import pandas as pd
import pytest
from notebook_runs import NOTEBOOKS, count_figures, run_notebook, text_of

from clada_neuro.artifacts import read_json

P600 = re.compile(r"P600 at Pz.*?planted (\S+) µV, estimated together (\S+) µV, average (\S+) µV")


@pytest.mark.slow
@pytest.mark.parametrize("widgets", [True, False], ids=["widgets", "no widgets"])
def test_the_notebook_runs_and_shows_figures(tmp_path, widgets: bool):
    outputs = run_notebook("03_erp.ipynb", tmp_path, widgets=widgets)
    assert count_figures(outputs) >= 3
    said = text_of(outputs)
    assert "items as fixed" in said
    jittered = P600.search(said)
    assert jittered
    planted, together, average = map(float, jittered.groups())
    assert abs(together - planted) < abs(average - planted)


@pytest.fixture(scope="module")
def overlapping():
    """The notebook's own function, on made-up words; what it draws is its caption."""
    cells = read_json(NOTEBOOKS / "03_erp.ipynb")["cells"]
    (source,) = ["".join(cell["source"]) for cell in cells if "def overlapping(" in "".join(cell["source"])]
    n = 400
    values = np.random.default_rng(8).gamma(3, 2, n)
    words = pd.DataFrame({"stimulus_id": [f"t{k // 8}" for k in range(n)], "surprisal_bits": values})
    draw = lambda name, caption, alt, paint, size: SimpleNamespace(caption=caption, alt=alt, paint=paint)  # noqa: E731
    space: dict = {"words": words, "mne": mne, "draw": draw, "COLORS": ["C0"] * 8}
    with mne.utils.use_log_level("error"):
        exec(compile(source, "03_erp.ipynb", "exec"), space)
        yield space["overlapping"]


@pytest.mark.parametrize("interval", [350, 450])
def test_the_p600_goes_wrong_in_the_average_and_comes_back_together(overlapping, interval):
    line = P600.fullmatch(overlapping(interval, 150).caption)
    planted, together, average = map(float, line.groups())
    assert abs(together - planted) < 0.4
    assert abs(average - planted) > 0.6


def test_words_far_apart_need_no_correction(overlapping):
    planted, together, average = map(float, P600.fullmatch(overlapping(1200, 50).caption).groups())
    assert abs(together - planted) < 0.4
    assert abs(average - planted) < 0.4
