"""Synergy finds a planted interaction, does not take a curve for one, and holds items together in folds."""

import json

import numpy as np
import pandas as pd
import pytest

from clada_neuro.artifacts import write_json
from clada_neuro.errors import FitError
from clada_neuro.stats.crossval import cross_validate
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.synergy import Synergy, synergy


def _trials(product: float, square: float, seed: int = 2) -> pd.DataFrame:
    """Return 20 subjects x 50 items x 2 words with correlated predictors."""
    rng = np.random.default_rng(seed)
    stimuli = pd.DataFrame({"item": np.repeat(np.arange(50), 2)})
    root = np.linalg.cholesky([[1, 0.6], [0.6, 1]])
    stimuli[["a", "b"]] = rng.normal(size=(100, 2)) @ root.T
    stimuli["stimulus"] = np.arange(100)
    stimuli["effect"] = (
        -0.6 * stimuli["a"] + product * stimuli["a"] * stimuli["b"] + square * stimuli["a"] ** 2
        + rng.normal(0, 0.4, 50)[stimuli["item"]] + rng.normal(0, 0.4, 100)
    )  # fmt: skip
    trials = pd.DataFrame({"subject": np.arange(20)}).merge(stimuli, how="cross")
    y = trials.pop("effect") + rng.normal(0, 1, 20)[trials["subject"]] + rng.normal(0, 4, len(trials))
    return trials.assign(n400=y, length=rng.normal(size=len(trials)))


@pytest.fixture(scope="module")
def planted() -> Synergy:
    return synergy(_trials(0.8, 0.0), "n400", ("a", "b"), controls=["length"], folds=5, bootstrap=5, seed=3)


def test_planted_interaction_is_found(planted: Synergy) -> None:
    assert planted.test.p < 0.01
    assert planted.coefficient["ci_low"] < 0.8 * 1.1 < planted.coefficient["ci_high"] + 0.5
    assert planted.r2_synergy == pytest.approx(
        planted.full.r2().marginal - planted.baseline.r2().marginal, abs=1e-12
    )
    assert 0 < planted.r2_synergy_common < 2 * planted.r2_synergy
    assert planted.cross_validation is not None
    assert planted.cross_validation.n_items == 50
    assert planted.intervals is not None
    assert planted.intervals.parametric is not None


def test_baseline_holds_both_squares_and_both_models_the_same_rest(planted: Synergy) -> None:
    small, large = set(planted.baseline.design.names), set(planted.full.design.names)
    assert small == {"(Intercept)", "length", "a", "b", "I(a ** 2)", "I(b ** 2)"}
    assert large - small == {"a:b"}
    assert planted.baseline.standardized.keys() == {"a", "b", "length"}
    assert not planted.full.reml
    assert planted.inference.reml


def test_a_curve_is_not_an_interaction() -> None:
    found = synergy(_trials(0.0, 1.0, seed=100), "n400", ("a", "b"), item=None)
    assert found.test.p > 0.05
    assert abs(found.r2_synergy) < found.r2_synergy_without_squares / 5


def test_written_file(planted: Synergy, tmp_path) -> None:
    write_json(tmp_path / "synergy.json", planted.to_dict())
    entry = json.loads((tmp_path / "synergy.json").read_text())
    assert entry["term"] == "a:b"
    assert entry["test"]["df"] == 1
    assert entry["standardized"]["a"]["sd"] > 0
    assert "r2_synergy = " in str(planted)


@pytest.mark.parametrize("predictors, reason", [(("a", "a"), "two different"), (("a", "c"), "no column 'c'")])
def test_wrong_predictors(predictors: tuple[str, str], reason: str) -> None:
    with pytest.raises(FitError, match=reason):
        synergy(_trials(0, 0), "n400", predictors)


def test_held_out_score_by_hand() -> None:
    """One fold scored with plain formulas: fixed effects of the training fit, total variance, training z-scores."""
    data = _trials(0.8, 0.0)
    small = estimate(specify(data, "n400 ~ b + (1 | subject)", standardize=True), reml=False)
    large = estimate(specify(data, "n400 ~ a + b + (1 | subject)", standardize=True), reml=False)
    found = cross_validate(small, large, folds=2, seed=5)
    fold_of = np.random.default_rng(5).permutation(np.arange(50) % 2)[data["item"]]
    gain = np.zeros(len(data))
    for fold in (0, 1):
        held = fold_of == fold
        for formula, sign in (("n400 ~ a + b + (1 | subject)", 1), ("n400 ~ b + (1 | subject)", -1)):
            fit = estimate(specify(data[~held], formula, standardize=True), reml=False)
            total = fit.r2().random + fit.r2().residual
            residual = data["n400"][held] - fit.predict(data[held], random=False)
            gain[held] -= sign * 0.5 * (np.log(2 * np.pi * total) + residual**2 / total)
    assert found.delta_loglik_per_trial == pytest.approx(gain.mean(), rel=1e-3)
    sums = pd.Series(gain).groupby(data["item"]).sum()
    assert found.se == pytest.approx(np.sqrt(50) * sums.std() / len(data), rel=1e-2)


def test_folds_need_items(planted: Synergy) -> None:
    with pytest.raises(FitError, match="too few for 60 folds"):
        cross_validate(planted.baseline, planted.full, folds=60)
    with pytest.raises(FitError, match="column 'sentence'"):
        cross_validate(planted.baseline, planted.full, item="sentence")
