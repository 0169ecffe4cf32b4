"""Generalised mixed models against glmer, the formulas of their R², and what is refused.

glmer's fits are those of tests/reference (tight settings, the best of two optimizers). Bars: coefficients 1e-3 and standard
errors 1e-3 of their size, log-likelihood 1e-2; a higher likelihood passes, with glmer's own estimates then not compared.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln

import clada_neuro as cn
from clada_neuro.errors import FitError
from clada_neuro.stats.generalized.counts import counts_of
from clada_neuro.stats.generalized.estimate import scaled_design
from clada_neuro.stats.generalized.family import family_of
from clada_neuro.stats.generalized.fit_counts import GeneralizedFit
from clada_neuro.stats.generalized.laplace import Laplace
from clada_neuro.stats.model import specify
from clada_neuro.stats.specification import ModelSpecification

REFERENCE = Path(__file__).parents[1] / "reference"
FITS = json.loads((REFERENCE / "glmer_reference.json").read_text())["fits"]
pytestmark = pytest.mark.filterwarnings("ignore::clada_neuro.stats.mixed.FitWarning")


@cache
def _data(name: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / f"counts_{name}.csv")


@cache
def _ours(dataset: str, formula: str, family: str, summed: tuple[str, ...] = ()) -> GeneralizedFit:
    found = cn.fit(_data(dataset), formula, family=family, contrasts=dict.fromkeys(summed, "sum"))
    assert isinstance(found, GeneralizedFit)
    return found


def _of(reference: dict[str, Any]) -> GeneralizedFit:
    return _ours(
        reference["dataset"],
        reference["formula"],
        reference["family"],
        tuple(np.atleast_1d(reference["sum"])),
    )


@pytest.mark.parametrize("reference", FITS, ids=lambda fit: f"{fit['dataset']}-{fit['model']}")
def test_estimates_equal_glmers(reference):
    ours = _of(reference)
    assert ours.loglik > reference["loglik"] - 1e-3
    if ours.loglik < reference["loglik"] + 1e-3:
        beta, se = (np.array(np.atleast_1d(reference[key])) for key in ("beta", "se"))
        assert ours.estimate.beta == pytest.approx(beta, rel=1e-3, abs=1e-3 * se.min())
        assert ours.coefficients["se"].to_numpy() == pytest.approx(se, rel=1e-3)
        assert ours.fitted()[:5] == pytest.approx(reference["fitted_first5"], rel=1e-3)
        assert ours.loglik == pytest.approx(reference["loglik"], abs=1e-3)
        assert ours.aic == pytest.approx(reference["aic"], abs=2e-3)
    assert ours.n_parameters == reference["parameters"]


def test_few_likelihoods_are_above_glmers():
    assert sum(_of(fit).loglik > fit["loglik"] + 1e-3 for fit in FITS) <= 3


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("accurate ~ surprisal + (1 + surprisal | subject) + (1 | item)", "binomial"),
        ("regressions ~ surprisal + (1 | subject) + (1 + surprisal | item) + (1 | group)", "poisson"),
    ],
)
def test_the_gradient_is_that_of_the_likelihood(formula, family):
    model = specify(_data("full"), formula)
    scaled = scaled_design(model.design)
    laplace = Laplace(
        family_of(family), *counts_of(model, family), scaled.X, model.design.blocks, scaled.blocks
    )
    size = int(laplace.ends[-1]) + scaled.X.shape[1]
    at = np.random.default_rng(0).normal(0.4, 0.2, size)
    steps = 1e-5 * np.eye(size)
    numeric = [(laplace(at + step)[0] - laplace(at - step)[0]) / 2e-5 for step in steps]
    assert laplace(at)[1] == pytest.approx(numeric, rel=1e-5, abs=1e-4)


def test_one_effect_of_one_subject_has_the_likelihood_computed_by_hand():
    """A single random effect's Laplace approximation, by a grid and the second difference."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(["a", "b"], 30), "y": rng.integers(0, 2, 60)})
    model = specify(data, "y ~ 1 + (1 | g)")
    laplace = Laplace(
        family_of("binomial"),
        *counts_of(model, "binomial"),
        np.ones((60, 1)),
        model.design.blocks,
        [np.ones((60, 1))],
    )
    found, _ = laplace(np.array([0.8, 0.3]))
    total = 0.0
    for level in "ab":
        hits = data.loc[data["g"] == level, "y"].sum()
        u = np.linspace(-4, 4, 800_001)
        eta = 0.3 + 0.8 * u
        joint = hits * eta - 30 * np.logaddexp(0, eta) - u**2 / 2
        best = int(np.argmax(joint))
        p = 1 / (1 + np.exp(-eta[best]))
        total += joint[best] - np.log(30 * p * (1 - p) * 0.64 + 1) / 2
    assert found == pytest.approx(-total, abs=1e-6)


def test_standard_errors_are_those_of_a_curvature_computed_by_hand():
    """One effect a subject: modes by Newton, second differences of the likelihood; glmer's own are up to 0.5 % off here."""
    fit = _ours("full", "regressions ~ condition * group + (1 | subject)", "poisson")
    X, y, codes = fit.design.X, fit.design.y, fit.design.blocks[0].codes

    def likelihood(parameters: np.ndarray) -> float:
        sd, fixed, u = parameters[0], X @ parameters[1:], np.zeros(codes.max() + 1)
        for _ in range(30):
            mean = np.exp(fixed + sd * u[codes])
            curvature = sd**2 * np.bincount(codes, mean) + 1
            u = u + (sd * np.bincount(codes, y - mean) - u) / curvature
        eta = fixed + sd * u[codes]
        curvature = sd**2 * np.bincount(codes, np.exp(eta)) + 1
        return float(np.sum(y * eta - np.exp(eta) - gammaln(y + 1)) - u @ u / 2 - np.log(curvature).sum() / 2)

    best, h = np.array([fit.random["sdcor"][0], *fit.estimate.beta]), 1e-3
    steps = h * np.eye(len(best))
    hessian = np.array(
        [
            [
                likelihood(best + a + b) - likelihood(best + a - b)
                - likelihood(best - a + b) + likelihood(best - a - b)
                for a in steps
            ]
            for b in steps
        ]
    ) / (4 * h**2)  # fmt: skip
    se = np.sqrt(np.diag(np.linalg.inv(-hessian)))[1:]
    assert fit.loglik == pytest.approx(likelihood(best), abs=1e-8)
    assert fit.coefficients["se"].to_numpy() == pytest.approx(se, rel=1e-5)


def test_r2_is_on_the_latent_scale():
    binomial = _ours("full", "accurate ~ surprisal + (1 | subject) + (1 | item)", "binomial")
    fixed = np.var(binomial.design.X @ binomial.estimate.beta, ddof=1)
    random = sum(float(c[0, 0]) for c in binomial.estimate.covariances)
    assert binomial.r2().marginal == pytest.approx(fixed / (fixed + random + np.pi**2 / 3))
    poisson = _ours("full", "regressions ~ surprisal + (1 | subject)", "poisson")
    assert poisson.r2().residual == pytest.approx(np.log(1 + 1 / _data("full")["regressions"].mean()))


def test_ratios_z_and_the_sentence():
    fit = _ours("full", "accurate ~ surprisal + (1 | subject) + (1 | item)", "binomial")
    row = fit.coefficient("surprisal")
    assert row["odds_ratio"] == pytest.approx(np.exp(row["estimate"]))
    assert row["odds_ratio_high"] == pytest.approx(np.exp(row["estimate"] + 1.959964 * row["se"]), rel=1e-6)
    assert row["z"] == pytest.approx(row["estimate"] / row["se"])
    assert not {"df", "t"} & set(row)
    assert re.search(
        r"z = -\d\.\d\d, p < \.001, OR = 0\.\d+, 95 % CI \[0\.\d+, 0\.\d+\]$", fit.apa("surprisal")
    )
    assert "binomial with logit link, by Laplace" in fit.summary()
    assert "rate_ratio" in _ours("full", "regressions ~ surprisal + (1 | subject)", "poisson").coefficients


def test_successes_of_trials_are_as_good_as_their_single_trials():
    data = _data("full").assign(n=1)
    single = _ours("full", "accurate ~ surprisal + (1 | subject) + (1 | item)", "binomial")
    share = cn.fit(data, "accurate/n ~ surprisal + (1 | subject) + (1 | item)", family="binomial")
    truth = cn.fit(data.assign(accurate=data["accurate"] == 1), single.formula, family="binomial")
    text = data.assign(accurate=data["accurate"].map({0: "no", 1: "yes"}))
    compared = cn.fit(
        text, "I(accurate == 'yes') ~ surprisal + (1 | subject) + (1 | item)", family="binomial"
    )
    for other in (share, truth, compared):
        assert other.estimate.beta == pytest.approx(single.estimate.beta, abs=1e-8)


def test_new_rows_are_predicted_on_the_scale_of_the_response():
    fit = _ours("full", "accurate ~ surprisal + (1 | subject) + (1 | item)", "binomial")
    new = _data("full").head(3).assign(subject=["s00", "new", "s01"])
    eta = fit.estimate.beta[0] + fit.estimate.beta[1] * new["surprisal"]
    assert fit.predict(new, random=False) == pytest.approx((1 / (1 + np.exp(-eta))).to_numpy())
    assert fit.predict(_data("full").head(3)) == pytest.approx(fit.fitted()[:3])


def test_models_are_compared_within_a_family_only():
    one = _ours("full", "accurate ~ surprisal + (1 | subject)", "binomial")
    two = _ours("full", "accurate ~ surprisal + condition + (1 | subject)", "binomial")
    tested = one.anova(two)
    assert tested.chi2 == pytest.approx(2 * (two.loglik - one.loglik))
    assert tested.df == 2
    with pytest.raises(FitError, match=r"is binomial and .* gaussian; compare models of one family"):
        one.anova(cn.fit(_data("full"), "accurate ~ surprisal + condition + (1 | subject)"))


def test_separation_is_named():
    data = _data("full").copy()
    data.loc[data["condition"] == "low", "accurate"] = 0
    with pytest.warns(UserWarning, match="separation: 'condition.*low.*' tells some responses"):
        fit = cn.fit(data, "accurate ~ surprisal + condition + (1 | subject)", family="binomial")
    assert not fit.converged
    data["regressions"] = data["regressions"].where(data["condition"] != "low", 0)
    with pytest.warns(UserWarning, match="separation: 'condition.*low.*' tells some responses"):
        cn.fit(data, "regressions ~ surprisal + condition + (1 | subject)", family="poisson")


@pytest.mark.parametrize(
    ("change", "formula", "family", "message"),
    [
        ({"accurate": 2}, "accurate ~ 1 + (1 | subject)", "binomial", r"'accurate' is 2 in row 5; .* 0 or 1"),
        ({"accurate": "yes"}, "accurate ~ 1 + (1 | subject)", "binomial", r"'accurate' is 'yes' in row 5; .* 0 or 1"),
        ({"hits": 99}, "hits/(hits*0 + 8) ~ 1 + (1 | subject)", "binomial", r"is 99 of 8 in row 5"),
        ({"regressions": -1}, "regressions ~ 1 + (1 | subject)", "poisson", r"'regressions' is -1 in row 5; .* 0 or more"),
        ({}, "accurate ~ 1 + (1 | subject)", "binomal", r"family 'binomal' given \(did you mean 'binomial'\?\)"),
        ({}, "accurate ~ surprisal", "binomial", r"needs a random term such as \(1 \| subject\)"),
        ({}, "regressions ~ offset(surprisal) + (1 | subject)", "poisson", r"offset\(\) .* not offered"),
        ({}, "cbind(hits, misses) ~ 1 + (1 | subject)", "binomial", r"hits/\(hits \+ misses\)"),
    ],
)  # fmt: skip
def test_what_is_no_count_is_told_by_column_and_row(change, formula, family, message):
    data = _data("full").copy()
    for name, value in change.items():
        data[name] = data[name].astype(object if isinstance(value, str) else data[name].dtype)
        data.loc[5, name] = value
    with pytest.raises(FitError, match=message):
        cn.fit(data, formula, family=family)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"df": "kenward-roger"}, "Wald z tests without df"),
        ({"weights": "surprisal"}, "write trials into the response"),
        ({"engine": "lme4"}, "engine 'lme4' fits linear models"),
    ],
)
def test_what_belongs_to_linear_models_is_refused(given, message):
    with pytest.raises(FitError, match=message):
        cn.fit(_data("full"), "accurate ~ surprisal + (1 | subject)", family="binomial", **given)


def test_f_tests_are_not_offered():
    fit = _ours("full", "accurate ~ surprisal + condition + (1 | subject)", "binomial")
    with pytest.raises(FitError, match=r"linear models only, and .* is binomial; use"):
        fit.anova()


def test_family_is_the_distribution_of_the_response_in_an_analysis_too():
    found = ModelSpecification("accuracy", "accurate ~ surprisal + (1 | subject)", family="binomial")
    assert found.family == "binomial"
    with pytest.raises(
        FitError, match=r"family = 'pilot' given, .* adjusted together with adjust_with = 'pilot'"
    ):
        ModelSpecification("accuracy", "accurate ~ surprisal + (1 | subject)", family="pilot")
    with pytest.raises(FitError, match=r"family 'binomal' given \(did you mean 'binomial'\?\)"):
        ModelSpecification("accuracy", "accurate ~ surprisal + (1 | subject)", family="binomal")
    with pytest.raises(FitError, match="Wald z tests without df"):
        ModelSpecification("accuracy", "accurate ~ 1 + (1 | s)", family="binomial", df="kenward-roger")
