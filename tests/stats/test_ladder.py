"""The reduction ladder takes out what is zero, nothing else, and in the stated order."""

import numpy as np
import pandas as pd

from clada_neuro.stats.ladder import climb_down


def _trials(slope: float, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"subject": np.repeat(np.arange(24), 40), "x": rng.normal(size=960)})
    effects = rng.normal(0, [1.0, 1e-12 + slope], (24, 2))[data["subject"]]
    return data.assign(y=effects[:, 0] + (0.5 + effects[:, 1]) * data["x"] + rng.normal(size=960))


def test_a_model_that_fits_is_kept() -> None:
    found = climb_down(_trials(0.7), "y ~ x + (1 + x | subject)")
    assert len(found.rungs) == 1
    assert found.random == "(1 + x | subject)"


def test_correlations_go_before_slopes() -> None:
    data = _trials(0.0)
    # Taking out each subject's own slope makes its variance exactly zero.
    for _, rows in data.groupby("subject").groups.items():
        part = data.loc[rows]
        slope = np.polyfit(part["x"], part["y"], 1)[0]
        data.loc[rows, "y"] -= (slope - 0.5) * part["x"]
    found = climb_down(data, "y ~ x + (1 + x | subject)", reml=False)
    assert [rung.removed for rung in found.rungs] == ["correlations", "(0 + x | subject)", ""]
    assert found.random == "(1 | subject)"
    assert not found.fit.singular
    text = str(found)
    assert "removed correlations" in text
    assert "kept" in text
    # A smaller random part cannot fit better.
    likelihoods = np.array([rung.loglik for rung in found.rungs])
    assert (np.diff(likelihoods) < 1e-6).all()


def test_random_intercepts_stay() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(10), 20), "x": rng.normal(size=200)})
    data["y"] = rng.normal(size=200)
    data["y"] -= data.groupby("g")["y"].transform("mean")
    found = climb_down(data, "y ~ x + (1 | g)")
    assert found.random == "(1 | g)"
    assert found.fit.singular
