"""What `fit` promises beyond agreeing with lme4."""

import json
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.mixed import FitWarning, MixedFit, estimate, fit
from clada_neuro.stats.model import specify

FORMULA = "n400 ~ surprisal * sparsity + entropy + (1 + surprisal | subject) + (1 | item)"


def _fit(data: pd.DataFrame, formula: str, **options) -> MixedFit:
    reml = options.pop("reml", True)
    return estimate(specify(data, formula, **options), reml=reml)


@pytest.fixture(scope="module")
def plain(small: pd.DataFrame) -> MixedFit:
    return _fit(small, FORMULA)


@pytest.mark.parametrize("reml", [True, False])
def test_scales_of_predictors_do_not_move_the_optimum(small: pd.DataFrame, reml: bool) -> None:
    base = _fit(small, FORMULA, reml=reml)
    raw = small.assign(surprisal=small["surprisal"] * 1000 + 100, sparsity=small["sparsity"] / 1e4 - 3)
    moved = _fit(raw, FORMULA, reml=reml)
    shift = np.log(1000) + np.log(1e-4) + np.log(1000 * 1e-4) if reml else 0.0
    assert moved.loglik == pytest.approx(base.loglik - shift, abs=1e-6)
    one, other = base.coefficient("surprisal:sparsity"), moved.coefficient("surprisal:sparsity")
    assert other["t"] == pytest.approx(one["t"], rel=1e-5)
    assert other["df"] == pytest.approx(one["df"], rel=1e-3)
    assert other["estimate"] == pytest.approx(one["estimate"] * 10, rel=1e-6)
    assert moved.r2().marginal == pytest.approx(base.r2().marginal, abs=1e-7)
    assert moved.singular == base.singular


def test_response_in_volts(small: pd.DataFrame, plain: MixedFit) -> None:
    volts = _fit(small.assign(n400=small["n400"] * 1e-6), FORMULA)
    assert volts.coefficients["t"].to_numpy() == pytest.approx(plain.coefficients["t"].to_numpy(), rel=1e-6)
    assert volts.sigma == pytest.approx(plain.sigma * 1e-6, rel=1e-6)
    assert volts.r2().conditional == pytest.approx(plain.r2().conditional, abs=1e-7)


def test_order_of_rows_and_random_terms_does_not_matter(small: pd.DataFrame, plain: MixedFit) -> None:
    shuffled = small.sample(frac=1, random_state=3)
    turned = "n400 ~ entropy + sparsity * surprisal + (1 | item) + (1 + surprisal | subject)"
    other = _fit(shuffled, turned)
    assert other.loglik == pytest.approx(plain.loglik, abs=1e-6)
    for term in ("surprisal", "sparsity", "entropy"):
        assert other.coefficient(term)["df"] == pytest.approx(plain.coefficient(term)["df"], rel=1e-3)


def test_standardize_records_mean_and_sd(small: pd.DataFrame, plain: MixedFit) -> None:
    data = small.assign(surprisal=small["surprisal"] * 3 + 10)
    scaled = _fit(data, FORMULA, standardize=["surprisal"])
    mean, sd = scaled.standardized["surprisal"]
    assert (mean, sd) == pytest.approx((data["surprisal"].mean(), data["surprisal"].std()))
    raw = _fit(data, "n400 ~ surprisal + (1 | subject)").coefficient("surprisal")["estimate"]
    z = _fit(data, "n400 ~ surprisal + (1 | subject)", standardize=True).coefficient("surprisal")["estimate"]
    assert z == pytest.approx(raw * sd, rel=1e-6)


def test_missing_rows_are_left_out_and_counted(small: pd.DataFrame) -> None:
    data = small.copy()
    data.loc[[1, 5], "n400"] = np.nan
    data.loc[[5, 9], "surprisal"] = np.nan
    data.loc[7, "entropy"] = np.nan
    found = _fit(data, "n400 ~ surprisal + (1 | subject)")
    assert (found.n_obs, found.n_dropped) == (len(small) - 3, 3)
    assert found.loglik == pytest.approx(
        _fit(data.drop([1, 5, 9]), "n400 ~ surprisal + (1 | subject)").loglik
    )


def test_contrasts_agree_on_everything_but_coefficients(paired: pd.DataFrame) -> None:
    data = paired.assign(group=np.array(["a", "b", "c"])[paired["item"] % 3])
    formula = "n400 ~ group * surprisal + (1 | subject) + (1 | stimulus)"
    fits = {kind: _fit(data, formula, contrasts={"group": kind}) for kind in ("treatment", "sum", "helmert")}
    ml = [found.refit(reml=False).loglik for found in fits.values()]
    assert ml == pytest.approx([ml[0]] * 3, abs=1e-6)
    means = _cell_means(fits["treatment"], data)
    assert _cell_means(fits["sum"], data) == pytest.approx(means)
    b = {kind: found.coefficients.set_index("term")["estimate"] for kind, found in fits.items()}
    # At surprisal 0: R's contr.sum holds each level's distance from the mean of levels; contr.helmert (unscaled)
    # half the distance of b from a, and a third of that of c from the mean of a and b.
    level = np.array([0, b["treatment"]["group[T.b]"], b["treatment"]["group[T.c]"]])
    assert b["sum"]["group[S.a]"] == pytest.approx(level[0] - level.mean())
    assert b["helmert"]["group[H.b]"] == pytest.approx((level[1] - level[0]) / 2)
    assert b["helmert"]["group[H.c]"] == pytest.approx((level[2] - level[:2].mean()) / 3)


def test_numbers_can_be_factors(paired: pd.DataFrame) -> None:
    data = paired.assign(group=paired["item"] % 3)
    named = _fit(data, "n400 ~ group + (1 | subject)", contrasts={"group": "sum"})
    assert named.design.names == ("(Intercept)", "group[S.0]", "group[S.1]")
    wrapped = _fit(data, "n400 ~ factor(group) + (1 | subject)")
    assert wrapped.refit(reml=False).loglik == pytest.approx(named.refit(reml=False).loglik)
    assert wrapped.predict(data.head(4)) == pytest.approx(wrapped.fitted()[:4])
    assert named.predict(data.head(4)) == pytest.approx(named.fitted()[:4])


def _cell_means(found: MixedFit, data: pd.DataFrame) -> np.ndarray:
    cells = data.groupby("group", as_index=False).first()
    return found.predict(cells, random=False)


def test_predict_new_rows_and_new_levels(small: pd.DataFrame, plain: MixedFit) -> None:
    assert plain.predict(small.head(7)) == pytest.approx(plain.fitted()[:7])
    stranger = small.head(3).assign(subject="new", item="new")
    assert plain.predict(stranger) == pytest.approx(plain.predict(stranger, random=False))
    known = small.head(3).assign(item="new")
    effects = plain.ranef()["subject"].loc[small["subject"].iloc[0]]
    expected = effects["(Intercept)"] + effects["surprisal"] * small["surprisal"].iloc[:3]
    assert plain.predict(known) - plain.predict(known, random=False) == pytest.approx(expected.to_numpy())


def test_predict_refuses_a_level_it_has_not_seen(paired: pd.DataFrame) -> None:
    found = _fit(paired, "n400 ~ condition + (1 | subject)")
    with pytest.raises(FitError, match="'middle'"):
        found.predict(paired.head(2).assign(condition="middle"))


def test_transformations_are_frozen_at_the_fit(small: pd.DataFrame) -> None:
    found = _fit(small, "n400 ~ scale(surprisal) + poly(entropy, 2) + (1 | subject)")
    assert found.predict(small.head(5)) == pytest.approx(found.fitted()[:5])


def test_weights_are_inverse_variances(paired: pd.DataFrame) -> None:
    doubled = pd.concat([paired, paired])
    once = _fit(paired.assign(w=2.0), "n400 ~ surprisal + (1 | subject)", weights="w", reml=False)
    twice = _fit(doubled, "n400 ~ surprisal + (1 | subject)", reml=False)
    assert once.coefficients["estimate"].to_numpy() == pytest.approx(
        twice.coefficients["estimate"].to_numpy(), rel=1e-4
    )
    plain = _fit(paired, "n400 ~ surprisal + (1 | subject)", reml=False)
    assert once.sigma == pytest.approx(plain.sigma * np.sqrt(2), rel=1e-6)
    assert once.loglik == pytest.approx(plain.loglik, abs=1e-6)


def test_nested_grouping_equals_explicit_interaction(paired: pd.DataFrame) -> None:
    short = _fit(paired, "n400 ~ surprisal + (1 | item/condition)")
    long = _fit(paired, "n400 ~ surprisal + (1 | item) + (1 | stimulus)")
    assert short.n_groups == {"item": 30, "item:condition": 60}
    assert short.loglik == pytest.approx(long.loglik, abs=1e-6)


@pytest.mark.parametrize(
    "formula, reason",
    [
        ("n400 ~ suprisal + (1 | subject)", "did you mean 'surprisal'"),
        ("n400 ~ one + (1 | subject)", "'one' has the same value"),
        ("n400 ~ surprisal + twice + (1 | subject)", "linear combination"),
        ("n400 ~ surprisal + (1 | only)", "one level"),
        ("n400 ~ surprisal + (1 | trial)", "told from the residual"),
        ("n400 ~ log(surprisal) + (1 | subject)", "not finite in row"),
        ("condition ~ surprisal + (1 | subject)", "response"),
        ("n400 ~ nothing + (1 | subject)", "no row"),
        ("n400 ~ only * surprisal + (1 | subject)", "'only' has one level"),
        ("n400 ~ surprisal + (twice + surprisal | subject)", "linearly dependent"),
    ],
)
def test_what_cannot_be_fitted_says_why(paired: pd.DataFrame, formula: str, reason: str) -> None:
    data = paired.assign(
        one=1.0, twice=2 * paired["surprisal"] + 1, only="x", trial=np.arange(len(paired)), nothing=np.nan
    )
    data["surprisal"] = data["surprisal"] - 8
    data["twice"] = 2 * data["surprisal"] + 1
    with pytest.raises(FitError, match=reason) as caught:
        fit(data, formula)
    assert "\n" not in str(caught.value)


def test_unknown_engine_and_contrast(small: pd.DataFrame) -> None:
    with pytest.raises(FitError, match="did you mean 'mixedlm'"):
        fit(small, "n400 ~ surprisal + (1 | subject)", engine="mixdlm")
    with pytest.raises(
        FitError, match="contrasts of 'item': contrasts 'poli' are not offered; there are treatment"
    ):
        fit(small, "n400 ~ item + (1 | subject)", contrasts={"item": "poli"})
    with pytest.raises(FitError, match="codes of 'item' for 120 levels"):
        fit(small, "n400 ~ item + (1 | subject)", contrasts={"item": "polynomial"})
    with pytest.raises(FitError, match="of it"):
        fit(small, "n400 ~ surprisal + (1 | subject)", contrasts={"item": "sum"})


def test_missing_stimulus_is_warned_of(paired: pd.DataFrame) -> None:
    with pytest.warns(FitWarning, match="60 distinct values over 60 stimuli"):
        fit(paired, "n400 ~ surprisal + (1 | subject) + (1 | item)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(paired, "n400 ~ surprisal + (1 | subject) + (1 | stimulus)")
        fit(paired.assign(age=pd.factorize(paired["subject"])[0]), "n400 ~ age + (1 | subject)")
        fit(paired.assign(order=np.arange(len(paired))), "n400 ~ order + (1 | subject)")


def test_singular_fit_is_reported() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"subject": np.repeat(np.arange(10), 20), "x": rng.normal(size=200)})
    data["y"] = rng.normal(size=200) - rng.normal(size=200).mean()
    data["y"] -= data.groupby("subject")["y"].transform("mean")
    with pytest.warns(FitWarning, match="singular"):
        found = fit(data, "y ~ x + (1 | subject)")
    assert found.singular
    assert found.random["vcov"].iloc[0] == pytest.approx(0, abs=1e-6)


def test_to_dict_holds_the_contract(plain: MixedFit) -> None:
    entry = plain.to_dict()
    contract = {
        "name", "formula", "engine", "n_obs", "n_groups", "coefficients", "random", "sigma", "loglik", "aic",
        "r2_marginal", "r2_conditional", "singular", "converged", "warnings",
    }  # fmt: skip
    assert contract <= set(entry)
    assert list(entry["coefficients"]["surprisal"]) == ["estimate", "se", "df", "t", "p", "ci_low", "ci_high"]
    assert json.loads(json.dumps(entry))["n_groups"] == {"subject": 24, "item": 120}


def test_texts(plain: MixedFit) -> None:
    assert plain.apa("surprisal") == (
        "b = -1.24, SE = 0.16, t(49.6) = -7.93, p < .001, 95 % CI [-1.56, -0.93]"
    )
    summary = plain.summary()
    assert "REML" in summary
    assert "2880 rows (0 left out" in summary
    assert "<table" in plain._repr_html_()
    script = plain.to_r_script("x.csv")
    assert 'read.csv(file.path(here, "x.csv"), ' in script
    assert "lmer(n400 ~ surprisal * sparsity + entropy" in script


def test_a_fit_can_be_pickled(plain: MixedFit) -> None:
    again = pickle.loads(pickle.dumps(plain))
    assert again.coefficients["df"].to_numpy() == pytest.approx(plain.coefficients["df"].to_numpy())


def test_a_small_unit_gets_more_decimals_and_p_is_never_zero(small: pd.DataFrame) -> None:
    fit = _fit(small.assign(n400=small["n400"] / 1000), FORMULA)
    assert fit.apa("surprisal").startswith("b = -0.00124, SE = 0.00016,")
    assert "[-0.00156, -0.00093]" in fit.apa("surprisal")
    row = next(line for line in fit.summary().splitlines() if line.split()[:1] == ["surprisal"])
    assert row.split()[1:3] == ["-0.00124", "0.00016"]
    assert "< .001" in row
    assert " 0.0000" not in row
