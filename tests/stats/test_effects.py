"""Fitted lines are the fit's own predictions, whatever functions its formula holds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clada_neuro.stats.effects import effects
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify


@pytest.fixture(scope="module")
def data(paired: pd.DataFrame) -> pd.DataFrame:
    frequency = np.exp(np.random.default_rng(5).normal(3, 1, 60))
    return paired.assign(frequency=frequency[pd.factorize(paired["stimulus"])[0]])


def _fit(data: pd.DataFrame, fixed: str) -> tuple[MixedFit, dict[str, float]]:
    fit = estimate(
        specify(data, f"n400 ~ {fixed} + (1 | subject) + (1 | stimulus)", standardize=["surprisal"])
    )
    return fit, dict(zip(fit.design.names, fit.estimate.beta, strict=True))


def test_transformed_terms_are_held_at_the_mean_of_their_column(data: pd.DataFrame) -> None:
    fit, b = _fit(data, "surprisal + log(frequency) + I(length ** 2) + condition")
    (line,) = effects(fit)["surprisal"]
    mean, sd = fit.standardized["surprisal"]
    expected = (
        b["(Intercept)"]
        + b["surprisal"] * (np.array(line["x"]) - mean) / sd
        + b["log(frequency)"] * np.log(data["frequency"].mean())
        + b["I(length ** 2)"] * data["length"].mean() ** 2
    )
    assert line["estimate"] == pytest.approx(expected)
    assert (line["x"][0], line["x"][-1]) == pytest.approx((data["surprisal"].min(), data["surprisal"].max()))
    (curve,) = effects(fit)["frequency"]
    ends = b["log(frequency)"] * np.log(curve["x"][-1] / curve["x"][0])
    assert curve["estimate"][-1] - curve["estimate"][0] == pytest.approx(ends)


def test_products_have_a_line_at_three_values_of_the_second_predictor(data: pd.DataFrame) -> None:
    fit, b = _fit(data, "surprisal * length")
    mean, sd = fit.standardized["surprisal"]
    lines = effects(fit)["surprisal:length"]
    center, spread = data["length"].mean(), data["length"].std()
    assert [line["by"] for line in lines] == pytest.approx([center - spread, center, center + spread])
    for line in lines:
        z = (np.array(line["x"]) - mean) / sd
        slope = b["surprisal"] + b["surprisal:length"] * line["by"]
        assert line["estimate"] == pytest.approx(b["(Intercept)"] + b["length"] * line["by"] + slope * z)


def test_the_band_is_that_of_the_line(data: pd.DataFrame) -> None:
    fit, _ = _fit(data, "surprisal")
    (line,) = effects(fit)["surprisal"]
    mean, sd = fit.standardized["surprisal"]
    z, v = (np.array(line["x"]) - mean) / sd, fit.estimate.vcov
    half = stats.t.ppf(0.975, fit.coefficient("surprisal")["df"]) * np.sqrt(
        v[0, 0] + 2 * z * v[0, 1] + z**2 * v[1, 1]
    )
    assert np.array(line["ci_high"]) - line["estimate"] == pytest.approx(half)
    assert np.array(line["estimate"]) - line["ci_low"] == pytest.approx(half)
