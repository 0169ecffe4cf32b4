"""Simulated epochs: planted single-trial components in realistic EEG noise, in volts as MNE holds them.

A trial's amplitude comes from `simulate.simulate_trials`. Its component is a Hann time course that is zero outside
100 ms around the window, times a Gaussian topography; both are scaled so that the mean over window and electrodes
is the planted amplitude. Noise is 1/f, correlated over the scalp, plus occipital alpha.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len

from clada_neuro.erp.channels import canonical, find_roi, template
from clada_neuro.erp.components import PRESETS, Component
from clada_neuro.erp.simulate import Effects, Simulation, simulate_trials
from clada_neuro.errors import DataError

Array = NDArray[np.floating]
# fmt: off
ELECTRODES = [
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6", "T7", "C3", "Cz", "C4", "T8",
    "CP5", "CP1", "CPz", "CP2", "CP6", "P7", "P3", "Pz", "P4", "P8", "PO3", "POz", "PO4", "O1", "Oz", "O2",
]
# fmt: on
TMIN, TMAX, _MARGIN = -0.2, 1.0, 0.1
_CENTERS = {"n400": "CPz", "p600": "Pz"}
VOLTS = 1e-6

EPOCH_EFFECTS: Mapping[str, Effects] = {
    "n400_uv": Effects(
        fixed={"surprisal_bits": -1.2, "sparsity_energy99": -0.4},
        intercept=-1.0,
        subject_slopes={"surprisal_bits": 0.3},
        residual_sd=2.0,
    ),
    "p600_uv": Effects(
        fixed={"adjustment_prev": 1.2},
        intercept=1.0,
        subject_slopes={"adjustment_prev": 0.3},
        residual_sd=2.0,
    ),
}


@dataclass(frozen=True)
class EpochSimulation:
    """Simulated epochs by subject, and the planted trials and truth behind them.

    ``simulation.trials`` holds the planted amplitude of every trial, those of dropped epochs included.
    """

    epochs: dict[str, mne.EpochsArray]
    simulation: Simulation


def simulate_epochs(
    words: pd.DataFrame,
    *,
    effects: Mapping[str, Effects] = EPOCH_EFFECTS,
    components: Iterable[Component] = tuple(PRESETS.values()),
    n_subjects: int = 20,
    seed: int = 0,
    sfreq: float = 200.0,
    noise_uv: float = 10.0,
    missing: float = 0.05,
) -> EpochSimulation:
    """Simulate one `mne.EpochsArray` per subject for critical words.

    Parameters
    ----------
    words
        As in `simulate_trials`.
    effects
        `Effects` by amplitude column; ``residual_sd`` is the component's own trial-to-trial variation, µV.
    components
        Window and electrodes of each amplitude column.
    n_subjects, seed
        Number of subjects; the same seed and words give the same data.
    sfreq
        Samples per second.
    noise_uv
        Root mean square of the background EEG, µV.
    missing
        Share of epochs dropped as if by artifact rejection; they stand in ``drop_log``.

    Returns
    -------
    EpochSimulation
        Epochs (n_epochs, 32 channels, n_times) from −200 to 1000 ms, not baseline-corrected, in volts,
        with the trial's labels and the row's predictors as metadata.
    """
    shapes = {component.column: component for component in components}
    unknown = [column for column in effects if column not in shapes]
    if unknown:
        raise DataError(f"no component has the column '{unknown[0]}'; known: {', '.join(shapes)}")
    simulation = simulate_trials(words, effects=effects, n_subjects=n_subjects, seed=seed, missing=0)
    info = standard_info(sfreq)
    times = np.arange(round(TMIN * sfreq), round(TMAX * sfreq) + 1) / sfreq
    waves = {column: unit_wave(info, times, shapes[column]) for column in effects}
    predictors = words.set_index("stimulus_id")[list(simulation.scales.index)]
    rng = np.random.default_rng([seed, 1])
    epochs = {}
    for subject, trials in simulation.trials.groupby("subject"):
        data = noise_uv * background(rng, info, len(trials), len(times))
        for column, wave in waves.items():
            data += trials[column].to_numpy()[:, None, None] * wave
        metadata = trials.drop(columns=list(effects)).join(predictors, on="stimulus_id")
        epochs[str(subject)] = as_epochs(data * VOLTS, info, metadata, rng.random(len(trials)) < missing)
    return EpochSimulation(epochs, simulation)


def background(rng: np.random.Generator, info: mne.Info, n_epochs: int, n_times: int) -> Array:
    """Return EEG-like noise of root mean square 1, shape (n_epochs, n_channels, n_times).

    The epochs are cut from one continuous recording, so slow drifts run through the baseline and beyond.
    """
    vectors = _directions(info)
    angles = np.arccos(np.clip(vectors @ vectors.T, -1, 1))
    covariance = np.exp(-((angles / np.radians(40)) ** 2) / 2) + 0.05 * np.eye(len(vectors))
    n_samples = n_epochs * n_times
    drift = np.linalg.cholesky(covariance) @ _series(rng, len(vectors), n_samples, info["sfreq"], _one_over_f)
    alpha = _bump(vectors, "Oz", 35)[:, None] * _series(rng, 1, n_samples, info["sfreq"], _alpha_band)
    noise = drift + 0.5 * alpha
    return (noise / noise.std()).reshape(len(vectors), n_epochs, n_times).transpose(1, 0, 2)


def _series(
    rng: np.random.Generator, n_series: int, n_samples: int, sfreq: float, gain: Callable[[Array], Array]
) -> Array:
    """Return noise with an amplitude spectrum, root mean square 1, shape (n_series, n_samples)."""
    length = next_fast_len(n_samples, real=True)
    amplitude = gain(np.fft.rfftfreq(length, 1 / sfreq))
    shape = (n_series, len(amplitude))
    spectrum = amplitude * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    series = irfft(spectrum, n=length)[:, :n_samples]
    return series / series.std()


def _one_over_f(frequencies: Array) -> Array:
    """Return amplitudes whose power falls as 1/f above a high-pass at 0.1 Hz."""
    return np.where(frequencies < 0.1, 0.0, 1 / np.sqrt(np.maximum(frequencies, 0.1)))


def _alpha_band(frequencies: Array) -> Array:
    return np.exp(-(((frequencies - 10) / 0.7) ** 2) / 2)


def standard_info(sfreq: float) -> mne.Info:
    """Return the description of the simulated recordings: 32 electrodes of the 10–20 system with positions."""
    info = mne.create_info(ELECTRODES, sfreq, "eeg")
    info.set_montage("colin27_1020")
    info["description"] = "SIMULATED by clada_neuro.erp.simulate_eeg"
    return info


def _directions(info: mne.Info) -> Array:
    return np.array([template()[canonical(name)] for name in info["ch_names"]])


def _bump(vectors: Array, center: str, degrees: float) -> Array:
    angles = np.arccos(np.clip(vectors @ template()[canonical(center)], -1, 1))
    return np.exp(-((angles / np.radians(degrees)) ** 2) / 2)


def unit_wave(info: mne.Info, times: Array, component: Component) -> Array:
    """Return the component at unit amplitude, shape (n_channels, n_times)."""
    start, stop = component.tmin - _MARGIN, component.tmax + _MARGIN
    inside = (times > start) & (times < stop)
    course = np.where(inside, 0.5 - 0.5 * np.cos(2 * np.pi * (times - start) / (stop - start)), 0.0)
    window = (times >= component.tmin - 1e-9) & (times <= component.tmax + 1e-9)
    roi = [info["ch_names"].index(name) for name in find_roi(info, component).channels]
    scalp = _bump(_directions(info), _CENTERS.get(component.name, component.roi[0]), 45)
    return (scalp / scalp[roi].mean())[:, None] * (course / course[window].mean())


def as_epochs(
    data: Array, info: mne.Info, metadata: pd.DataFrame, dropped: NDArray[np.bool_]
) -> mne.EpochsArray:
    """Return voltages (n_epochs, n_channels, n_times) from 200 ms before the word as epochs, those `dropped` in the drop log."""
    n = len(data)
    spacing = data.shape[-1] + 1
    events = np.column_stack([np.arange(n) * spacing, np.zeros(n, int), np.ones(n, int)])
    epochs = mne.EpochsArray(
        data,
        info.copy(),
        events,
        tmin=TMIN,
        event_id={"critical_word": 1},
        metadata=metadata.reset_index(drop=True),
        verbose="error",
    )
    return epochs.drop(np.flatnonzero(dropped), reason="SIMULATED_ARTIFACT", verbose="error")
