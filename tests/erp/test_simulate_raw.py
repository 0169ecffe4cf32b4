"""Simulated reading: planted waveforms add up where they overlap, and intervals are those asked for."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.erp.channels import find_roi
from clada_neuro.erp.components import N400
from clada_neuro.erp.simulate_raw import READING_EFFECTS, simulate_reading
from clada_neuro.errors import DataError


def words(n: int = 40, seed: int = 0) -> pd.DataFrame:
    surprisal = np.random.default_rng(seed).gamma(3, 3, n)
    return pd.DataFrame({"stimulus_id": np.arange(n) // 8, "surprisal_bits": surprisal})


def test_without_noise_the_recording_is_the_sum_of_the_planted_waveforms():
    made = simulate_reading(words(), noise_uv=0, residual_uv=0)
    total = np.zeros((32, made.raw.n_times))
    average = made.events["surprisal_bits"].mean()
    for onset, surprisal in made.events[["onset", "surprisal_bits"]].itertuples(index=False):
        start = round((onset + made.truth["intercept"].tmin) * 100)
        response = made.truth["intercept"].data + (surprisal - average) * made.truth["surprisal_bits"].data
        total[:, start : start + response.shape[1]] += response
    np.testing.assert_allclose(made.raw.get_data(), total, atol=1e-16)


def test_planted_waveforms_have_the_stated_size_in_the_window():
    truth = simulate_reading(words(), noise_uv=0, residual_uv=0).truth
    window = (
        truth["surprisal_bits"]
        .copy()
        .crop(0.3, 0.5)
        .get_data(list(find_roi(truth["intercept"].info, N400).channels))
    )
    assert 1e6 * window.mean() == pytest.approx(READING_EFFECTS["n400"]["surprisal_bits"], rel=1e-9)


def test_intervals_are_those_asked_for():
    jittered = np.diff(simulate_reading(words(400)).events["onset"])
    assert 0.29 < jittered.min() < 0.33
    assert 0.57 < jittered.max() < 0.61
    fixed = np.diff(simulate_reading(words(), soa=0.5, pause=1.0).events["onset"])
    np.testing.assert_allclose(fixed[:8], [0.5] * 7 + [1.5])


def test_the_same_seed_gives_the_same_recording():
    first, again, other = (simulate_reading(words(), seed=seed).raw.get_data() for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"effects": {"n40": {}}}, "no component 'n40'.*did you mean 'n400'"),
        ({"effects": {"n400": {"surprise": 1.0}}}, "no column of words 'surprise'"),
        ({"soa": (0.6, 0.3)}, "an interval of 0.6 to 0.3 s"),
    ],
)
def test_what_cannot_be_simulated_is_one_line(wrong, message):
    with pytest.raises(DataError, match=message):
        simulate_reading(words(), **wrong)
