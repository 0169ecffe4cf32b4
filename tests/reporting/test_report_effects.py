import copy
import json

import pytest
from run_folder import record

from clada_neuro.reporting import effects
from clada_neuro.reporting.results import read_results

RAW = {"estimate": 0.0, "se": 0.1, "df": 50.0, "t": 0.0, "p": 0.9, "ci_low": -0.2, "ci_high": 0.2}


@pytest.fixture
def fit(full_folder) -> dict:
    return copy.deepcopy(json.loads((full_folder / "fits.json").read_text())[0])


def test_reports_focal_terms_first_then_measures_without_squares():
    terms = ("(Intercept)", "length", "entropy_bits", "surprisal_bits", "I(surprisal_bits ** 2)")
    fit = record({"coefficients": dict.fromkeys(terms, RAW), "directions": {"surprisal_bits": "negative"}})
    assert effects.reported_terms(fit) == ["surprisal_bits", "entropy_bits"]


def test_prefers_reml_fits():
    ml, reml = record({"name": "ml", "reml": False}), record({"name": "reml", "reml": True})
    assert effects.primary([ml, reml]) == [reml]
    assert effects.primary([ml]) == [ml]


def test_draws_the_lines_that_the_fit_holds(fit, full_folder):
    results = read_results(full_folder)
    assert len(effects.figures(record(fit), results)) == 3
    del fit["effects"]["sparsity_energy99"]
    assert len(effects.figures(record(fit), results)) == 2
    del fit["effects"]
    assert effects.figures(record(fit), results) == []


def test_draws_no_coefficient_plot_for_one_coefficient():
    assert effects.coefficients(record({"coefficients": {"(Intercept)": RAW, "x": RAW}})) is None
