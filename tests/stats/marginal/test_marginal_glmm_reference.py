"""Marginal means, contrasts and slopes of counts and of logarithms against R's emmeans on both scales: 18 designs.

Made by tests/reference/marginal_glmm_reference.R. Tolerances: what rests on glmer's estimates agrees as far as these do
(coefficients within a hundredth of a standard error, standard errors 1e-3); linear models as in `test_marginal_reference`.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clada_neuro as cn
from clada_neuro.errors import FitError
from clada_neuro.stats.marginal.offered import Marginal

REFERENCE = Path(__file__).parents[2] / "reference"
DESIGNS = json.loads((REFERENCE / "marginal_glmm_reference.json").read_text())["designs"]
pytestmark = pytest.mark.filterwarnings("ignore::clada_neuro.stats.mixed.FitWarning")
# Of this one, glmer's finite differences are 0.5 % off: `test_generalized` computes its curvature by hand.
ROUGH = "regressions ~ condition * group + (1|subject)"
LOGS = [at for at, design in enumerate(DESIGNS) if design["family"] == "gaussian"]


@cache
def fit_of(number: int) -> Marginal:
    design = DESIGNS[number]
    kind = "factorial" if number in LOGS else "counts"
    data = pd.read_csv(REFERENCE / f"{kind}_{design['data']}.csv")
    if number in LOGS:
        data["rt_ms"] = np.exp(6 + data["n400_uv"] / 8)
    contrasts = dict.fromkeys(np.atleast_1d(design["sum"]), "sum")
    return cn.fit(data, design["formula"], family=design["family"], contrasts=contrasts)


def designs(needed: str = "formula") -> Any:
    """Return the marks of a test over the designs that have a part; those of one of the two data sets are slow tests."""
    return pytest.mark.parametrize(
        "number",
        [
            pytest.param(at, id=f"{one['data']}-{one['formula']}", marks=[pytest.mark.slow] if at % 2 else [])
            for at, one in enumerate(DESIGNS)
            if needed in one
        ],
    )


def check(number: int, ours: pd.DataFrame, reference: dict[str, Any]) -> None:
    """Compare row by row, each quantity within its tolerance."""

    def column(name: str) -> np.ndarray:
        values = np.atleast_1d(np.array(reference[name], dtype=object))
        return np.array([np.inf if value == "Inf" else float(value) for value in values])

    linear, rough = number in LOGS, DESIGNS[number]["formula"] == ROUGH
    se = column("SE")
    near = 1e-5 * np.abs(column("estimate")).max() if linear else 1e-2 * se.min()
    assert ours["estimate"].to_numpy() == pytest.approx(column("estimate"), abs=near)
    assert ours["se"].to_numpy() == pytest.approx(se, rel=6e-3 if rough else 1e-4 if linear else 1e-3)
    assert ours["df"].to_numpy() == pytest.approx(column("df"), abs=1e-2)
    wide = np.abs(column("upper") - column("lower")).max()
    for name, other in (("ci_low", "lower"), ("ci_high", "upper")):
        assert ours[name].to_numpy() == pytest.approx(column(other), abs=(4e-3 if rough else 1e-3) * wide)
    if "p.value" in reference:
        assert ours["t"].to_numpy() == pytest.approx(column("t"), abs=3e-2 if rough else 1e-2)
        assert ours["p"].to_numpy() == pytest.approx(
            column("p.value"), abs=4e-3 if rough else 1e-4 if linear else 1e-3
        )


@designs()
def test_means_and_contrasts_on_both_scales(number: int) -> None:
    fit = fit_of(number)
    for expected in DESIGNS[number]["means"]:
        for scale in ("link", "response"):
            means = fit.emmeans(expected["spec"], type=scale)
            check(number, means, expected[scale])
            for adjust, pairs in expected["pairs"][scale].items():
                found = means.pairs(adjust)
                check(number, found, pairs)
                assert found["contrast"].tolist() == list(np.atleast_1d(pairs["labels"]["contrast"]))
        check(number, means.contrasts("control", adjust="none"), expected["control"])


@designs("trends")
def test_slopes_and_their_ratios(number: int) -> None:
    expected, fit = DESIGNS[number]["trends"], fit_of(number)
    slopes = fit.emtrends(expected["predictor"], expected["spec"])
    check(number, slopes, expected["slopes"])
    check(number, slopes.pairs("none"), expected["pairs"])
    ratios = fit.emtrends(expected["predictor"], expected["spec"], type="response")
    base = 10 if "log10" in fit.formula else np.e
    for name in ("estimate", "ci_low", "ci_high"):
        assert ratios[name].to_numpy() == pytest.approx(base ** slopes[name].to_numpy())


@designs("at")
def test_means_at_a_value(number: int) -> None:
    expected = DESIGNS[number]["at"]
    check(
        number,
        fit_of(number).emmeans(expected["spec"], at=expected["at"], type="response"),
        expected["response"],
    )


@pytest.mark.parametrize("number", LOGS, ids=lambda at: f"{DESIGNS[at]['data']}-{DESIGNS[at]['formula']}")
def test_the_mean_of_a_log_normal_response_is_exact_where_emmeans_takes_two_terms(number: int) -> None:
    fit, slope = fit_of(number), np.log(10 if "log10" in DESIGNS[number]["formula"] else np.e)
    variance = slope**2 * DESIGNS[number]["sigma"] ** 2
    for expected in DESIGNS[number]["means"]:
        ours = fit.emmeans(expected["spec"], type="response", bias_adjust=True)
        two_terms = (1 + variance / 2) / np.exp(variance / 2)
        for name, theirs in (
            ("estimate", "estimate"),
            ("se", "SE"),
            ("ci_low", "lower"),
            ("ci_high", "upper"),
        ):
            assert ours[name].to_numpy() * two_terms == pytest.approx(
                np.array(expected["adjusted"][theirs], float), rel=2e-4
            )


def test_the_back_transformed_mean_is_the_mean_of_simulated_times() -> None:
    """Log-normal times of subjects, items and trials: a mean of many equals the adjusted one, the median the other."""
    rng = np.random.default_rng(5)
    subject, item = map(np.ravel, np.meshgrid(np.arange(150), np.arange(150), indexing="ij"))
    parts = [rng.normal(0, sd, n)[at] for sd, n, at in ((0.5, 150, subject), (0.4, 150, item))]
    data = pd.DataFrame({"subject": subject, "item": item, "group": np.where(subject % 2, "a", "b")})
    logs = 6 + sum(part - part.mean() for part in parts) + rng.normal(0, 0.6, len(data))
    data["rt_ms"] = np.exp(logs)
    fit = cn.fit(
        data.astype({"subject": str, "item": str}), "log(rt_ms) ~ group + (1 | subject) + (1 | item)"
    )
    variance = fit.r2().random + fit.r2().residual
    assert variance == pytest.approx(0.25 + 0.16 + 0.36, rel=0.1)
    mean = fit.emmeans("group", type="response", bias_adjust=True)
    assert mean["estimate"].mean() == pytest.approx(data["rt_ms"].mean(), rel=0.03)
    median = fit.emmeans("group", type="response")
    assert median["estimate"].mean() == pytest.approx(np.exp(6), rel=0.03)
    two_terms = median["estimate"].mean() * (1 + variance / 2)
    assert abs(two_terms / data["rt_ms"].mean() - 1) > 0.04


def test_units_and_sentences_say_the_scale() -> None:
    counts, logs = fit_of(0), fit_of(LOGS[0])
    means = counts.emmeans("condition", type="response")
    assert re.match(r"condition filler: probability = 0\.\d\d, SE", means.apa())
    assert re.match(r"filler / high: OR = 0\.\d\d, SE = .*, z = −3\.\d\d, p", means.pairs().apa())
    assert counts.emmeans("condition").unit == "log odds"
    assert means.unit == means.pairs().unit == ""
    times = logs.emmeans("condition", type="response")
    assert times.unit == "ms"
    assert re.match(
        r"condition correct: median = \d+\.\d ms|condition correct: median = \d+\.\d\d ms", times.apa()
    )
    assert "mean = " in logs.emmeans("condition", type="response", bias_adjust=True).apa()
    assert re.match(r"correct / semantic: ratio = 1\.\d\d, SE = .*, t\(", times.pairs().apa())
    assert logs.emmeans("condition").unit == "log ms"


def test_what_has_no_other_scale_or_is_misspelt_is_told() -> None:
    counts, logs = fit_of(0), fit_of(LOGS[0])
    with pytest.raises(
        FitError, match=r"type 'respnse' given \(did you mean 'response'\?\); there are link, response"
    ):
        counts.emmeans("condition", type="respnse")
    with pytest.raises(
        FitError, match=r"bias_adjust is for responses such as log\(rt_ms\), and .* explains accurate"
    ):
        counts.emmeans("condition", type="response", bias_adjust=True)
    with pytest.raises(FitError, match="add type='response'"):
        logs.emmeans("condition", bias_adjust=True)
    linear = cn.fit(logs.model.data, "n400_uv ~ condition + (1 | subject)")
    pd.testing.assert_frame_equal(
        pd.DataFrame(linear.emmeans("condition", type="response")), pd.DataFrame(linear.emmeans("condition"))
    )
