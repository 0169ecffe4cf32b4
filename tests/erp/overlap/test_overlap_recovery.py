"""Planted waveforms come back where responses overlap, and their intervals hold them as often as they say."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clada_neuro.erp.overlap.events import EventModel
from clada_neuro.erp.overlap.fit import overlap_rerp
from clada_neuro.erp.simulate_raw import TMAX, TMIN, ReadingSimulation, simulate_reading

JITTERED, FIXED = (0.3, 0.6), 0.5
WAVEFORMS = {"intercept": "word/intercept", "surprisal_bits": "word/center(surprisal_bits)"}
MODEL = EventModel("word", "1 + center(surprisal_bits)", TMIN, TMAX)


def words(n: int, seed: int = 0, correlation: float = -0.4) -> pd.DataFrame:
    """Words of which a surprising one is followed by a predictable one, as function words follow content words."""
    noise = np.random.default_rng(seed).normal(size=n)
    values = [noise[0]]
    for step in noise[1:]:
        values.append(correlation * values[-1] + np.sqrt(1 - correlation**2) * step)
    return pd.DataFrame({"stimulus_id": np.arange(n) // 12, "surprisal_bits": 5 + 2.5 * np.array(values)})


def reading(n: int, seed: int, soa) -> ReadingSimulation:
    return simulate_reading(
        words(n, seed), soa=soa, pause=1.0 if soa == FIXED else None, seed=seed, sfreq=50.0
    )


def averaged(made: ReadingSimulation) -> dict[str, np.ndarray]:
    """The same regression on epochs, each word on its own."""
    samples = np.round(made.events["onset"] * made.raw.info["sfreq"]).astype(int).to_numpy()
    lags = np.round(made.truth["intercept"].times * made.raw.info["sfreq"]).astype(int)
    epochs = made.raw.get_data()[:, samples[:, None] + lags]
    x = made.events["surprisal_bits"].to_numpy()
    design = np.column_stack([np.ones(len(x)), x - x.mean()])
    found = np.linalg.lstsq(design, epochs.transpose(1, 0, 2).reshape(len(x), -1))[0]
    return dict(zip(WAVEFORMS, found.reshape(2, *epochs.shape[::2]), strict=True))


@pytest.mark.parametrize("soa", [JITTERED, FIXED], ids=["jittered", "fixed"])
def test_overlap_bends_averages_but_not_the_corrected_waveforms(soa):
    """Without noise: what differs from the planted waveform is bias. In the P600's window at Pz, µV."""
    made = simulate_reading(
        words(400), soa=soa, pause=1.0 if soa == FIXED else None, noise_uv=0, residual_uv=0, sfreq=50.0
    )
    found, plain = overlap_rerp(made.raw, made.events, [MODEL]), averaged(made)
    pz = made.raw.ch_names.index("Pz")
    late = (made.truth["intercept"].times >= 0.6) & (made.truth["intercept"].times <= 0.9)
    for name, corrected in WAVEFORMS.items():
        planted = made.truth[name].data
        np.testing.assert_allclose(found.evoked(corrected).data, planted, atol=1e-12)
        bias = 1e6 * (plain[name] - planted)[pz, late].mean() / (1e6 * planted[pz, late].mean())
        assert abs(bias) > 0.2


def coverage(soa, n_words: int, runs: int) -> dict[str, float]:
    shares = {name: [] for name in WAVEFORMS}
    for seed in range(runs):
        made = reading(n_words, seed, soa)
        found = overlap_rerp(made.raw, made.events, [MODEL])
        critical = stats.t.ppf(0.975, found.n_blocks - 1)
        for name, corrected in WAVEFORMS.items():
            off = np.abs(found.evoked(corrected).data - made.truth[name].data)
            shares[name].append((off < critical * found.standard_error(corrected).data).mean())
    return {name: float(np.mean(share)) for name, share in shares.items()}


@pytest.mark.parametrize("soa", [JITTERED, FIXED], ids=["jittered", "fixed"])
def test_intervals_hold_the_planted_waveforms(soa):
    for share in coverage(soa, 500, 6).values():
        assert 0.88 < share < 0.99


@pytest.mark.slow
@pytest.mark.parametrize("soa", [JITTERED, FIXED], ids=["jittered", "fixed"])
def test_coverage_of_the_intervals_is_ninety_five_percent(soa):
    for share in coverage(soa, 1000, 150).values():
        assert 0.93 < share < 0.97
