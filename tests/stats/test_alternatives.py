"""Models side by side equal lme4's anova(): log-likelihood, AIC, BIC, χ²; what is not nested has no test."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2 as chi2_distribution

from clada_neuro.errors import FitError
from clada_neuro.stats.alternatives import alternatives, common_rows
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify

HERE = Path(__file__).parents[1] / "reference"
GROUPS = "(1|subject) + (1|item)"
MODELS = {
    "null0": f"n400 ~ 1 + {GROUPS}",
    "inter_main": f"n400 ~ surprisal+sparsity + entropy + {GROUPS}",
    "inter": f"n400 ~ surprisal*sparsity + entropy + {GROUPS}",
}


def fitted(data: pd.DataFrame, *formulas: str, reml: bool = True):
    return [estimate(specify(data, formula), reml=reml) for formula in formulas]


def test_a_ladder_of_models_is_lme4_s():
    data = pd.read_csv(HERE / "sim_small.csv")
    known = {
        fit["model"]: fit
        for fit in json.loads((HERE / "lme4_reference.json").read_text())["fits"]
        if fit["dataset"] == "small" and not fit["reml"]
    }
    found = alternatives(fitted(data, *MODELS.values()))
    expected = pd.DataFrame([known[name] for name in MODELS])
    for ours, theirs in (("loglik", "logLik"), ("aic", "AIC"), ("bic", "BIC")):
        np.testing.assert_allclose(found[ours], expected[theirs].astype(float), atol=1e-4)
    assert found["n_parameters"].tolist() == expected["df_model"].tolist() == [4, 7, 8]
    chi2 = 2 * np.diff(expected["logLik"].astype(float))
    np.testing.assert_allclose(found["chi2"].iloc[1:], chi2, atol=2e-4)
    assert found["df"].tolist()[1:] == [3, 1]
    assert found["p"].iloc[2] == pytest.approx(chi2_distribution.sf(chi2[1], 1), rel=1e-3)
    assert np.isnan(found["chi2"].iloc[0])


def test_models_that_are_not_nested_have_aic_and_the_reason(paired: pd.DataFrame):
    found = alternatives(fitted(paired, "n400 ~ length + (1|subject)", "n400 ~ surprisal + (1|subject)"))
    assert found["aic"].notna().all()
    assert found["chi2"].isna().all()
    assert "equally many parameters" in found["note"].iloc[1]


def test_rows_with_a_gap_in_any_model_are_left_out_of_all(paired: pd.DataFrame):
    gaps = paired.assign(surprisal=paired["surprisal"].where(paired.index % 5 > 0))
    formulas = ["n400 ~ length + (1|subject)", "n400 ~ length + surprisal + (1|subject)"]
    with pytest.raises(FitError, match="different rows"):
        alternatives(fitted(gaps, *formulas))
    rows = common_rows(gaps, formulas)
    assert len(rows) == gaps["surprisal"].notna().sum()
    assert alternatives(fitted(rows, *formulas))["n_obs"].nunique() == 1


def test_responses_must_be_the_same(paired: pd.DataFrame):
    with pytest.raises(FitError, match="different responses"):
        alternatives(fitted(paired, "n400 ~ length + (1|subject)", "surprisal ~ length + (1|subject)"))


def test_different_responses_are_refused_before_anything_is_fitted(paired: pd.DataFrame):
    with pytest.raises(FitError, match=r"n400 and log\(length\) are different responses"):
        common_rows(paired, ["n400 ~ 1 + (1|subject)", "log(length) ~ 1 + (1|subject)"])
