"""`compare`: one table from fits or formulas; lme4's likelihoods; held-out items, of counts by probabilities computed by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special

import clada_neuro as cn
from clada_neuro.errors import FitError
from clada_neuro.stats.crossval import cross_validate
from clada_neuro.stats.generalized import heldout

REFERENCE = Path(__file__).parents[1] / "reference"
GROUPS = "(1 | subject) + (1 | item)"
pytestmark = pytest.mark.filterwarnings("ignore::clada_neuro.stats.mixed.FitWarning")


def test_formulas_and_their_fits_have_one_table_with_lme4_s_likelihoods():
    data = pd.read_csv(REFERENCE / "sim_small.csv")
    formulas = [f"n400 ~ 1 + {GROUPS}", f"n400 ~ surprisal+sparsity + entropy + {GROUPS}"]
    found = cn.compare(formulas, data, folds=5)
    known = {
        one["model"]: one
        for one in json.loads((REFERENCE / "lme4_reference.json").read_text())["fits"]
        if one["dataset"] == "small" and not one["reml"]
    }
    assert found["loglik"].tolist() == pytest.approx(
        [known["null0"]["logLik"], known["inter_main"]["logLik"]], abs=1e-3
    )
    fits = [cn.fit(data, formula) for formula in formulas]
    same = cn.compare(fits, folds=5)
    numbers = found.select_dtypes("number").columns
    np.testing.assert_allclose(found[numbers].astype(float), same[numbers].astype(float), rtol=1e-6)
    by_hand = cross_validate(*[fit.refit(reml=False) for fit in fits], folds=5)
    assert found["delta_heldout"].iloc[1] == pytest.approx(by_hand.delta_loglik_per_trial)
    assert found["se_heldout"].iloc[1] == pytest.approx(by_hand.se)


def test_counts_on_held_out_items_have_the_probability_of_their_random_effects_integrated_out():
    data = pd.read_csv(REFERENCE / "counts_full.csv")
    fit = cn.fit(data, f"hits/(hits + misses) ~ surprisal + {GROUPS}", family="binomial")
    train, test = data[data["item"] > "i06"], data[data["item"] <= "i06"].head(3)
    found = heldout.score(fit, train, test)
    again = cn.fit(train, fit.formula, family="binomial")
    sd = np.sqrt(sum(float(c[0, 0]) for c in again.estimate.covariances))
    for value, row in zip(found, test.to_dict("records"), strict=True):
        n, k = row["hits"] + row["misses"], row["hits"]
        fixed = again.estimate.beta @ [1, row["surprisal"]]

        def joint(u, n=n, k=k, fixed=fixed):
            p = special.expit(fixed + sd * u)
            return special.comb(n, k) * p**k * (1 - p) ** (n - k) * np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)

        assert value == pytest.approx(np.log(integrate.quad(joint, -9, 9)[0]), abs=1e-6)


def test_a_predictor_of_counts_pays_on_items_not_seen():
    data = pd.read_csv(REFERENCE / "counts_full.csv").assign(noise=np.random.default_rng(0).normal(size=864))
    formulas = [
        f"hits/(hits + misses) ~ {side} + {GROUPS}" for side in ("1", "surprisal", "surprisal + noise")
    ]
    found = cn.compare(formulas, data, family="binomial", folds=4)
    assert found["delta_heldout"].iloc[1] > 1.5 * found["se_heldout"].iloc[1] > 0
    assert found["delta_heldout"].iloc[2] < found["delta_heldout"].iloc[1] / 10
    assert found["p"].iloc[1] < 1e-6


def test_what_cannot_be_compared_is_told():
    data = pd.read_csv(REFERENCE / "counts_full.csv")
    one, two = (
        cn.fit(data, f"accurate ~ {side} + (1 | subject)", family="binomial") for side in ("1", "surprisal")
    )
    linear = cn.fit(data, "accurate ~ surprisal + (1 | subject)")
    without = cn.compare([one, two], item="story")
    assert without["heldout_loglik"].isna().all()
    assert "not scored on held-out items: cross-validation needs a column 'story'" in without["note"].iloc[0]
    for models, table, message in (
        ([one], None, "1 models given; give two or more fits"),
        ([one, "accurate ~ 1 + (1 | subject)"], data, "give two or more fits, or two or more formulas"),
        (["accurate ~ 1 + (1 | subject)", "accurate ~ group + (1 | subject)"], None, "give the data frame"),
        ([one, linear], None, "binomial and gaussian responses; compare models of one family only"),
    ):
        with pytest.raises(FitError, match=message):
            cn.compare(models, table)
