"""Marginal means, slopes and contrasts of 64 designs by R's emmeans (lmerTest, pbkrtest): tests/reference/marginal_reference.R.

Tolerances: estimates 1e-5 of the largest, standard errors 1e-4 relative, degrees of freedom 1e-2, p values 1e-4 (multivariate t:
5e-3, because emmeans integrates it by simulation and cuts degrees of freedom to whole numbers).
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify

REFERENCE = Path(__file__).parents[2] / "reference"
DESIGNS = json.loads((REFERENCE / "marginal_reference.json").read_text())["designs"]
METHODS = ("polynomial", "consecutive", "effects")


def _label(design: dict[str, Any]) -> str:
    return f"{design['data']}-{design['formula'].removeprefix('n400_uv ~ ')}"


@cache
def data_of(name: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / f"factorial_{name}.csv")


@cache
def fit_of(number: int, df: str = "satterthwaite") -> MixedFit:
    design = DESIGNS[number]
    contrasts = {name: kind.replace("sdif", "successive") for name, kind in dict(design["contrasts"]).items()}
    return estimate(specify(data_of(design["data"]), design["formula"], contrasts=contrasts), df=df)


def designs(needed: str = "formula") -> Any:
    """Return the marks of a test over the designs that have a part; three quarters of them are slow tests."""
    return pytest.mark.parametrize(
        "number",
        [
            pytest.param(number, id=_label(design), marks=[pytest.mark.slow] if number % 4 else [])
            for number, design in enumerate(DESIGNS)
            if needed in design
        ],
    )


def check(ours: pd.DataFrame, reference: dict[str, Any], p: float = 1e-4) -> None:
    """Compare row by row, each quantity within its tolerance."""

    def column(name: str) -> np.ndarray:
        return np.atleast_1d(np.array(reference[name], dtype=float))

    scale = max(np.abs(column("estimate")).max(), column("SE").max())
    assert ours["estimate"].to_numpy() == pytest.approx(column("estimate"), abs=1e-5 * scale)
    assert ours["se"].to_numpy() == pytest.approx(column("SE"), rel=1e-4)
    assert ours["df"].to_numpy() == pytest.approx(column("df"), abs=1e-2, rel=1e-4)
    if "lower.CL" in reference:
        assert ours["ci_low"].to_numpy() == pytest.approx(column("lower.CL"), abs=1e-3 * scale)
        assert ours["ci_high"].to_numpy() == pytest.approx(column("upper.CL"), abs=1e-3 * scale)
    if "p.value" in reference:
        assert ours["p"].to_numpy() == pytest.approx(column("p.value"), abs=p)


@designs()
def test_coefficients_by_both_methods(number: int) -> None:
    for method in ("satterthwaite", "kenward_roger"):
        fit = fit_of(number, method.replace("_", "-"))
        check(fit.coefficients, DESIGNS[number][method])
        assert fit.loglik == pytest.approx(DESIGNS[number]["loglik"], abs=1e-4)


@designs()
def test_means_and_their_contrasts(number: int) -> None:
    fit = fit_of(number)
    for expected in DESIGNS[number]["means"]:
        means = fit.emmeans(expected["spec"])
        check(means, expected["means"])
        for name, labels in expected["means"]["labels"].items():
            assert means[name].astype(str).tolist() == labels
        for adjust, pairs in expected["pairs"].items():
            check(means.pairs(adjust), pairs, p=5e-3 if adjust == "mvt" else 1e-4)
        for method in METHODS:
            check(means.contrasts(method, adjust="none"), expected[method])
        second = means.functions.cells.iloc[means.functions.families()[0][1]][means.functions.factors]
        control = means.contrasts("control", reference=" ".join(map(str, second)), adjust="none")
        check(control, expected["control"])


@designs()
def test_means_by_kenward_and_roger(number: int) -> None:
    expected = DESIGNS[number]["means_kr"]
    means = fit_of(number, "kenward-roger").emmeans(expected["spec"])
    check(means, expected["means"])
    check(means.pairs("none"), expected["pairs"])


@designs("trends")
def test_simple_slopes(number: int) -> None:
    expected = DESIGNS[number]["trends"]
    slopes = fit_of(number).emtrends(expected["predictor"], expected["spec"])
    check(slopes, expected["slopes"])
    check(slopes.pairs("none"), expected["pairs"])


@designs("interaction")
def test_contrasts_of_contrasts(number: int) -> None:
    means = fit_of(number).emmeans("condition + group")
    found = means.interaction({"condition": "pairwise", "group": "consecutive"}, adjust="none")
    check(found, DESIGNS[number]["interaction"])


@designs("at5")
def test_means_at_a_value(number: int) -> None:
    expected = DESIGNS[number]
    check(fit_of(number).emmeans(expected["means"][0]["spec"], at={"x": 5}), expected["at5"])
