"""Epochs to trials: units, baseline, windows, words, and every message."""

import dataclasses
import re

import mne
import numpy as np
import pandas as pd
import pytest

from clada_neuro import tables
from clada_neuro.erp.components import N400, Component
from clada_neuro.erp.epochs import epochs_to_trials
from clada_neuro.errors import DataError
from clada_neuro.responses.alignment import align

VERTEX = Component("vertex", 0.1, 0.2, ("Cz", "Pz"), -1)


def ramp(scale: float = 1e-6) -> mne.EpochsArray:
    """Two epochs of 100 Hz, −100 to 300 ms, that rise by 1 µV a sample from 0 (Cz) and from 10 (Pz)."""
    info = mne.create_info(["Cz", "Pz"], 100.0, "eeg")
    one = np.array([np.arange(41.0), 10 + np.arange(41.0)])
    metadata = pd.DataFrame({"item": ["1", "2"], "word": ["a", "b"]})
    data = scale * np.array([one, 2 * one])
    return mne.EpochsArray(data, info, tmin=-0.1, metadata=metadata, verbose="error")


def test_amplitudes_equal_hand_computation_in_microvolts():
    """Samples 20–30 average 25 at Cz and 35 at Pz, so 30; the baseline's samples 0–10 average 5 and 15, so 10."""
    trials = epochs_to_trials(ramp(), components=[VERTEX]).trials
    np.testing.assert_allclose(trials["vertex_uv"], [30, 60])
    np.testing.assert_allclose(trials["vertex_baseline_uv"], [10, 20])


def test_the_baseline_is_subtracted_on_request():
    trials = epochs_to_trials(ramp(), components=[VERTEX], baseline="subtract").trials
    np.testing.assert_allclose(trials["vertex_uv"], [20, 40])
    assert "vertex_baseline_uv" not in trials


def test_the_baseline_window_can_be_chosen_or_left_out():
    trials = epochs_to_trials(ramp(), components=[VERTEX], baseline_window=(-0.05, 0.0)).trials
    np.testing.assert_allclose(trials["vertex_baseline_uv"], [12.5, 25])
    assert "vertex_baseline_uv" not in epochs_to_trials(ramp(), components=[VERTEX], baseline="none").trials


def test_subtracting_here_and_in_mne_agree():
    by_mne = ramp().apply_baseline((None, 0), verbose="error")
    result = epochs_to_trials(by_mne, components=[VERTEX])
    np.testing.assert_allclose(result.trials["vertex_uv"], [20, 40])
    assert "vertex_baseline_uv" not in result.trials
    assert any("came with a subtracted baseline" in note for note in result.notes)


def test_trials_follow_the_contract_and_align_with_the_words(simulated, words):
    result = epochs_to_trials(simulated.epochs, words)
    tables.validate(result.trials, "trials")
    aligned = align(words, result.trials.drop(columns=list(simulated.simulation.scales.index)))
    assert len(aligned.trials) == len(result.trials) == sum(map(len, simulated.epochs.values()))
    assert len(aligned.unmatched) == 0


def test_rejections_and_unmatched_epochs_are_accounted_for(simulated, words):
    result = epochs_to_trials(simulated.epochs, words[words["item"] != "i0"])
    rejected, unmatched = result.joins
    assert rejected["rows_before"] == 600
    assert rejected["rows_removed"] == result.dropped["n"].sum()
    assert unmatched["rows_removed"] == len(result.unmatched) > 0
    assert unmatched["rows_after"] == len(result.trials)
    assert rejected["reason"] == f"SIMULATED_ARTIFACT ({rejected['rows_removed']})"
    assert unmatched["reason"].startswith("no word has stimulus_id=t")
    assert sum(result.unmatched["reason"].value_counts().head(3)) == sum(
        map(int, re.findall(r"\((\d+)\)", unmatched["reason"]))
    )
    assert result.unmatched["reason"].str.startswith("no word has stimulus_id=").all()
    assert set(result.unmatched["item"]) == {"i0"}


def test_the_epoch_column_numbers_the_events_before_rejection(simulated):
    epochs = simulated.epochs["S01"]
    trials = epochs_to_trials({"S01": epochs}).trials
    assert (trials["trial"] == trials["epoch"] + 1).all()


def test_microvolts_in_the_file_are_refused():
    with pytest.raises(
        DataError, match=r"typical size .* V arrived, which looks like µV; .* multiply the data by 1e-6"
    ):
        epochs_to_trials(ramp(scale=1.0), components=[VERTEX])


def test_data_scaled_twice_is_refused():
    with pytest.raises(DataError, match="under 10 nV"):
        epochs_to_trials(ramp(scale=1e-12), components=[VERTEX])


def test_values_that_are_not_finite_are_refused():
    epochs = ramp()
    epochs.get_data(copy=False)[0, 0, 3] = np.nan
    with pytest.raises(DataError, match="not finite"):
        epochs_to_trials(epochs, components=[VERTEX])


def test_a_flat_channel_is_no_response():
    epochs = ramp()
    epochs.get_data(copy=False)[:, 1] = 1e-6
    with pytest.raises(
        DataError, match=r"subject '1': channel Pz is flat; mark it bad \(info\['bads'\]\), or drop it"
    ):
        epochs_to_trials(epochs, components=[VERTEX])
    epochs.info["bads"] = ["Pz"]
    alone = Component("vertex", 0.1, 0.2, ("Cz", "Pz"), -1, min_channels=1)
    np.testing.assert_allclose(epochs_to_trials(epochs, components=[alone]).trials["vertex_uv"], [25, 50])


def test_missing_metadata_says_what_is_needed():
    epochs = ramp()
    epochs.metadata = None
    with pytest.raises(DataError, match=r"carry no metadata; set epochs.metadata .* stimulus_id, item"):
        epochs_to_trials({"7": epochs}, components=[VERTEX])


def test_missing_electrodes_are_named():
    with pytest.raises(DataError, match=r"component 'n400' needs 3 of C3.* but subject '1' has Cz, Pz"):
        epochs_to_trials(ramp(), components=[dataclasses.replace(N400, tmin=0.1, tmax=0.2)])


def test_a_window_outside_the_epochs_is_refused():
    late = dataclasses.replace(VERTEX, tmax=0.5)
    with pytest.raises(
        DataError, match=r"vertex window \(100–500 ms\) lies outside the epochs \(-100–300 ms\)"
    ):
        epochs_to_trials(ramp(), components=[late])


def test_a_baseline_outside_the_epochs_is_refused():
    with pytest.raises(
        DataError, match="a baseline from -200 to 0 ms is not in epochs that start at -100 ms"
    ):
        epochs_to_trials(ramp(), components=[VERTEX], baseline_window=(-0.2, 0.0))


def test_a_subject_without_epochs_is_named():
    with pytest.raises(DataError, match="subject '1' has no epochs left"):
        epochs_to_trials(ramp()[:0], components=[VERTEX])


def test_overlapping_windows_are_refused():
    with pytest.raises(DataError, match="overlap"):
        epochs_to_trials(ramp(), components=[VERTEX, dataclasses.replace(VERTEX, name="other")])


def test_a_baseline_subtracted_from_some_subjects_only_is_refused():
    mixed = {"1": ramp(), "2": ramp().apply_baseline((None, 0), verbose="error")}
    with pytest.raises(DataError, match="from the epochs of subject '2' but not of '1'; treat all alike"):
        epochs_to_trials(mixed, components=[VERTEX])


def test_trials_know_whether_they_are_simulated(simulated):
    assert epochs_to_trials({"S01": simulated.epochs["S01"]}).simulated
    assert not epochs_to_trials(ramp(), components=[VERTEX]).simulated


def test_windows_past_the_next_word_and_channels_used_are_noted():
    notes = epochs_to_trials(ramp(), components=[VERTEX], soa=0.15).notes
    assert any("reaches past the next word's onset at 150 ms" in note for note in notes)
    assert "vertex: mean of Cz, Pz, 100–200 ms" in notes


def test_a_note_on_some_subjects_names_them(simulated):
    epochs = {subject: part.copy() for subject, part in list(simulated.epochs.items())[:3]}
    epochs["S02"].info["bads"] = ["Pz"]
    notes = epochs_to_trials(epochs, components=[N400]).notes
    assert "n400: bad channels left out: Pz (subject S02)" in notes
    assert sum(note.endswith("300–500 ms (subjects S01, S03)") for note in notes) == 1
