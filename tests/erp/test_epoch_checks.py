"""What would end an analysis later, or bend it silently, is said before: channels that are flat in some subjects."""

import mne
import numpy as np
import pandas as pd
import pytest

from clada_neuro.erp.checks import check_recordings
from clada_neuro.erp.components import Component
from clada_neuro.erp.measurement import Measurement
from clada_neuro.errors import DataError

MEASUREMENT = Measurement((Component("vertex", 0.1, 0.2, ("Cz", "Pz"), -1),))


def recordings(flat: dict[str, str]) -> dict[str, mne.BaseEpochs]:
    """Two subjects' epochs of noise, with a flat channel each."""
    rng = np.random.default_rng(0)
    info = mne.create_info(["Cz", "Pz", "Oz", "M1"], 100.0, "eeg")
    made = {}
    for subject in ("1", "2"):
        epochs = mne.EpochsArray(
            rng.normal(0, 1e-5, (4, 4, 41)),
            info,
            tmin=-0.1,
            metadata=pd.DataFrame({"item": list("abcd")}),
            verbose="error",
        )
        if subject in flat:
            epochs.get_data(copy=False)[:, epochs.ch_names.index(flat[subject])] = 0.0
        made[subject] = epochs
    return made


def test_a_channel_that_is_flat_in_one_subject_is_named():
    with pytest.raises(
        DataError, match=r"subject '2': channel Oz is flat, and not that of everybody; mark it bad"
    ):
        check_recordings(recordings({"2": "Oz"}), MEASUREMENT)
    with pytest.raises(DataError, match=r"subject '2': channel Pz is flat"):
        check_recordings(recordings({"2": "Pz"}), MEASUREMENT)


def test_a_reference_that_is_kept_is_no_fault():
    check_recordings(recordings({"1": "M1", "2": "M1"}), MEASUREMENT)
    marked = recordings({"2": "Oz"})
    marked["2"].info["bads"] = ["Oz"]
    check_recordings(marked, MEASUREMENT)
