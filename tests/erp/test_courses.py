"""Voltage over time in steps: every step that the epochs hold whole, at any sampling rate."""

import mne
import numpy as np
import pandas as pd
import pytest

from clada_neuro.erp.courses import courses_of
from clada_neuro.errors import DataError


def ramp(sfreq: float, tmin: float, tmax: float) -> mne.EpochsArray:
    """Two epochs whose microvolts are their milliseconds."""
    times = np.arange(round(tmin * sfreq), round(tmax * sfreq) + 1) / sfreq
    data = np.tile(1e-6 * 1e3 * times, (2, 1, 1))
    return mne.EpochsArray(data, mne.create_info(["Cz"], sfreq, "eeg"), tmin=times[0], verbose="error")


TRIALS = pd.DataFrame({"subject": ["S1", "S1"], "epoch": [0, 1]})


@pytest.mark.parametrize("sfreq", [250, 256, 500, 512, 1000])
def test_every_whole_step_is_kept(sfreq):
    """Steps hold 5 or 6 samples at 256 Hz; only the last, begun by one sample at 1000 ms, is cut."""
    found = courses_of({"S1": ramp(sfreq, -0.2, 1.0)}, TRIALS, ["Cz"], 20.0)
    np.testing.assert_allclose(found.times_ms, np.arange(-200, 1000, 20) + 10)
    np.testing.assert_allclose(found.values[0], found.times_ms, atol=1e3 / sfreq)


def test_a_step_that_the_epochs_cut_is_left_out():
    found = courses_of({"S1": ramp(100, -0.05, 0.25)}, TRIALS, ["Cz"], 100.0)
    np.testing.assert_allclose(found.times_ms, [50.0, 150.0])
    with pytest.raises(DataError, match="epochs from -50 to 250 ms hold no whole one; give a shorter step"):
        courses_of({"S1": ramp(100, -0.05, 0.25)}, TRIALS, ["Cz"], 400.0)
