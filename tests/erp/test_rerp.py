"""Regression ERPs against direct least squares, planted effects in time and space, and a null."""

from dataclasses import replace

import mne
import numpy as np
import pytest

from clada_neuro.erp.by_item import SELECTED, by_item
from clada_neuro.erp.clusters import ITEMS_FIXED, bins
from clada_neuro.erp.evoked import waveforms
from clada_neuro.erp.predictors import with_predictors
from clada_neuro.erp.rerp import rerp, subject_betas
from clada_neuro.erp.simulate import Effects
from clada_neuro.erp.simulate_eeg import EPOCH_EFFECTS, simulate_epochs
from clada_neuro.errors import DataError
from clada_neuro.stimuli.unit import stimulus_label

NAMES = ("surprisal_bits", "adjustment_prev")


@pytest.fixture(scope="module")
def data(critical_words):
    words = critical_words(60, 2)
    made = simulate_epochs(words, n_subjects=12, seed=5, sfreq=50.0)
    return with_predictors(made.epochs, words, NAMES)


@pytest.fixture(scope="module")
def result(data):
    return rerp(data, n_permutations=200)


def test_coefficients_equal_least_squares_with_the_electrodes_own_baseline(data):
    epochs = data.epochs["S01"]
    betas = subject_betas("S01", epochs, NAMES, "covariate")
    z = epochs.metadata[[f"z_{name}" for name in NAMES]].to_numpy()
    for channel in ("Pz", "Fp1"):
        y = epochs.get_data(picks=[channel])[:, 0]
        before = y[:, epochs.times <= 0].mean(axis=1)
        design = np.column_stack([np.ones(len(z)), z, before - before.mean()])
        expected = np.linalg.lstsq(design, y)[0]
        for row, name in enumerate(("intercept", *NAMES)):
            np.testing.assert_allclose(betas[name].get_data(channel)[0], expected[row], atol=1e-12)


def test_without_a_baseline_they_are_mnes_own(data):
    epochs = data.epochs["S01"]
    betas = subject_betas("S01", epochs, NAMES, "none")
    design = np.column_stack([np.ones(len(epochs)), epochs.metadata[[f"z_{name}" for name in NAMES]]])
    with mne.use_log_level("error"):
        fits = mne.stats.linear_regression(epochs, design, names=["intercept", *NAMES])
    np.testing.assert_array_equal(betas["adjustment_prev"].data, fits["adjustment_prev"].beta.data)


def test_planted_effects_form_clusters_where_they_were_planted(result):
    best = result.clusters.groupby("predictor").first()
    n400, p600 = best.loc["surprisal_bits"], best.loc["adjustment_prev"]
    assert n400["p"] < 0.05
    assert (n400["sign"], p600["sign"]) == (-1, 1)
    assert n400["tmin_s"] < 0.4 < n400["tmax_s"]
    assert p600["p"] < 0.05
    assert p600["tmin_s"] < 0.75 < p600["tmax_s"]
    assert "Pz" in p600["channels"].split()


def test_a_cluster_is_where_its_mask_says(result):
    row = result.clusters[result.clusters["predictor"] == "adjustment_prev"].iloc[0]
    mask = result.masks["adjustment_prev"][row["cluster"]]
    assert result.t_values["adjustment_prev"][mask].sum() == pytest.approx(row["mass"])
    assert mask.any(axis=1).sum() == row["n_channels"]


def test_bins_average_ten_milliseconds():
    info = mne.create_info(["Cz"], 500.0, "eeg")
    ramp = mne.EvokedArray(np.arange(60.0)[None], info, tmin=-0.02)
    times, data = bins(ramp, tmin=0.0)
    assert times[0] == pytest.approx(0.004)
    np.testing.assert_allclose(data[0, :2], [12, 17])
    assert len(times) == 10


def test_the_coefficient_curve_is_microvolts_per_sd(result):
    """The planted Hann course peaks at its window's mean times a known factor; the window's mean is the effect."""
    curve = waveforms(result.betas, "p600")
    window = curve[(curve["group"] == "adjustment_prev") & curve["time_s"].between(0.599, 0.901)]
    planted = EPOCH_EFFECTS["p600_uv"].fixed["adjustment_prev"]
    assert window["mean_uv"].mean() == pytest.approx(planted, abs=0.6)


def test_the_notes_say_that_items_are_fixed(result):
    assert ITEMS_FIXED in result.notes


def test_by_item_recovers_the_effects_over_stimuli(data, result):
    table = by_item(data, result=result).set_index(["where", "predictor"])
    for place, name in (("n400_uv", "surprisal_bits"), ("p600_uv", "adjustment_prev")):
        row = table.loc[(place, name)]
        planted = EPOCH_EFFECTS[place].fixed[name]
        assert row["ci_low"] < planted < row["ci_high"]
        assert np.sign(row["b_uv_per_sd"]) == np.sign(planted)
        assert (row["n_items"], row["df"]) == (60, 59)
    selected = table[table["note"] == SELECTED]
    assert "adjustment_prev cluster 0" in selected.index.get_level_values("where")


def test_by_item_tells_contexts_of_the_same_word_apart(critical_words):
    """One noun an item after two contexts: pooled, or with one context's surprisal for both, b is far from −3."""
    words = critical_words(30, 2).drop(columns=["sparsity_energy99", "adjustment_prev"])
    words["word"] = "noun" + words["item"]
    words["stimulus"] = [stimulus_label(f"context {text} {word}", word) for text, word in
                         zip(words["stimulus_id"], words["word"], strict=True)]  # fmt: skip
    planted = {"n400_uv": Effects({"surprisal_bits": -3.0}, item_sd=0, stimulus_sd=0, residual_sd=0.5)}
    made = simulate_epochs(words, effects=planted, n_subjects=6, seed=4, sfreq=50.0, noise_uv=1.0)
    data = with_predictors(made.epochs, words, ["surprisal_bits"])
    (row,) = by_item(data, ["n400"]).to_dict("records")
    assert (row["n_stimuli"], row["n_items"]) == (60, 30)
    assert row["b_uv_per_sd"] == pytest.approx(-3.0, abs=0.15)


def test_one_item_is_too_few_for_a_test_over_items(data, critical_words):
    one = with_predictors(data.epochs, critical_words(60, 2).assign(item="story"), NAMES, on=["stimulus_id"])
    with pytest.raises(DataError, match="all stimuli belong to one item"):
        by_item(one)


def test_same_seed_same_clusters(data, result):
    again = rerp(data, n_permutations=200)
    np.testing.assert_array_equal(again.clusters["p"], result.clusters["p"])


def test_noise_forms_no_significant_cluster(critical_words):
    words = critical_words(20, 2)
    nothing = {"n400_uv": Effects({}, item_sd=0, stimulus_sd=0)}
    made = simulate_epochs(words, effects=nothing, n_subjects=8, seed=1, sfreq=50.0)
    null = rerp(with_predictors(made.epochs, words, ["surprisal_bits"]), n_permutations=100)
    assert (null.clusters["p"] > 0.05).all()


def test_one_subject_is_too_few(data):
    with pytest.raises(DataError, match="1 subject arrived"):
        rerp(replace(data, epochs={"S01": data.epochs["S01"]}))


def test_too_few_epochs_are_named(data):
    with pytest.raises(DataError, match="subject 'S01' has 3 epochs for 4 coefficients"):
        subject_betas("S01", data.epochs["S01"][:3], NAMES, "covariate")


def test_epochs_without_a_baseline_period_say_what_to_ask_for(data):
    late = data.epochs["S01"].copy().crop(0.0, 0.8)
    with pytest.raises(DataError, match="ask for baseline='none'"):
        subject_betas("S01", late, NAMES, "covariate")


def test_electrodes_without_positions_are_refused(data):
    bare = {subject: epochs.copy().set_montage(None) for subject, epochs in data.epochs.items()}
    with pytest.raises(DataError, match="set a montage"):
        rerp(replace(data, epochs=bare))
