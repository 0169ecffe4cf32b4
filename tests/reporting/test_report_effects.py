import copy
import json

import numpy as np
import pandas as pd
import pytest

from clada_neuro.reporting import effects

RAW = {"estimate": 0.0, "se": 0.1, "df": 50.0, "t": 0.0, "p": 0.9, "ci_low": -0.2, "ci_high": 0.2}


@pytest.fixture
def fit(full_folder) -> dict:
    return copy.deepcopy(json.loads((full_folder / "fits.json").read_text())[0])


def test_predicts_main_effects_products_and_squares():
    coefficients = {"(Intercept)": -1.0, "x": 2.0, "z": 5.0, "x:z": -0.5, "I(x ** 2)": 0.25, "length": 9.0}
    fit = {"coefficients": {term: {**RAW, "estimate": value} for term, value in coefficients.items()}}
    x, z = np.array([-1.0, 0.0, 2.0]), np.array(3.0)
    expected = -1 + 2 * x + 5 * 3 - 0.5 * x * 3 + 0.25 * x**2
    assert effects.predict(fit, {"x": x, "z": z}) == pytest.approx(expected)


def test_band_is_exact_with_a_covariance():
    values = {**RAW, "estimate": 2.0, "ci_low": 2.0 - 0.2, "ci_high": 2.0 + 0.2}
    fit = {"coefficients": {"(Intercept)": RAW, "x": values}, "vcov": [[0.04, 0.005], [0.005, 0.01]]}
    x = np.array([-2.0, 0.0, 1.0])
    low, high, _ = effects.band(fit, "x", {"x": x})
    half = 2.0 * np.sqrt(0.04 + 2 * 0.005 * x + 0.01 * x**2)  # 0.2 / 0.1 = 2 standard errors
    assert high - low == pytest.approx(2 * half)
    assert (high + low) / 2 == pytest.approx(2 * x)


def test_band_without_a_covariance_is_the_slopes():
    values = {**RAW, "estimate": 2.0, "ci_low": 1.5, "ci_high": 2.5}
    fit = {"coefficients": {"(Intercept)": RAW, "x": values}}
    low, high, label = effects.band(fit, "x", {"x": np.array([-2.0, 0.0, 2.0])})
    assert low == pytest.approx([-5.0, 0.0, 3.0])
    assert high == pytest.approx([-3.0, 0.0, 5.0])
    assert label == "95 % interval of b"


def test_bins_hold_equally_many_trials():
    rows = pd.DataFrame({"x": np.arange(100.0), "y": np.arange(100.0) * 2})
    binned = effects.binned_means(rows, "x", "y")
    assert binned["x"].tolist() == [4.5 + 10 * k for k in range(10)]
    assert binned["y"].tolist() == [9.0 + 20 * k for k in range(10)]


def test_reports_focal_terms_first_then_measures_without_squares():
    terms = ("(Intercept)", "length", "entropy_bits", "surprisal_bits", "I(surprisal_bits ** 2)")
    fit = {"coefficients": dict.fromkeys(terms, RAW), "directions": {"surprisal_bits": "negative"}}
    assert effects.reported_terms(fit) == ["surprisal_bits", "entropy_bits"]


def test_prefers_reml_fits():
    ml, reml = {"name": "ml", "reml": False}, {"name": "reml", "reml": True}
    assert effects.primary([ml, reml]) == [reml]
    assert effects.primary([ml]) == [ml]


def test_draws_nothing_when_scaling_is_unknown(fit, full_folder):
    trials = pd.read_parquet(full_folder / "trials.parquet")
    assert len(effects.figures(fit, trials)) == 3
    del fit["standardized"]
    assert effects.figures(fit, trials) == []


def test_unscaled_predictors_are_held_at_their_means(fit, full_folder):
    trials = pd.read_parquet(full_folder / "trials.parquet")
    fit["standardized"].pop("sparsity_energy99")
    centers = effects._centers(fit, trials)
    assert {name: float(value) for name, value in centers.items()} == {
        "sparsity_energy99": pytest.approx(trials["sparsity_energy99"].mean())
    }


def test_draws_no_coefficient_plot_for_one_coefficient():
    assert effects.coefficients({"name": "m", "coefficients": {"(Intercept)": RAW, "x": RAW}}) is None
