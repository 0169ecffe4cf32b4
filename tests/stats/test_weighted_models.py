"""Rows that are means over trials are weighted by the number of trials behind them."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.stats.mixed import fit
from clada_neuro.stats.specification import ModelSpecification
from clada_neuro.stats.stage import fit_models

FORMULA = "n400_uv ~ x + (1 | sentence)"


@pytest.fixture
def means():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {"x": rng.normal(size=300), "n_trials": rng.integers(1, 40, 300), "sentence": np.arange(300) // 10}
    )
    noise = rng.normal(0, 3, 300) / np.sqrt(frame["n_trials"]) + rng.normal(size=30)[frame["sentence"]]
    return frame.assign(n400_uv=-0.5 * frame["x"] + noise)


def fitted(means, folder, weights):
    model = ModelSpecification("m", FORMULA, standardize=False, weights=weights)
    folder.mkdir()
    return fit_models(means, (model,), folder / "fits.json", "rows")[0]


def test_the_weights_of_a_specification_reach_the_fit(means, tmp_path):
    found = fitted(means, tmp_path / "weighted", "n_trials")["coefficients"]["x"]
    expected = fit(means, FORMULA, weights="n_trials").coefficient("x")
    unweighted = fitted(means, tmp_path / "plain", None)["coefficients"]["x"]
    assert (found["estimate"], found["se"]) == pytest.approx((expected["estimate"], expected["se"]), rel=1e-6)
    assert found["se"] < 0.8 * unweighted["se"]


def test_sigma_and_r2_stand_on_the_scale_of_the_rows(means, tmp_path):
    once = fitted(means, tmp_path / "once", "n_trials")
    tenfold = fitted(means.assign(n_trials=10 * means["n_trials"]), tmp_path / "tenfold", "n_trials")
    assert tenfold["sigma"] == pytest.approx(once["sigma"])
    assert tenfold["r2_marginal"] == pytest.approx(once["r2_marginal"])
    assert once["sigma"] == pytest.approx(3 * np.sqrt(1 / means["n_trials"].mean()), rel=0.15)
