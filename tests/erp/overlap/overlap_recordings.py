"""Noise with words and button presses in it, and the models of their responses."""

import mne
import numpy as np
import pandas as pd

from clada_neuro.erp.overlap.events import EventModel

SFREQ = 50.0
CHANNELS = ["Fz", "Cz", "Pz", "Oz"]


def recording(n: int, seed: int = 0, names=CHANNELS) -> mne.io.RawArray:
    noise = np.random.default_rng(seed).normal(0, 1e-5, (len(names), n))
    return mne.io.RawArray(noise, mne.create_info(list(names), SFREQ, "eeg"), verbose="error")


def reading(n: int = 400, seed: int = 1, soa=(15, 31)) -> pd.DataFrame:
    """Words and button presses at whole samples, whole steps apart."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "onset": (np.cumsum(rng.integers(*soa, n)) + 20) / SFREQ,
            "event": np.where(rng.random(n) < 0.3, "press", "word"),
            "surprisal_bits": rng.gamma(3, 3, n),
            "zipf_frequency": rng.normal(4, 1, n),
        }
    )


MODELS = [
    EventModel("word", "1 + surprisal_bits + zipf_frequency"),
    EventModel("press", "1 + zipf_frequency", -0.2, 0.6),
]
