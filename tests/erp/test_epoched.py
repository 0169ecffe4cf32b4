"""Epochs tied to words by the codes of their events: whose files they are is said."""

import mne
import numpy as np
import pandas as pd

from clada_neuro.erp.epoched import tie_epochs


def test_the_recordings_of_a_subject_are_listed(tmp_path):
    """Before anything is tied, as of continuous recordings: what was taken for sessions of one person is seen."""
    data = np.random.default_rng(0).normal(0, 1e-5, (1, 1, 100))
    for number in (1, 2):
        folder = tmp_path / "eeg" / "P01" / f"ses{number}"
        folder.mkdir(parents=True)
        events = np.array([[0, 0, number]])
        epochs = mne.EpochsArray(data, mne.create_info(["Cz"], 100.0, "eeg"), events, verbose="error")
        epochs.save(folder / "eeg-epo.fif", verbose="error")
    table = pd.DataFrame({"trigger": [1, 2], "stimulus_id": ["a", "b"], "word_index": [0, 0]})
    told: list[str] = []
    tie_epochs(tmp_path / "eeg", tmp_path / "out", table, told.append)
    assert told[0] == (
        "subject 'P01' has 2 recordings, in this order: P01/ses1/eeg-epo.fif, P01/ses2/eeg-epo.fif"
    )
