"""One reader's recording written as laboratories have it: FIF, BrainVision, EEGLAB, EDF and BioSemi's BDF, with trigger codes."""

from pathlib import Path

import mne
import numpy as np
import pandas as pd
from scipy.io import savemat

from clada_neuro.erp.simulate_raw import simulate_reading

N, LENGTH, SFREQ = 60, 6, 50
CODES = [1 + k % LENGTH for k in range(N)]


def words() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "stimulus_id": [f"t{k // LENGTH}" for k in range(N)], "item": [f"i{k // LENGTH}" for k in range(N)],
            "word_index": np.arange(N) % LENGTH, "word": [f"w{k}" for k in range(N)],
            "surprisal_bits": np.random.default_rng(8).gamma(3, 2, N),
        }
    )  # fmt: skip


def presented(**columns) -> pd.DataFrame:
    """The words as a user declares them, with a column that ties them."""
    return words()[["stimulus_id", "word_index", "word"]].assign(**columns)


def reader(seed: int, sfreq: float = SFREQ) -> tuple[mne.io.RawArray, np.ndarray]:
    """A recording of whole seconds, and the words' onsets."""
    made = simulate_reading(words(), soa=(0.3, 0.6), seed=seed, sfreq=sfreq)
    return made.raw.crop(0, int(made.raw.times[-1]), include_tmax=False), made.events["onset"].to_numpy()


def fif(path: Path, raw: mne.io.RawArray, onsets: np.ndarray) -> None:
    marks = mne.Annotations(onsets, 0.0, [f"Stimulus/S {code}" for code in CODES])
    raw.copy().set_annotations(marks).save(path.with_name(f"{path.name}_raw.fif"), verbose="error")


def stim_channel(path: Path, raw: mne.io.RawArray, onsets: np.ndarray) -> None:
    info = mne.create_info(["STI 014"], raw.info["sfreq"], "stim")
    stim = mne.io.RawArray(_states(raw, onsets)[None].astype(float), info, verbose="error")
    raw.copy().add_channels([stim], force_update_info=True).save(
        path.with_name(f"{path.name}_raw.fif"), verbose="error"
    )


def brainvision(path: Path, raw: mne.io.RawArray, onsets: np.ndarray) -> None:
    import pybv

    events = np.column_stack([np.round(onsets * raw.info["sfreq"]).astype(int), CODES])
    pybv.write_brainvision(
        data=raw.get_data(), sfreq=raw.info["sfreq"], ch_names=raw.ch_names, fname_base=path.name, folder_out=str(path.parent),
        events=events,
    )  # fmt: skip


def eeglab(path: Path, raw: mne.io.RawArray, onsets: np.ndarray) -> None:
    events = np.zeros(N, dtype=[("type", object), ("latency", float), ("duration", float)])
    events["type"] = np.array([f"S {code}" for code in CODES], dtype=object)
    events["latency"] = onsets * raw.info["sfreq"] + 1  # from 1
    _save_set(path, raw.info, 1e6 * raw.get_data(), event=events)


def eeglab_epochs(path: Path, raw: mne.io.RawArray, onsets: np.ndarray, *, neighbours: bool = False) -> None:
    """Epochs of a second, with their own events alone or, as EEGLAB keeps them, with all that fall into them."""
    samples = np.round(onsets * raw.info["sfreq"]).astype(int)
    own = samples[:-4]
    data = np.stack([raw.get_data()[:, sample - 15 : sample + 50] for sample in own], axis=2)
    rows, epochs = (
        [],
        np.zeros(len(own), dtype=[(name, object) for name in ("event", "eventtype", "eventlatency")]),
    )
    for number, sample in enumerate(own):
        near = (samples >= sample - 15) & (samples < sample + 50) if neighbours else samples == sample
        inside = np.flatnonzero(near)
        places = [len(rows) + 1 + k for k in range(len(inside))]
        ms = 1e3 * (samples[inside] - sample) / raw.info["sfreq"]
        types = np.array([f"S {CODES[k]}" for k in inside], dtype=object)
        epochs[number] = (places, types, ms) if len(inside) > 1 else (places[0], types[0], 0.0)
        rows += [
            (f"S {CODES[k]}", number * data.shape[1] + 16 + samples[k] - sample, number + 1) for k in inside
        ]
    events = np.array(rows, dtype=[("type", object), ("latency", float), ("epoch", float)])
    _save_set(path, raw.info, 1e6 * data, event=events, epoch=epochs, xmin=-0.3)


def edf(path: Path, raw: mne.io.RawArray, onsets: np.ndarray) -> None:
    """By its specification (Kemp et al., 1992); it has no triggers."""
    n = len(raw.ch_names)
    head = _field(["0"], 8) + _header(raw, raw.ch_names, "", ["uV"] * n, [-400] * n, [400] * n, 16)
    digital = np.round((1e6 * raw.get_data() + 400) / 800 * 65535 - 32768).astype("<i2")
    path.with_name(f"{path.name}.edf").write_bytes(head + _records(raw, digital).tobytes())


def bdf(path: Path, raw: mne.io.RawArray, onsets: np.ndarray) -> None:
    """BioSemi's 24 bits, electrodes by the cap's names, triggers in the lower bits of its status channel."""
    n, low, high = len(raw.ch_names) + 1, -262144, 262143
    names = [*(f"A{k}" for k in range(1, n)), "Status"]
    units = ["uV"] * (n - 1) + ["Boolean"]
    head = b"\xffBIOSEMI" + _header(
        raw, names, "24BIT", units, [low] * (n - 1) + [-8388608], [high] * (n - 1) + [8388607], 24
    )
    digital = np.round((1e6 * raw.get_data() - low) / (high - low) * (2**24 - 1) - 2**23).astype("<i4")
    status = (1 << 20) + _states(raw, onsets)  # upper bits: the amplifier's own
    whole = _records(raw, np.vstack([digital, status[None].astype("<i4")]))
    three = np.frombuffer(whole.tobytes(), np.uint8).reshape(-1, 4)[:, :3]
    path.with_name(f"{path.name}.bdf").write_bytes(head + three.tobytes())


def _states(raw: mne.io.RawArray, onsets: np.ndarray) -> np.ndarray:
    states = np.zeros(raw.n_times, dtype=int)
    for sample, code in zip(np.round(onsets * raw.info["sfreq"]).astype(int), CODES, strict=True):
        states[sample : sample + 3] = code
    return states


def _save_set(path: Path, info: mne.Info, data: np.ndarray, xmin: float = 0.0, **more: np.ndarray) -> None:
    places = np.zeros(len(info["ch_names"]), dtype=[("labels", object)])
    places["labels"] = np.array(info["ch_names"], dtype=object)
    n_times, trials = data.shape[1], data.shape[2] if data.ndim == 3 else 1
    empty = {name: np.array([]) for name in ("icawinv", "icasphere", "icaweights")}
    eeg = {
        "setname": "x", "nbchan": len(places), "trials": trials, "pnts": n_times, "srate": info["sfreq"], "xmin": xmin,
        "xmax": xmin + (n_times - 1) / info["sfreq"], "data": data, "chanlocs": places, **empty, **more,
    }  # fmt: skip
    savemat(path.with_name(f"{path.name}.set"), {"EEG": eeg}, appendmat=False)


def _field(values, width: int) -> bytes:
    return b"".join(str(value).ljust(width).encode("ascii") for value in values)


def _header(raw, names, kind: str, units, lowest, highest, bits: int) -> bytes:
    n, records = len(names), raw.n_times // int(raw.info["sfreq"])
    head = _field(["X X X X", "Startdate X X X X"], 80) + _field(["01.01.20", "00.00.00", 256 * (n + 1)], 8)
    head += (
        _field([kind], 44)
        + _field([records, 1], 8)
        + _field([n], 4)
        + _field(names, 16)
        + _field([""] * n, 80)
    )
    head += _field(units, 8) + _field(lowest, 8) + _field(highest, 8)
    head += _field([-(2 ** (bits - 1))] * n, 8) + _field([2 ** (bits - 1) - 1] * n, 8)
    return head + _field([""] * n, 80) + _field([int(raw.info["sfreq"])] * n, 8) + _field([""] * n, 32)


def _records(raw: mne.io.RawArray, digital: np.ndarray) -> np.ndarray:
    """Return samples second by second, channel by channel."""
    return np.ascontiguousarray(digital.reshape(len(digital), -1, int(raw.info["sfreq"])).transpose(1, 0, 2))
