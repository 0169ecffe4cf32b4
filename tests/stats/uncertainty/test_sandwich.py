"""The sandwich equals clubSandwich's without random effects, and keeps the size of tests where words' residuals follow each other."""

import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.mixed import MixedFit, estimate, fit
from clada_neuro.stats.model import specify
from clada_neuro.stats.sequences import lag1

PEOPLE, TEXTS, WORDS = 20, 8, 12


def ar1(rng: np.random.Generator, rows: int, rho: float) -> np.ndarray:
    found = rng.normal(size=(rows, WORDS))
    for at in range(1, WORDS):
        found[:, at] = rho * found[:, at - 1] + np.sqrt(1 - rho**2) * found[:, at]
    return found


def reading(seed: int, rho: float = 0.5) -> pd.DataFrame:
    """Return times of words in sequences; the predictor, of a person's own, has no effect and follows itself as residuals do."""
    rng = np.random.default_rng(seed)
    person, text, place = np.unravel_index(np.arange(PEOPLE * TEXTS * WORDS), (PEOPLE, TEXTS, WORDS))
    x, e = (ar1(rng, PEOPLE * TEXTS, rho).ravel() for _ in range(2))
    word = text * WORDS + place
    y = rng.normal(0, 0.5, PEOPLE)[person] + rng.normal(0, 0.5, TEXTS * WORDS)[word] + e
    frame = {"subject": person, "stimulus_id": text, "word_index": place, "word": word, "x": x, "y": y}
    return pd.DataFrame(frame).assign(sequence=person * TEXTS + text)


FORMULA = "y ~ x + (1 | subject) + (1 | word)"


def fitted(data: pd.DataFrame, formula: str = FORMULA) -> MixedFit:
    return estimate(specify(data, formula), engine="mixedlm" if "|" in formula else "statsmodels")


def test_without_random_effects_it_is_cr0_by_hand_and_in_clubsandwich(tmp_path: Path) -> None:
    data = reading(1)
    found = fitted(data, "y ~ x").robust("sequence")
    X, e = found.design.X, found.residuals()
    scores = np.array([X[rows].T @ e[rows] for rows in data.groupby("sequence").indices.values()])
    A, m, n = np.linalg.inv(X.T @ X), len(scores), len(e)
    cr0 = A @ scores.T @ scores @ A
    factor = m / (m - 1) * n / (n - 2)
    assert found.uncertainty.vcov == pytest.approx(factor * cr0, rel=1e-10)
    assert (found.coefficients["df"] == m - 1).all()
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    data.to_csv(tmp_path / "d.csv", index=False)
    code = (
        'if (!requireNamespace("clubSandwich", quietly = TRUE)) quit(status = 3); d <- read.csv("d.csv"); '
        'm <- lm(y ~ x, d); cat(as.vector(clubSandwich::vcovCR(m, d$sequence, "CR0")))'
    )
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    if done.returncode == 3:
        pytest.skip("R has no clubSandwich")
    assert cr0.ravel() == pytest.approx(np.array(done.stdout.split(), dtype=float), rel=1e-6)  # as printed


def test_with_random_effects_it_is_the_formula_with_whole_matrices() -> None:
    data = reading(2).query("subject < 12 and stimulus_id < 4")
    rng = np.random.default_rng(0)
    data = data.assign(w=rng.uniform(0.5, 2, len(data)))
    model = estimate(specify(data, "y ~ x + (1 + x | subject) + (1 | word)", weights="w"))
    found = model.robust("sequence")
    design, s2 = found.design, found.sigma**2
    spread = np.zeros((len(data), len(data)))
    for block, covariance in zip(design.blocks, found.estimate.covariances, strict=True):
        same = block.codes[:, None] == block.codes
        spread += same * (block.values @ covariance @ block.values.T)
    W = np.linalg.solve(spread + np.diag(s2 / design.weights), design.X)
    A, e = np.linalg.inv(design.X.T @ W), found.residuals()
    scores = np.array([W[rows].T @ e[rows] for rows in data.groupby("sequence").indices.values()])
    m, size = len(scores), np.sum(design.weights * e**2) / s2
    expected = A @ (W.T @ spread @ W + m / (m - 1) * len(e) / size * scores.T @ scores) @ A
    assert found.uncertainty.vcov == pytest.approx(expected, rel=1e-6)


def test_autocorrelation_is_told_beyond_chance_only() -> None:
    data = reading(3)
    found = fitted(data)
    assert any("lag 1: r = 0.4" in line or "lag 1: r = 0.5" in line for line in found.warnings)
    assert not any("lag 1" in line for line in fitted(reading(3, rho=0.0)).warnings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        robust = fit(data, FORMULA, robust="sequence")
    assert "sandwich over the sequences of 'sequence'" in robust.summary()
    both = fit(data, FORMULA, robust="subject:stimulus_id")
    assert both.uncertainty.vcov == pytest.approx(robust.uncertainty.vcov)
    with pytest.raises(FitError, match="is missing in row 7; a sandwich needs every row's sequence"):
        fitted(data.assign(sequence=data["sequence"].where(data.index != 7))).robust("subject:sequence")
    assert robust.to_dict()["robust"] == "sequence"
    shuffled = lag1(
        data.sample(frac=1, random_state=0),
        pd.Series(found.residuals(), data.index).sample(frac=1, random_state=0).to_numpy(),
    )
    assert shuffled is not None
    assert shuffled.r == pytest.approx(found.autocorrelation().r)
    assert lag1(data.drop(columns="word_index"), found.residuals()) is None


def test_what_a_sandwich_cannot_do_is_said() -> None:
    data = reading(4)
    found = fitted(data)
    for column, told in {"sequenc": "no column 'sequenc'", "few": "'few' has 2 levels, 10 at least"}.items():
        with pytest.raises(FitError, match=told):
            fitted(data.assign(few=data["subject"] % 2)).robust(column)
    with pytest.raises(FitError, match="rests on independent residuals"):
        fit(data, FORMULA, df="kenward-roger", robust="sequence")
    with pytest.raises(FitError, match="robust 'sequence' is for linear models"):
        fit(
            data.assign(hit=1 * (data["y"] > 0)),
            "hit ~ x + (1 | subject)",
            family="binomial",
            robust="sequence",
        )
    assert found.refit(reml=False).sequences == ""


@pytest.mark.slow
def test_size_with_and_without_it() -> None:
    plain, robust = [], []
    for seed in range(200):
        found = fitted(reading(100 + seed))
        plain.append(found.coefficient("x")["p"])
        robust.append(found.robust("sequence").coefficient("x")["p"])
    assert np.mean(np.array(plain) < 0.05) > 0.09  # too often
    assert 0.02 <= np.mean(np.array(robust) < 0.05) <= 0.085
    print(np.mean(np.array(plain) < 0.05), np.mean(np.array(robust) < 0.05))
