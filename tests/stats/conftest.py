"""Trials with known effects, small enough to fit in a fraction of a second."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

REFERENCE = Path(__file__).parents[1] / "reference"


@pytest.fixture(scope="session")
def small() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "sim_small.csv")


@pytest.fixture(scope="session")
def paired() -> pd.DataFrame:
    """16 subjects x 30 items x 2 words; predictors vary over the 60 stimuli; a factor and a laboratory."""
    rng = np.random.default_rng(11)
    subjects, items = 16, 30
    stimuli = pd.DataFrame(
        {
            "item": np.repeat(np.arange(items), 2),
            "condition": np.tile(["high", "low"], items),
            "surprisal": rng.normal(8, 2, 2 * items),
            "sparsity": rng.normal(0.6, 0.05, 2 * items),
            "length": rng.integers(3, 9, 2 * items).astype(float),
        }
    )
    stimuli["stimulus"] = stimuli["item"].astype(str) + stimuli["condition"]
    people = pd.DataFrame({"subject": [f"s{k:02d}" for k in range(subjects)]})
    people["lab"] = [f"lab{k % 4}" for k in range(subjects)]
    trials = people.merge(stimuli, how="cross")
    y = -0.5 * trials["surprisal"] + rng.normal(0, 4, len(trials))
    y += rng.normal(0, 1.5, subjects)[pd.factorize(trials["subject"])[0]]
    y += rng.normal(0, 1.0, items)[trials["item"]]
    y += rng.normal(0, 0.8, 2 * items)[pd.factorize(trials["stimulus"])[0]]
    return trials.assign(n400=y)
