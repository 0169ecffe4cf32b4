"""Curves beside straight effects, smooths of models, and residuals of counts in bins."""

import json

import pytest
from run_folder import record

from clada_neuro.reporting.registry import sections
from clada_neuro.reporting.results import read_results
from clada_neuro.reporting.sections import curves


@pytest.fixture
def fit(full_folder) -> dict:
    return json.loads((full_folder / "fits.json").read_text())[0]


def test_a_curve_is_drawn_beside_the_line_and_its_test_is_told(fit):
    x = [1.0, 2.0, 3.0]
    parts = ("estimate", "se", "ci_low", "ci_high", "band_low", "band_high", "line")
    columns = {name: [0.0, 0.1, 0.4] for name in parts}
    fit["curves"] = {
        "surprisal_bits": {
            "term": "s(x)", "edf": 2.34, "lrt": 7.1, "p_line": 0.012, "x": x, "deciles": x, **columns,
        }
    }  # fmt: skip
    drawn = curves.linearity(record(fit))
    assert "edf 2.3, against the line p = .012" in drawn.alt
    assert "Surprisal (bits)" in drawn.svg.decode()
    row = curves.tests([record(fit)]).frame.iloc[0]
    assert (row["edf"], row["p_line"]) == (2.34, 0.012)


def test_residuals_in_bins_are_drawn_where_an_entry_holds_them(full_folder):
    section = {part.id: part for part in sections(read_results(full_folder))}["curves"]
    assert "linearity_n400_surprisal_sparsity" in [getattr(block, "name", "") for block in section.leaves]


def test_an_entry_without_curves_draws_none(fit):
    bare = record({key: fit[key] for key in ("name", "formula", "coefficients")})
    assert all(draw(bare) is None for draw in curves.FIGURES)
    assert curves.tests([bare]) is None
