"""Simulated EEG: physical shape of the noise, exact planting, and recovery by the pipeline."""

import mne
import numpy as np
import pytest
import statsmodels.formula.api as smf

from clada_neuro.erp.channels import find_roi
from clada_neuro.erp.components import N400, P600
from clada_neuro.erp.epochs import epochs_to_trials
from clada_neuro.erp.simulate_eeg import EPOCH_EFFECTS, background, simulate_epochs
from clada_neuro.errors import DataError


def test_epochs_are_volts_on_a_standard_montage_with_metadata(simulated):
    epochs = simulated.epochs["S01"]
    assert set(epochs.get_channel_types()) == {"eeg"}
    assert 5e-6 < epochs.get_data().std() < 20e-6
    assert epochs.get_montage() is not None
    assert epochs.metadata["simulated"].all()
    assert {"stimulus_id", "item", "word_index", "surprisal_bits"} <= set(epochs.metadata)
    assert "SIMULATED" in epochs.info["description"]


def test_same_seed_same_epochs(critical_words):
    words = critical_words(6, 2)
    first, again = (simulate_epochs(words, n_subjects=2, seed=9).epochs["S1"].get_data() for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_without_noise_the_window_means_are_the_planted_amplitudes(critical_words):
    """Neither component leaks into the other's window."""
    made = simulate_epochs(critical_words(10, 2), n_subjects=2, noise_uv=0, missing=0)
    for subject, planted in made.simulation.trials.groupby("subject"):
        for component in (N400, P600):
            epochs = (
                made.epochs[subject]
                .copy()
                .pick(list(find_roi(made.epochs[subject].info, component).channels))
            )
            found = epochs.crop(component.tmin, component.tmax).get_data().mean(axis=(1, 2)) * 1e6
            np.testing.assert_allclose(found, planted[component.column], atol=1e-9)


def test_noise_falls_as_one_over_f_with_an_occipital_alpha_peak():
    info = mne.create_info(["Fz", "Cz", "Pz", "Oz"], 200.0, "eeg")
    noise = background(np.random.default_rng(0), info, 100, 400)
    power, frequencies = mne.time_frequency.psd_array_welch(
        noise.transpose(1, 0, 2).reshape(4, -1), 200.0, fmin=1, fmax=60, n_fft=800, verbose="error"
    )
    frontal, occipital = power[0], power[3]
    slope_range = ((frequencies > 2) & (frequencies < 7)) | ((frequencies > 14) & (frequencies < 60))
    slope = np.polyfit(np.log(frequencies[slope_range]), np.log(frontal[slope_range]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.15)
    peak = np.abs(frequencies - 10).argmin()
    assert occipital[peak] > 3 * frontal[peak]


def test_noise_is_correlated_by_distance():
    info = mne.create_info(["CPz", "Pz", "Fp1"], 200.0, "eeg")
    noise = background(np.random.default_rng(0), info, 50, 300).transpose(1, 0, 2).reshape(3, -1)
    correlation = np.corrcoef(noise)
    assert correlation[0, 1] > 0.7 > 0.4 > abs(correlation[0, 2])


def test_rejected_epochs_stand_in_the_drop_log(simulated):
    planned = len(simulated.simulation.trials)
    kept = sum(len(epochs) for epochs in simulated.epochs.values())
    assert 0 < planned - kept < 0.15 * planned
    assert ("SIMULATED_ARTIFACT",) in simulated.epochs["S01"].drop_log


def test_the_pipeline_recovers_planted_effects_within_their_intervals(critical_words):
    """Least squares with subject offsets and item-clustered errors on the trials that epochs_to_trials measures."""
    words = critical_words(100, 2)
    made = simulate_epochs(words, n_subjects=16, seed=4)
    data = epochs_to_trials(made.epochs, words).trials
    for column, effects in EPOCH_EFFECTS.items():
        terms = [f"z_{name}" for name in effects.fixed]
        for name in effects.fixed:
            mean, sd = made.simulation.scales.loc[name, ["mean", "sd"]]
            data[f"z_{name}"] = (data[name] - mean) / sd
        formula = f"{column} ~ {' + '.join(terms)} + {column[:4]}_baseline_uv + C(subject)"
        groups = data["stimulus"].astype("category").cat.codes
        fit = smf.ols(formula, data).fit(cov_type="cluster", cov_kwds={"groups": groups})
        interval = fit.conf_int()
        for name, value in effects.fixed.items():
            low, high = interval.loc[f"z_{name}"]
            assert low < value < high, (column, name, low, value, high)
            assert abs(fit.tvalues[f"z_{name}"]) > 1.5


def test_effects_on_an_unknown_column_are_refused(critical_words):
    with pytest.raises(DataError, match="no component has the column 'lan_uv'; known: n400_uv, p600_uv"):
        simulate_epochs(critical_words(4), effects={"lan_uv": EPOCH_EFFECTS["n400_uv"]})
