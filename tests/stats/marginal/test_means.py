"""Marginal means and contrasts: names that are not there, units, families, and what holds by construction."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.marginal.adjust import range_tail
from clada_neuro.stats.marginal.methods import weights_of
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify


@pytest.fixture(scope="module")
def fit(paired: pd.DataFrame) -> MixedFit:
    data = paired.rename(columns={"n400": "n400_uv"})
    formula = "n400_uv ~ condition * surprisal + lab + (1 | subject) + (1 | item) + (1 | stimulus)"
    return estimate(specify(data, formula, standardize=["surprisal"]))


def test_a_pair_of_treatment_levels_is_their_coefficient_at_the_covariates_mean(fit: MixedFit) -> None:
    pair = fit.emmeans("condition").pairs("none").iloc[0]
    expected = fit.coefficient("condition[T.low]")
    assert pair["contrast"] == "high - low"
    for name in ("estimate", "t"):
        assert pair[name] == pytest.approx(-expected[name], abs=1e-10)
    for name in ("se", "df", "p"):
        assert pair[name] == pytest.approx(expected[name], rel=1e-8)


def test_a_slope_is_its_coefficient_per_sd(fit: MixedFit) -> None:
    slopes = fit.emtrends("surprisal", "condition")
    assert slopes["estimate"][0] == pytest.approx(fit.coefficient("surprisal")["estimate"], abs=1e-8)
    interaction = fit.coefficient("condition[T.low]:surprisal")
    assert slopes.pairs()["p"][0] == pytest.approx(interaction["p"], rel=1e-6)
    assert slopes.unit == "µV per SD"
    assert slopes.apa(0).startswith("condition high: b = ")
    assert "µV per SD" in slopes.apa(0)
    assert fit.emtrends("surprisal").shape == (1, 5)


def test_values_are_in_the_units_of_the_data(fit: MixedFit) -> None:
    center, sd = fit.standardized["surprisal"]
    first, second = (fit.emmeans("condition", at={"surprisal": value}) for value in (center, center + sd))
    slopes = fit.emtrends("surprisal", "condition")["estimate"]
    assert np.allclose(second["estimate"] - first["estimate"], slopes)
    assert np.allclose(first["estimate"], fit.emmeans("condition")["estimate"])
    both = fit.emmeans("surprisal | condition", at={"surprisal": [6, 9], "condition": "low"})
    assert both["surprisal"].tolist() == [6, 9]
    assert set(both["condition"]) == {"low"}


def test_tables_read_as_sentences(fit: MixedFit) -> None:
    means = fit.emmeans("condition | lab")
    assert list(means) == ["condition", "lab", "estimate", "se", "df", "ci_low", "ci_high"]
    assert means.unit == "µV"
    assert means.apa(1).startswith("condition low, lab lab0: M = −")
    assert means.apa(1).endswith("]")
    pairs = means.pairs()
    assert pairs.adjust == "holm"
    assert pairs.apa().startswith("high - low, lab lab0: b = ")
    assert type(means[["estimate"]]) is pd.DataFrame


def test_families_are_adjusted_apart(fit: MixedFit) -> None:
    within, alone = fit.emmeans("lab | condition"), fit.emmeans("lab", at={"condition": "low"})
    low = within.pairs("sidak").query("condition == 'low'")
    assert np.allclose(low["p"], alone.pairs("sidak")["p"])
    test = within.pairs().joint()
    assert test.df1 == 3
    assert 0 < test.p < 1


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda fit: fit.emmeans("conditon"), "'conditon' is no variable .*did you mean 'condition'"),
        (lambda fit: fit.emmeans("condition |"), "cannot read 'condition |'"),
        (lambda fit: fit.emmeans("condition + condition"), "named twice"),
        (lambda fit: fit.emmeans("condition", at={"lab": "lab9"}), "'lab' has no level 'lab9'"),
        (lambda fit: fit.emmeans("condition", at={"surprisal": "high"}), "numbers expected"),
        (lambda fit: fit.emmeans("condition", at={"surprise": 1}), "did you mean 'surprisal'"),
        (lambda fit: fit.emtrends("condition"), "'condition' is no numeric predictor"),
        (lambda fit: fit.emmeans("lab").pairs("tuckey"), "did you mean 'tukey'"),
        (lambda fit: fit.emmeans("lab").contrasts("control", adjust="tukey"), "'tukey' is for all pairs"),
        (lambda fit: fit.emmeans("lab").contrasts("control", reference="x"), "'lab' has no level 'x'"),
        (lambda fit: fit.emmeans("lab").contrasts("pairs"), "'pairs' given .* or weights by name"),
        (lambda fit: fit.emmeans("lab").contrasts({"c": {"lab0": 1, "lab1": -0.5}}), "of 'lab': its weights sum to 0.5"),
        (lambda fit: fit.emmeans("lab").contrasts({"c": [1, -1]}), "2 weights given for the 4 levels of 'lab'"),
        (lambda fit: fit.emmeans("lab").contrasts({"c": {"lab7": 1, "lab1": -1}}), "'lab' has no level 'lab7'"),
        (lambda fit: fit.emmeans("").pairs(), "one level, 'all'"),
        (lambda fit: fit.emmeans("lab + condition").interaction({"lab": "pairwise"}), "one for each of lab, condition"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_in_one_line(fit: MixedFit, call: object, message: str) -> None:
    with pytest.raises(FitError, match=message) as caught:
        call(fit)  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_polynomials_are_those_of_textbooks() -> None:
    found = weights_of("polynomial", ["a", "b", "c", "d"])
    assert {name: list(map(int, values)) for name, values in found.items()} == {
        "linear": [-3, -1, 1, 3],
        "quadratic": [1, -1, -1, 1],
        "cubic": [-1, 3, -3, 1],
    }


@pytest.mark.parametrize(
    "q, n_means, df, tail",
    # ptukey of R 4.2.2
    [(3.5, 3, 10, 0.07710331084), (5, 6, 200.3, 0.00662306613), (0.5, 3, 5000, 0.93342283671), (4, 10, np.inf, 0.12685213235)],
)  # fmt: skip
def test_studentized_range(q: float, n_means: int, df: float, tail: float) -> None:
    assert range_tail(q, n_means, df) == pytest.approx(tail, abs=1e-8)


def test_the_grand_mean(fit: MixedFit) -> None:
    whole = fit.emmeans("")
    assert len(whole) == 1
    assert whole["estimate"][0] == pytest.approx(fit.emmeans("condition + lab")["estimate"].mean())
