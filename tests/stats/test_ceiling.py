"""The noise ceiling recovers the reliability that the variances imply."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.ceiling import noise_ceiling


def _trials(n_subjects: int, n_stimuli: int, sd: float, noise: float, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = (
        rng.normal(0, noise, (n_subjects, n_stimuli))
        + rng.normal(0, sd, n_stimuli)
        + rng.normal(0, 3, (n_subjects, 1))
    )
    grid = pd.MultiIndex.from_product([range(n_subjects), range(n_stimuli)], names=["subject", "stimulus"])
    return pd.DataFrame({"n400": y.ravel()}, index=grid).reset_index()


def test_reliability_is_that_of_the_variances() -> None:
    found = noise_ceiling(_trials(40, 1500, 1.0, 5.0), "n400", splits=50)
    assert found.reliability == pytest.approx(1 / (1 + 25 / 40), abs=0.04)
    assert found.low < found.reliability < found.high
    assert (found.n_subjects, found.n_stimuli) == (40, 1500)


def test_subjects_levels_do_not_count_when_trials_are_missing() -> None:
    data = _trials(20, 400, 0.0, 1.0).sample(frac=0.6, random_state=0)
    assert abs(noise_ceiling(data, "n400", splits=50).reliability) < 0.15


def test_too_few_subjects() -> None:
    with pytest.raises(FitError, match="3 subjects"):
        noise_ceiling(_trials(3, 10, 1, 1), "n400")
    with pytest.raises(FitError, match="'item'"):
        noise_ceiling(_trials(5, 10, 1, 1), "n400", stimulus="item")
