"""Diagnostics against hand computation and planted violations."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clada_neuro.errors import FitError
from clada_neuro.stats import diagnostics
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.smooths.linearity import linearity


@pytest.fixture(scope="module")
def curved(paired: pd.DataFrame) -> MixedFit:
    bent = paired.assign(n400=paired["n400"] + 0.4 * (paired["surprisal"] - 8) ** 2)
    return estimate(specify(bent, "n400 ~ surprisal + length + (1 | subject) + (1 | stimulus)"))


def test_vif_is_one_over_one_minus_r_squared(paired: pd.DataFrame) -> None:
    data = paired.assign(other=paired["surprisal"] + np.random.default_rng(0).normal(0, 1, len(paired)))
    found = diagnostics.vif(estimate(specify(data, "n400 ~ surprisal + other + (1 | subject)")))
    r = np.corrcoef(data["surprisal"], data["other"])[0, 1]
    assert found.to_dict() == pytest.approx({"surprisal": 1 / (1 - r**2), "other": 1 / (1 - r**2)})


def test_curvature_is_seen_where_planted(curved: MixedFit) -> None:
    found = linearity(curved, "surprisal")
    middle = np.array(found["estimate"])[40:60].mean() - np.array(found["line"])[40:60].mean()
    assert middle < 0 < found["estimate"][-1] - found["line"][-1]
    assert found["p_line"] < 0.001
    assert linearity(curved, "length")["p_line"] > 0.01
    assert diagnostics.curvature(curved, "surprisal").p < 1e-4
    assert diagnostics.curvature(curved, "length").p > 0.01


def test_residual_summary_of_normal_residuals(paired: pd.DataFrame) -> None:
    fit = estimate(specify(paired, "n400 ~ surprisal + (1 | subject) + (1 | stimulus)"))
    found = diagnostics.residual_summary(fit)
    assert found["skewness"] == pytest.approx(0, abs=0.25)
    assert found["excess_kurtosis"] == pytest.approx(0, abs=0.5)
    assert found["share_beyond_3sd"] < 0.01


def test_partial_effect_is_the_line_of_the_coefficients(paired: pd.DataFrame) -> None:
    formula = "n400 ~ surprisal + length + condition + (1 | subject)"
    fit = estimate(specify(paired, formula, standardize=["surprisal"]))
    line = diagnostics.partial_effect(fit, "surprisal", points=11)
    b = fit.coefficients.set_index("term")["estimate"]
    mean, sd = fit.standardized["surprisal"]
    expected = (
        b["(Intercept)"]
        + b["length"] * paired["length"].mean()
        + b["surprisal"] * (line["surprisal"] - mean) / sd
    )
    assert line["estimate"].to_numpy() == pytest.approx(expected.to_numpy())
    assert line["surprisal"].iloc[[0, -1]].tolist() == pytest.approx(
        [paired["surprisal"].min(), paired["surprisal"].max()]
    )
    at = np.array([1.0, (line["surprisal"].iloc[0] - mean) / sd, paired["length"].mean(), 0.0])
    order = [fit.design.names.index(n) for n in ("(Intercept)", "surprisal", "length", "condition[T.low]")]
    se = np.sqrt(at @ fit.estimate.vcov[np.ix_(order, order)] @ at)
    assert line["ci_high"].iloc[0] - line["estimate"].iloc[0] == pytest.approx(
        stats.t.ppf(0.975, fit.coefficient("surprisal")["df"]) * se
    )


def test_a_fit_offers_them_itself(curved: MixedFit) -> None:
    pd.testing.assert_series_equal(curved.vif(), diagnostics.vif(curved))
    assert curved.residual_summary() == diagnostics.residual_summary(curved)
    assert len(curved.partial_effect("length")) == 50


def test_only_numeric_predictors(curved: MixedFit) -> None:
    with pytest.raises(FitError, match="'condition' is no numeric predictor"):
        diagnostics.curvature(curved, "condition")
