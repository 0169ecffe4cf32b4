"""Smooths against mgcv's bam and gam and gamm4: curves, their standard errors, degrees of freedom, tests."""

import json
import warnings
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.stats.mixed import MixedFit, fit
from clada_neuro.stats.smooths.curve import functions_of, named, posterior_of

FOLDER = Path(__file__).parent.parent / "reference"
FITS = json.loads((FOLDER / "smooth_reference.json").read_text())["fits"]
NAMES = [f"{found['formula']}{' weighted' if found.get('weights') else ''}" for found in FITS]
# Where a smooth is a line, mgcv stops at some large penalty and we at a larger one. Of a standard error, and in edf.
CURVE, EDF = 0.02, 0.01


@lru_cache
def data() -> pd.DataFrame:
    return pd.read_csv(FOLDER / "smooths.csv")


@cache
def fitted(number: int) -> MixedFit:
    known = FITS[number]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(data(), known["formula"], weights=known.get("weights"))


def test_there_are_at_least_twelve() -> None:
    assert len(FITS) >= 12
    assert {found["witness"] for found in FITS} == {"bam", "gam", "gamm4"}


@pytest.mark.parametrize("number", range(len(FITS)), ids=NAMES)
def test_curves_and_degrees_of_freedom_equal_mgcv(number: int) -> None:
    found, known = fitted(number), FITS[number]
    for smooth in known["smooths"]:
        table = found.smooth(smooth["label"], at=smooth["at"])
        if ":" in smooth["label"]:
            table = table[table["group"] == smooth["label"].partition(":group")[2]]
        se = np.array(smooth["se"])
        np.testing.assert_allclose(table["estimate"], smooth["estimate"], rtol=0, atol=CURVE * se.max())
        assert (np.abs(table["estimate"].to_numpy() - smooth["estimate"]) <= CURVE * se).all()
        np.testing.assert_allclose(table["se"], se, rtol=0, atol=CURVE * se.max())
        (one,) = [
            one for one in named(found, smooth["label"]) if one.label.replace(" ", "") == smooth["label"]
        ]
        assert posterior_of(found).edf[functions_of(found, one)].sum() == pytest.approx(
            smooth["edf"], abs=EDF
        )


@pytest.mark.parametrize("number", range(len(FITS)), ids=NAMES)
def test_fixed_effects_and_residuals_equal_mgcv(number: int) -> None:
    found, known = fitted(number), FITS[number]
    table = found.coefficients.iloc[: len(known["fixed"]["term"])]
    se = np.array(known["fixed"]["se"])
    assert (np.abs(table["estimate"].to_numpy() - known["fixed"]["estimate"]) <= CURVE * se).all()
    np.testing.assert_allclose(table["se"], se, rtol=CURVE)
    assert found.sigma == pytest.approx(known["sigma"], rel=1e-4)
    if known["witness"] != "gamm4":  # which does not count random effects
        assert posterior_of(found).residual_df == pytest.approx(known["residual_df"], abs=0.05)
