"""Figures that lme4 gives on the Nieuwland et al. (2018) noun trials."""

import os
import warnings
from pathlib import Path

import pandas as pd
import pytest

from clada_neuro.stats.mixed import FitWarning, fit


def _trials() -> pd.DataFrame:
    for folder in os.environ.get("CLADA_NEURO_DATA", "").split(os.pathsep):
        path = Path(folder, "nieuwland2018", "nieuwland2018_clean.csv")
        if folder and path.exists():
            data = pd.read_csv(path).rename(columns={"subj": "subject"})
            return data.assign(stimulus=data["item"].astype(str) + "_" + data["noun"])
    pytest.skip("needs nieuwland2018_clean.csv in a folder of CLADA_NEURO_DATA")


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    return _trials()


def test_subject_and_item_by_ml(trials: pd.DataFrame) -> None:
    with pytest.warns(FitWarning, match="158 stimuli"):
        found = fit(trials, "n400 ~ cloze + (1|subject) + (1|item)", reml=False, standardize=["cloze"])
    cloze = found.coefficient("cloze")
    assert found.n_obs == 25322
    assert cloze["estimate"] == pytest.approx(0.9145, abs=1e-3)
    assert cloze["t"] == pytest.approx(15.465, abs=1e-2)


@pytest.mark.parametrize("reml, estimate, t, df", [(False, 0.8931, 9.902, 83.7), (True, 0.8930, 9.841, 82.8)])
def test_with_stimulus(trials: pd.DataFrame, reml: bool, estimate: float, t: float, df: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit(
            trials,
            "n400 ~ cloze + (1|subject) + (1|item) + (1|stimulus)",
            reml=reml,
            standardize=["cloze"],
        )
    cloze = found.coefficient("cloze")
    assert cloze["estimate"] == pytest.approx(estimate, abs=1e-4)
    assert cloze["t"] == pytest.approx(t, abs=1e-3)
    assert cloze["df"] == pytest.approx(df, abs=0.1)
    if not reml:
        assert found.loglik == pytest.approx(-92070.78, abs=0.01)
