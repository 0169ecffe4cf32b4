"""Every notebook is stored without outputs and runs from top to bottom, with and without widgets."""

import ast
import json
import re

import pytest
from notebook_runs import NOTEBOOKS, count_figures, run_notebook, text_of

from clada_neuro.artifacts import package_data

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
both_ways = pytest.mark.parametrize("widgets", [True, False], ids=["widgets", "no widgets"])


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_small_stripped_and_valid_python(name):
    nbformat = pytest.importorskip("nbformat")
    path = NOTEBOOKS / name
    assert path.stat().st_size < 50_000
    nbformat.validate(json.loads(path.read_text(encoding="utf-8")))
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            ast.parse(cell.source)
            assert not cell.outputs
            assert cell.execution_count is None


@pytest.mark.slow
@both_ways
def test_quickstart_ends_with_a_report_that_names_simulated_data(tmp_path, widgets):
    outputs = run_notebook("01_quickstart.ipynb", tmp_path, widgets=widgets)
    assert count_figures(outputs) >= 2
    page = (tmp_path / "out" / "quickstart" / "report.html").read_text(encoding="utf-8")
    assert "<title>Simulated data" in page
    assert "SIMULATED data" in text_of(outputs)


@pytest.mark.slow
@pytest.mark.skipif(
    not list(package_data("calibration").glob("*.safetensors")), reason="no calibration ships with this tree"
)
@both_ways
def test_the_runtime_notebook_skips_what_was_asked_for_and_shows_where_texts_part(tmp_path, widgets):
    outputs = run_notebook("02_runtime.ipynb", tmp_path, widgets=widgets)
    text = text_of(outputs)
    shares = [float(found) for found in re.findall(r"(\d+\.\d) % of the feed-forward weights were", text)]
    read, written = shares[0], shares[-1]
    assert read == pytest.approx(40, abs=8)
    assert written == pytest.approx(40, abs=8)
    assert "<th>full model</th>" in text
    assert count_figures(outputs) >= 1


@pytest.mark.slow
@both_ways
def test_mixed_models_recover_the_planted_effect_and_show_the_false_alarms(tmp_path, widgets):
    outputs = run_notebook("04_mixed_models.ipynb", tmp_path, widgets=widgets)
    assert count_figures(outputs) >= 3
    text = text_of(outputs)
    found = re.search(
        r"(\d) of 8 intervals .* mean of the estimates (\S+), their SD .*, mean SE (\S+)\.", text
    )
    holding, mean, se = map(float, found.groups())
    assert holding >= 6  # fewer by chance: 1 in 170
    assert abs(mean + 0.9) < 3 * se / 8**0.5
    without, with_stimulus = map(
        int, re.search(r"(\d+) without, (\d+) with \(1 \| stimulus\)", text).groups()
    )
    assert with_stimulus <= 7 < without
    assert "lmer(n400_uv ~" in text


@pytest.mark.slow
@both_ways
def test_the_depth_notebook_shows_the_lens_and_finds_the_planted_layer(tmp_path, widgets):
    outputs = run_notebook("05_depth.ipynb", tmp_path, widgets=widgets)
    assert count_figures(outputs) >= 2
    text = text_of(outputs)
    assert "The last layer (29) has" in text
    planted, found = re.search(r"planted in layer (\d+); the largest effect is in layer (\d+)", text).groups()
    assert planted == found
    low, high = map(float, re.search(rf"Layer {planted}: .* interval \[(\S+), (\S+)\]", text).groups())
    assert low < -1.2 < high
