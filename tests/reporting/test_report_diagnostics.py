"""What stands beside the regressions: extreme trials, influence, and the smallest effect."""

import json

import pytest
from run_folder import record

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
    assert {"without_extremes", "smallest_effects"} <= set(names)
    assert "influence" not in names


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
    assert diagnostics.quantiles(bare) is None
    for make in (diagnostics.extremes, diagnostics.influence, diagnostics.detectable):
        assert make([bare]) is None


def test_the_rungs_of_the_ladder_are_printed(results):
    section = {part.id: part for part in sections(results)}["coefficients"]
    points = [text for block in section.leaves if isinstance(block, Points) for text in block.texts]
    assert points[0].endswith("singular, so the reduction ladder removed correlations.")
    assert points[1].endswith("kept.")
