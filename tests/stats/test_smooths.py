"""Smooths in formulas, their curves, bands and tests, and what is refused in one line."""

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.interpolate import make_smoothing_spline

from clada_neuro.errors import FitError
from clada_neuro.records.fits import FitRecord
from clada_neuro.stats.formula import parse
from clada_neuro.stats.mixed import MixedFit, estimate, fit
from clada_neuro.stats.model import specify
from clada_neuro.stats.smooths.line import _drawn
from clada_neuro.stats.smooths.linearity import linearity
from clada_neuro.stats.smooths.wood import against_zero

DATA = pd.read_csv(Path(__file__).parent.parent / "reference" / "smooths.csv")
GROUPS = " + (1 | subject) + (1 | item)"


@cache
def fitted(formula: str, standardize: bool = False) -> MixedFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(DATA, formula, standardize=standardize)


def test_terms_are_read_as_mgcv_writes_them() -> None:
    formula = parse(
        'y ~ z + group + s(x, by = group, k=8) + te(a, `b c`, k = c(4, 6)) + s(t, bs = "cr") + (1 | g)'
    )
    assert list(map(str, formula.smooths)) == [
        's(x, k = 8, bs = "tp", by = group)',
        'te(a, `b c`, k = c(4, 6), bs = "cr")',
        's(t, k = 10, bs = "cr")',
    ]
    assert formula.variables() == ["y", "z", "group", "x", "a", "b c", "t", "g"]
    assert parse(formula.with_random(formula.random)).smooths == formula.smooths


REFUSED = {
    "s(x, k = 500)": "'x' has 80 distinct values; write k = 80",
    "s(few)": "'few' has 6 distinct values; write k = 6",
    "s(group)": "'group' holds str, not numbers; write it without s()",
    "s(x, kk = 4)": "option 'kk' of s(x)",
    "s(x, m = 2)": "option 'm' of s(x)",
    's(x, bs = "ps")': "bs = 'ps' of s(x)",
    "s(x, k = 2)": "k = 2 of s(x)",
    "te(x, z, k = c(3, 4, 5))": "k = [3, 4, 5] of te(x, z)",
    "group * s(x)": "write group + s(x, by = group)",
    "s(x):group": "write group + s(x, by = group)",
    "s(x) * s(z)": "write te(a, b)",
    "log(s(x))": "a smooth as a term of its own",
    "s(log(x))": "make it a column first",
    "x + s(x)": "has the line of 'x' in it; leave x out",
    "s(x) + te(x, z)": "'x' stands in two smooths",
    "s(x, by = group)": "whose means are left out; add group",
    "z + s(x, by = z)": "holds numbers; a smooth for each level of a factor is offered",
    "te(x)": "te() takes two columns",
    "s(x, z)": "s() takes one column",
    "s(missing)": "no column 'missing'",
    "(0 + s(x) | subject)": "a smooth as a term of its own",
}


@pytest.mark.parametrize("term", REFUSED)
def test_what_cannot_be_is_said_in_one_line(term: str) -> None:
    with pytest.raises(FitError) as error:
        fit(DATA, f"wiggly ~ {term}{GROUPS}")
    assert REFUSED[term] in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"engine": "lme4"}, "engine 'lme4' fits no smooths"),
        ({"df": "kenward-roger"}, "a model with smooths has Satterthwaite's"),
        ({"family": "poisson"}, "poisson models take no smooths"),
    ],
)
def test_other_engines_and_families_refuse_smooths(options: dict[str, str], said: str) -> None:
    with pytest.raises(FitError, match=said):
        fit(DATA, f"few ~ s(x){GROUPS}", **options)


def test_a_smooth_without_groups_equals_a_smoothing_spline_of_the_same_penalty() -> None:
    """With a function for every value and no random effects it is a smoothing spline, for which scipy has another method."""
    rng = np.random.default_rng(5)
    x = np.sort(rng.uniform(0, 10, 60)).round(2)
    data = pd.DataFrame({"x": x, "y": np.sin(x) + rng.normal(0, 0.3, len(x))}).drop_duplicates("x")
    found = fit(data, f"y ~ s(x, k = {len(data)})")
    (smooth,) = found.design.smooths
    size = found.estimate.theta[-1] / smooth.shape.scale  # of functions as the basis has them
    spread = data["x"].std(ddof=0)  # in which the basis measures x; ∫ f''² has its cube
    spline = make_smoothing_spline(data["x"], data["y"], lam=spread**3 / size**2)
    np.testing.assert_allclose(found.fitted(), spline(data["x"]), atol=1e-4)


def test_units_change_nothing_and_the_figure_keeps_the_data_s_own() -> None:
    formula = "wiggly ~ z + s(x) + (1 + x | subject) + (1 | item)"
    raw, scaled = fitted(formula), fitted(formula, True)
    assert "x" in scaled.standardized  # as a slope
    at = [3.0, 8.0, 20.0]
    first, second = raw.smooth("x", at=at), scaled.smooth("x", at=at)
    assert second["x"].tolist() == at
    np.testing.assert_allclose(first.to_numpy(), second.to_numpy(), atol=2e-3)


def test_a_curve_has_mean_zero_and_prediction_is_its_sum_with_the_rest() -> None:
    found = fitted(f"wiggly ~ z + s(x){GROUPS}")
    curve = found.smooth("s(x)", at=DATA["x"])
    assert curve["estimate"].mean() == pytest.approx(0, abs=1e-9)
    rest = found.estimate.beta[0] + found.estimate.beta[1] * DATA["z"]
    np.testing.assert_allclose(found.predict(DATA, random=False), rest + curve["estimate"])
    np.testing.assert_allclose(found.predict(DATA), found.fitted(), atol=1e-9)
    assert found.r2().fixed == pytest.approx(np.var(rest + curve["estimate"], ddof=1))


def test_names_of_smooths() -> None:
    data = DATA.rename(columns={"x": "surprisal_bits"})
    found = fit(data, "wiggly ~ group + s(surprisal_bits, by = group) + (1 | subject) + (1 | item)")
    assert found.smooth("surprisal", at=[5])["group"].tolist() == ["high", "low", "mid"]
    assert len(found.smooth("s(surprisal_bits):grouplow", at=[5, 6])) == 2
    with pytest.raises(FitError, match=r"no smooth 'z'.*there are s\(surprisal_bits\):grouphigh"):
        found.smooth("z")
    with pytest.raises(FitError, match="is not numbers"):
        found.smooth("surprisal", at="five")  # type: ignore[arg-type]
    with pytest.raises(FitError, match=r"has no smooth; write … \+ s\(x\) in place of x"):
        fitted(f"wiggly ~ x{GROUPS}").smooth("x")


def test_the_band_holds_the_whole_curve_where_intervals_hold_points() -> None:
    """Curves drawn from the posterior: 95 % lie inside the band everywhere, fewer inside all intervals."""
    found = fitted(f"wiggly ~ s(x){GROUPS}")
    table = found.smooth("x")
    known = found.estimate.smooths
    assert known is not None
    (smooth,) = found.design.smooths
    rows = np.column_stack(smooth.shape.at(table[["x"]].to_numpy()))
    draws = np.random.default_rng(8).multivariate_normal(np.zeros(9), known.vcov[1:, 1:], 4000) @ rows.T
    inside = (np.abs(draws) <= (table["band_high"] - table["estimate"]).to_numpy()).all(axis=1).mean()
    assert inside == pytest.approx(0.95, abs=0.012)
    pointwise = (np.abs(draws) <= (table["ci_high"] - table["estimate"]).to_numpy()).all(axis=1).mean()
    assert pointwise < 0.9


def test_a_curve_is_told_from_a_line_and_a_line_is_not() -> None:
    table = fitted(f"two ~ s(x) + s(z){GROUPS}").smooths().set_index("smooth")
    assert (table["p_line"] < 0.01).all()
    straight = fitted(f"slow ~ s(x){GROUPS}").smooths().iloc[0]
    assert straight["edf"] == pytest.approx(1, abs=0.01)
    assert straight["lrt"] == pytest.approx(0, abs=1e-3)
    assert straight["p_line"] > 0.3


def test_the_distribution_without_a_curve_is_that_of_one_variance_component() -> None:
    """Where all functions have one eigenvalue the statistic is a function of an F ratio, whose quantiles are known."""
    m, df = 8, 200
    drawn = _drawn(np.diag(np.full(m, 50.0)), np.ones((1, m)), df)
    assert (drawn <= 1e-9).mean() == pytest.approx(stats.f.cdf(1, m, df - m), abs=0.015)
    ratio = stats.f.ppf([0.8, 0.9, 0.95], m, df - m)
    a, b = ratio * m, df - m
    exact = df * np.log((a + b) / (b + a / ratio)) - m * np.log(ratio)
    np.testing.assert_allclose(np.quantile(drawn, [0.8, 0.9, 0.95]), exact, atol=0.12)


def test_of_a_whole_rank_the_test_against_zero_is_an_f_test() -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(200, 3))
    y = X @ [0.1, 0.0, -0.1] + rng.normal(size=200)
    beta, rss, *_ = np.linalg.lstsq(X, y, rcond=None)
    vcov = np.linalg.inv(X.T @ X) * rss[0] / 197
    F, *_ = against_zero(beta, X, vcov, 3.0, 197.0)
    assert pytest.approx(beta @ X.T @ X @ beta / 3 / (rss[0] / 197)) == F
    # Just above a whole number the fractional rank joins on.
    assert against_zero(beta, X, vcov, 2.001, 197.0)[2] == pytest.approx(
        against_zero(beta, X, vcov, 2.0, 197.0)[2], abs=0.02
    )


def test_terms_beside_a_smooth_are_tested_as_their_coefficients() -> None:
    found = fitted(f"wiggly ~ group + s(x){GROUPS}")
    rows = found.anova().set_index("term")
    two = np.eye(len(found.design.names))[1:3]
    difference = two @ found.estimate.beta
    wald = difference @ np.linalg.solve(two @ found.uncertainty.vcov @ two.T, difference) / 2
    assert rows.loc["group", "F"] == pytest.approx(wald)
    assert found.anova(type=2)["F"].tolist() == pytest.approx([wald])
    means = found.emmeans("group")
    pair = means.pairs(adjust="none").iloc[0]
    assert pair["estimate"] == pytest.approx(-found.estimate.beta[1])


def test_the_script_fits_with_gamm4_or_mgcv() -> None:
    plain = fitted(f"wiggly ~ z + s(x){GROUPS}").to_r_script()
    assert (
        'm <- gamm4(wiggly ~ 1 + z + s(x, k = 10, bs = "tp"), random = ~ (1 | subject) + (1 | item)' in plain
    )
    tensor = fitted(f"surface ~ te(x, z){GROUPS}").to_r_script()
    assert (
        'te(x, z, k = c(5, 5), bs = "cr") + s(subject, bs = "re") + s(item, bs = "re"), data = d, method = "fREML")'
        in tensor
    )


def test_the_entry_holds_the_smooth_and_the_summary_shows_it() -> None:
    found = fitted(f"wiggly ~ s(x){GROUPS}")
    (record,) = FitRecord.checked({**found.to_dict(), "response": "wiggly"})["smooths"]
    assert record["term"] == 's(x, k = 10, bs = "tp")'
    assert set(record["curve"]) >= {"x", "estimate", "band_low", "band_high"}
    assert record["p_line"] < 0.01
    assert "s(x) 6.3" in found.summary()
    assert fitted(f"wiggly ~ x{GROUPS}").to_dict()["smooths"] == []


def test_the_curve_of_an_effect_stands_beside_its_product_with_a_factor() -> None:
    low = DATA["group"] == "low"
    data = DATA.assign(code=low.astype(float), kind=np.where(low, "second", "first"))
    factor, number = (
        linearity(estimate(specify(data, f"wiggly ~ x * {name}{GROUPS}")), "x") for name in ("kind", "code")
    )
    for known in ("edf", "lrt", "estimate", "line"):
        assert factor[known] == pytest.approx(number[known], abs=1e-3)
    assert factor["p_line"] < 0.01
    with pytest.raises(FitError, match=r"has no term '\(Intercept\)' of its own"):
        linearity(estimate(specify(data, f"wiggly ~ 0 + x{GROUPS}")), "x")
