"""Simulated continuous reading: words at intervals shorter than their responses, whose waveforms are planted.

Every word adds its components to the recording, as large as its predictors say; so responses overlap where words follow each
other fast. Components, topographies and noise are those of `simulate_eeg`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import mne
import numpy as np
import pandas as pd

from clada_neuro.erp.components import PRESETS, Component
from clada_neuro.erp.overlap.expansion import Train, predict
from clada_neuro.erp.simulate_eeg import VOLTS, background, standard_info, unit_wave
from clada_neuro.errors import DataError, did_you_mean

TMIN, TMAX = -0.1, 1.1
_START_S = 2.0

# µV in the component's window and electrodes: for a word of average predictors, and for each unit above the average
READING_EFFECTS: Mapping[str, Mapping[str, float]] = {
    "n400": {"intercept": -2.0, "surprisal_bits": -0.4},
    "p600": {"intercept": 1.5, "surprisal_bits": 0.3},
}


@dataclass(frozen=True)
class ReadingSimulation:
    """One reader's simulated recording.

    Attributes
    ----------
    raw
        32 channels, volts.
    events
        One row per word: ``onset`` (seconds), ``event`` (``word``), and the words' columns.
    truth
        The planted waveforms, volts: ``intercept``, of a word with average predictors, and one for each predictor, per
        unit. A model of centered predictors estimates them: ``1 + center(surprisal_bits)``.
    """

    raw: mne.io.RawArray
    events: pd.DataFrame
    truth: dict[str, mne.EvokedArray]


def simulate_reading(
    words: pd.DataFrame,
    *,
    effects: Mapping[str, Mapping[str, float]] = READING_EFFECTS,
    components: Iterable[Component] = tuple(PRESETS.values()),
    soa: float | tuple[float, float] = (0.3, 0.6),
    pause: float | None = None,
    sfreq: float = 100.0,
    noise_uv: float = 10.0,
    residual_uv: float = 1.0,
    seed: int = 0,
) -> ReadingSimulation:
    """Simulate the recording of someone who reads words one after the other.

    Parameters
    ----------
    words
        In the order of presentation, with the predictors, and ``stimulus_id`` where texts are set apart by pauses.
    effects
        Amplitude of each component for an average word (``intercept``) and per unit of each predictor, µV.
    components
        Window and electrodes of each.
    soa
        Seconds from word to word: one value, or the bounds of a uniform distribution.
    pause
        Seconds added after a text's last word; None goes on without.
    sfreq
        Samples per second.
    noise_uv
        Root mean square of the background EEG, µV.
    residual_uv
        Standard deviation of each component from word to word, beyond the predictors.
    seed
        The same seed and words give the same recording.

    Raises
    ------
    DataError
        For components and predictors that are not there, and intervals that are not positive.
    """
    shapes = {component.name: component for component in components}
    names = list(dict.fromkeys(name for terms in effects.values() for name in terms if name != "intercept"))
    for name, known, where in (
        *((name, list(shapes), "component") for name in effects),
        *((name, list(words), "column of words") for name in names),
    ):
        if name not in known:
            raise DataError(
                f"no {where} '{name}'{did_you_mean(name, known)}; there are {', '.join(known[:12])}"
            )
    rng = np.random.default_rng(seed)
    onsets = _onsets(words, soa, pause, rng)
    info = standard_info(sfreq)
    samples = np.round(onsets * sfreq).astype(int)
    n_times = int(samples[-1] + round((TMAX + 1) * sfreq))
    first, last = round(TMIN * sfreq), round(TMAX * sfreq)
    times = np.arange(first, last + 1) / sfreq
    waves = {name: unit_wave(info, times, shapes[name]) for name in effects}
    centered = words[names].astype(float) - words[names].astype(float).mean()
    data = noise_uv * background(rng, info, 1, n_times)[0]
    for name, terms in effects.items():
        amplitude = terms.get("intercept", 0.0) + rng.normal(0, residual_uv, len(words))
        amplitude = amplitude + sum(
            value * centered[term].to_numpy() for term, value in terms.items() if term != "intercept"
        )
        train = Train(samples, amplitude[:, None], first, len(times))
        data = data + predict([train], np.asarray(waves[name].T, dtype=float), n_times).T
    raw = mne.io.RawArray(VOLTS * data, info, verbose="error")
    with raw.info._unlock():
        raw.info["highpass"] = 0.1  # of the background's spectrum
    events = words.reset_index(drop=True).assign(onset=samples / sfreq, event="word", simulated=True)
    truth = {
        term: mne.EvokedArray(
            VOLTS * np.sum([waves[name] * terms.get(term, 0.0) for name, terms in effects.items()], axis=0),
            info, tmin=times[0], comment=term,
        )
        for term in ("intercept", *names)
    }  # fmt: skip
    return ReadingSimulation(raw, events, truth)


def _onsets(
    words: pd.DataFrame, soa: float | tuple[float, float], pause: float | None, rng: np.random.Generator
) -> np.ndarray:
    low, high = (soa, soa) if isinstance(soa, int | float) else soa
    if not 0 < low <= high:
        raise DataError(
            f"an interval of {low:g} to {high:g} s between words; give positive seconds, the smaller first"
        )
    steps = rng.uniform(low, high, len(words)) if low < high else np.full(len(words), float(low))
    if pause is not None:
        steps[(words["stimulus_id"] != words["stimulus_id"].shift(-1)).to_numpy()] += pause
    return _START_S + np.concatenate([[0.0], steps[:-1].cumsum()])
