"""What stands beside the regressions: extreme trials, linearity, influence, and the smallest effect."""

import json

import pytest
from conftest import record

from clada_neuro.reporting.blocks import Points
from clada_neuro.reporting.registry import sections
from clada_neuro.reporting.results import Results, read_results
from clada_neuro.reporting.sections import diagnostics


@pytest.fixture
def results(full_folder) -> Results:
    return read_results(full_folder)


@pytest.fixture
def fit(full_folder) -> dict:
    return json.loads((full_folder / "fits.json").read_text())[0]


def test_each_check_is_shown_where_the_entry_holds_it(results):
    section = {part.id: part for part in sections(results)}["diagnostics"]
    names = [block.name for block in section.leaves if hasattr(block, "name")]
    assert {"without_extremes", "smallest_effects", "linearity_n400_surprisal_sparsity"} <= set(names)
    assert "influence" not in names


def test_a_curve_is_drawn_beside_the_line_and_its_test_is_told(fit):
    x = [1.0, 2.0, 3.0]
    parts = ("estimate", "se", "ci_low", "ci_high", "band_low", "band_high", "line")
    columns = {name: [0.0, 0.1, 0.4] for name in parts}
    fit["curves"] = {
        "surprisal_bits": {
            "term": "s(x)", "edf": 2.34, "lrt": 7.1, "p_line": 0.012, "x": x, "deciles": x, **columns,
        }
    }  # fmt: skip
    drawn = diagnostics.curves.linearity(record(fit))
    assert "edf 2.3, against the line p = .012" in drawn.alt
    assert "Surprisal (bits)" in drawn.svg.decode()
    row = diagnostics.curves.tests([record(fit)]).frame.iloc[0]
    assert (row["edf"], row["p line"]) == (2.34, 0.012)


def test_effects_with_and_without_extreme_trials_stand_side_by_side(fit):
    row = diagnostics.extremes([record(fit)]).shown.iloc[0]
    assert (row["b"], row["b without"], row["left out"]) == ("−0.914", "−0.880", "4 beyond ±21.3")


def test_influence_names_the_level_that_moves_an_effect_most(fit):
    levels = [("lab 3", -0.6, 1.57), ("lab 1", -0.95, -0.18)]
    fit["influence"] = {
        "lab": [
            {"level": level, "n_obs": 40, "term": "surprisal_bits", "estimate": b, "shift": shift}
            for level, b, shift in levels
        ]
    }
    row = diagnostics.influence([record(fit)]).frame.iloc[0]
    assert (row["levels"], row["lowest b"], row["highest b"], row["without"]) == (2, -0.95, -0.6, "lab 3")


def test_an_entry_without_checks_shows_none(fit):
    bare = record({key: fit[key] for key in ("name", "formula", "coefficients")})
    assert all(draw(bare) is None for draw in diagnostics.FIGURES)
    for make in (diagnostics.extremes, diagnostics.influence, diagnostics.detectable):
        assert make([bare]) is None


def test_the_rungs_of_the_ladder_are_printed(results):
    section = {part.id: part for part in sections(results)}["coefficients"]
    points = [text for block in section.leaves if isinstance(block, Points) for text in block.texts]
    assert points[0].endswith("singular, so the reduction ladder removed correlations.")
    assert points[1].endswith("kept.")
