"""Simulated epochs in which layers of a model speak at stated moments, to test what is said of layers and time.

A layer's measure, z-scored over stimuli, moves the voltage by its effect at its peak: a Hann time course of 150 ms to each side,
over the centro-parietal scalp. Subjects differ in how much, stimuli in an amplitude of their own from 300 to 500 ms that no measure
explains, and the background is the EEG-like noise of `simulate_eeg`.
"""

from collections.abc import Mapping
from dataclasses import replace

import mne
import numpy as np
import pandas as pd

from clada_neuro.erp.components import N400, Component
from clada_neuro.erp.simulate_eeg import TMAX, TMIN, VOLTS, as_epochs, background, standard_info, unit_wave
from clada_neuro.errors import DataError
from clada_neuro.stimuli.unit import stimulus_of

_HALF_WINDOW = 0.05  # seconds; with the margin of `unit_wave` the course ends 150 ms from the peak


def simulate_layers(
    words: pd.DataFrame,
    peaks: Mapping[str, float],
    *,
    effect_uv: float = -2.0,
    n_subjects: int = 12,
    subject_sd: float = 0.3,
    stimulus_sd: float = 1.0,
    noise_uv: float = 8.0,
    sfreq: float = 100.0,
    seed: int = 0,
) -> dict[str, mne.EpochsArray]:
    """Simulate one `mne.EpochsArray` a subject; every subject reads every word.

    Parameters
    ----------
    words
        Critical words, one a stimulus: ``stimulus_id``, ``word_index``, ``item``, ``word`` and the columns that ``peaks`` names.
    peaks
        Column of a layer's measure to the moment of its peak, seconds; empty for no effect at all.
    effect_uv
        Mean over the centro-parietal electrodes at the peak, µV per SD of the measure.
    n_subjects, seed
        Number of subjects; the same seed and words give the same data.
    subject_sd, stimulus_sd
        SD of effects over subjects, and of stimuli's own amplitudes, µV.
    noise_uv
        Root mean square of the background EEG, µV.
    sfreq
        Samples per second.

    Returns
    -------
    dict of str to mne.EpochsArray
        (n_words, 32 channels, n_times) from −200 to 1000 ms, in volts, not baseline-corrected.

    Raises
    ------
    DataError
        When a column is missing or does not vary.
    """
    info = standard_info(sfreq)
    times = np.arange(round(TMIN * sfreq), round(TMAX * sfreq) + 1) / sfreq
    rng = np.random.default_rng([seed, 17])
    own = rng.normal(0, stimulus_sd, len(words))
    waves = {name: unit_wave(info, times, _at(peak)) for name, peak in peaks.items()}
    z = {name: _standardized(words, name) for name in peaks}
    labels = words[["stimulus_id", "word_index", "item", "word"]].assign(
        stimulus=stimulus_of(words), simulated=True
    )
    epochs = {}
    for number in range(n_subjects):
        data = noise_uv * background(rng, info, len(words), len(times))
        data += own[:, None, None] * unit_wave(info, times, N400)
        for name, wave in waves.items():
            data += rng.normal(effect_uv, subject_sd) * z[name][:, None, None] * wave
        metadata = labels.assign(subject=f"S{number + 1:02d}")
        none = np.zeros(len(words), dtype=bool)
        epochs[f"S{number + 1:02d}"] = as_epochs(data * VOLTS, info, metadata, none)
    return epochs


def _at(peak: float) -> Component:
    return replace(N400, tmin=peak - _HALF_WINDOW, tmax=peak + _HALF_WINDOW)


def _standardized(words: pd.DataFrame, name: str) -> np.ndarray:
    if name not in words:
        raise DataError(f"the words table lacks column '{name}'; the simulation needs it")
    values = words[name].to_numpy(float)
    if not values.std() > 0:
        raise DataError(f"'{name}' does not vary over the words, so it can have no effect")
    return (values - values.mean()) / values.std(ddof=1)
