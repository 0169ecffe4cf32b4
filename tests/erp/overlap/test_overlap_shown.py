"""Waveforms over subjects, and totals of an account of events."""

import mne
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clada_neuro.erp.overlap.shown import over_scalp, over_subjects, totals
from clada_neuro.erp.stage import _by_reason


def test_waveforms_have_the_t_interval_over_subjects_and_one_subject_has_none():
    rows = [("word", "intercept", "Cz", 0.0, value) for value in (1.0, 2.0, 6.0)] + [
        ("word", "x", "Cz", 0.0, 4.0)
    ]
    found = over_subjects(
        pd.DataFrame(rows, columns=["event", "predictor", "channel", "time_ms", "estimate_uv"])
    )
    interval = stats.ttest_1samp([1.0, 2.0, 6.0], 0).confidence_interval(0.95)
    assert found.loc[0, ["mean_uv", "ci_low", "ci_high", "n_subjects"]].tolist() == pytest.approx(
        [3.0, *interval, 3]
    )
    assert found.loc[1, "mean_uv"] == 4.0
    assert np.isnan(found.loc[1, "ci_low"])


def test_events_are_counted_by_outcome_over_subjects():
    class Fit:
        seconds = {"estimated from": 60.0, "artifacts": 5.0}  # noqa: RUF012
        inflation = {"word/intercept": 1.5, "word/x": 2.5}  # noqa: RUF012
        condition = 3.0

    rows = [
        ("regression", "word", "in the model", 90),
        ("regression", "word", "in the model", 10),
        ("regression", "word", "lost", 0),
    ]
    found = totals({"1": Fit(), "2": Fit()}, pd.DataFrame(rows, columns=["stage", "event", "outcome", "n"]))
    assert found["outcomes"] == [
        {"stage": "regression", "event": "word", "outcome": "in the model", "n": 100}
    ]
    assert (found["seconds_used"], found["worst_inflation"], found["worst_condition"]) == (120.0, 2.5, 3.0)


def test_counts_epochs_by_reason():
    rejected = pd.DataFrame(
        {"subject": ["a", "b", "b"], "reason": ["blink", "blink", "drift"], "n": [2, 3, 1]}
    )
    assert _by_reason(rejected) == [
        {"reason": "blink", "subjects": 2, "epochs": 5},
        {"reason": "drift", "subjects": 1, "epochs": 1},
    ]
    assert [row["epochs"] for row in _by_reason(rejected.drop(columns="n"))] == [2, 1]


def test_scalp_maps_are_means_in_the_windows_at_the_electrodes_places():
    info = mne.create_info(["Fz", "Cz", "Pz", "C3", "C4"], 100.0, "eeg").set_montage("colin27_1020")
    rising = np.arange(71.0) * np.arange(1, 6)[:, None]  # −100 to 600 ms, microvolts
    found = over_scalp({"word/center(surprisal_bits)": mne.EvokedArray(1e-6 * rising, info, tmin=-0.1)})
    assert found[["event", "predictor", "from_ms", "to_ms"]].drop_duplicates().to_numpy().tolist() == [
        ["word", "center(surprisal_bits)", 300.0, 500.0]  # the P600's window is not in it
    ]
    np.testing.assert_allclose(found["amplitude_uv"], 50.0 * np.arange(1, 6))
    at = found.set_index("channel")
    assert at.at["C3", "x"] < -0.2 < 0.2 < at.at["C4", "x"]
    assert over_scalp({"word/intercept": mne.EvokedArray(1e-6 * rising[:, :20], info, tmin=-0.1)}).empty
