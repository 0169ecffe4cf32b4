"""What recordings of several people have in common: EEG channels by name, and a stretch of time.

Statistics over subjects stack arrays, in which a channel is a place in a row. So each recording is first brought to one
list of channels in one order. A channel marked bad is interpolated from the others (spherical splines) where electrodes
have positions; a channel that somebody lacks is left out for everyone, and named. So is one without a position among
electrodes that have one: an eye channel, most often.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import mne
import numpy as np
from numpy.typing import NDArray

from clada_neuro.erp.channels import eeg_channels, has_position, sphere_center
from clada_neuro.errors import DataError

Instance = TypeVar("Instance", mne.BaseEpochs, mne.Evoked)
_LOCATED = 4  # a sphere has four unknowns


@dataclass(frozen=True)
class Layout:
    """EEG channels and seconds that all recordings share, and what was done to make them so."""

    channels: tuple[str, ...]
    tmin: float
    tmax: float
    notes: tuple[str, ...]

    def of(self, who: str, recording: Instance) -> Instance:
        """Return a copy of the recording with these channels in this order, none of them bad, and these seconds.

        Raises
        ------
        DataError
            As `check`.
        """
        copy: Instance = recording.copy()
        if isinstance(copy, mne.BaseEpochs):
            copy.load_data()
        self.check(who, copy)
        copy.pick(list(self.channels))
        if copy.info["bads"]:
            center = sphere_center(_positions(recording.info))
            placeless = sorted({*self.channels} - {*_located(copy.info)})
            copy.interpolate_bads(origin=tuple(center), exclude=placeless, verbose="error")
        return copy.crop(max(self.tmin, copy.tmin), min(self.tmax, copy.tmax))

    def info(self, info: mne.Info) -> mne.Info:
        """Return the description of a recording that was brought to this layout."""
        picked = mne.pick_info(info, [info["ch_names"].index(name) for name in self.channels])
        picked["bads"] = []
        return picked

    def check(self, who: str, recording: mne.BaseEpochs | mne.Evoked) -> None:
        """Refuse a recording whose channels, other than bad ones, hold values that are not finite.

        Raises
        ------
        DataError
            Naming the recording and the channels.
        """
        check_finite(who, recording, [name for name in self.channels if name not in recording.info["bads"]])


def common_layout(recordings: Mapping[str, mne.BaseEpochs | mne.Evoked]) -> Layout:
    """Return what the recordings share; keys of the mapping name them in messages.

    Raises
    ------
    DataError
        When sampling rates differ, or no channel or no time is shared.
    """
    _check_rates(recordings)
    usable = {who: _usable(recording.info) for who, recording in recordings.items()}
    having = {who: eeg_channels(recording.info, who) for who, recording in recordings.items()}
    lost: dict[str, list[str]] = {}
    mended: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for names in having.values() for name in names):
        for who, recording in recordings.items():
            if name not in usable[who]:
                bad = "bad" if name in recording.info["bads"] else "without a position"
                lost.setdefault(name, []).append(f"{bad if name in having[who] else 'not'} in {who}")
            elif name in recording.info["bads"]:
                mended.setdefault(name, []).append(who)
    channels = tuple(name for name in next(iter(having.values())) if name not in lost)
    if not channels:
        raise DataError(
            f"no EEG channel is usable in every recording ({_listed(lost)}); rename channels so that their names agree"
        )
    notes = []
    if lost:
        notes.append(f"channels left out of averages and regression ERPs: {_listed(lost)}")
    if mended := {name: who for name, who in mended.items() if name in channels}:
        notes.append(f"bad channels interpolated for averages and regression ERPs: {_listed(mended)}")
    tmin, tmax, said = _shared_time(recordings)
    return Layout(channels, tmin, tmax, (*notes, *said))


def check_finite(who: str, recording: mne.BaseEpochs | mne.Evoked, channels: list[str]) -> None:
    """Refuse channels with values that are not finite.

    Raises
    ------
    DataError
        Naming the recording and the channels.
    """
    holes = ~np.isfinite(recording.get_data(picks=channels)).all(axis=-1).reshape(-1, len(channels))
    if holes.any():
        names = [channels[number] for number in np.flatnonzero(holes.any(axis=0))]
        several = f" in {int(holes.any(axis=1).sum())} of {len(holes)} epochs" if len(holes) > 1 else ""
        raise DataError(
            f"{who}: channel {', '.join(names[:5])}{' and others' if len(names) > 5 else ''} holds values that are not "
            f"finite{several}; mark it bad (info['bads']), or drop these epochs (in a continuous recording: annotate the span as BAD)"
        )


def flat_channels(epochs: mne.BaseEpochs, channels: list[str]) -> list[str]:
    """Return the channels that hold one value throughout."""
    data = epochs.get_data(picks=channels)
    if not data.size:  # of no epochs nothing is known
        return []
    spread = np.ptp(data, axis=(0, 2))
    return [name for name, size in zip(channels, spread, strict=True) if size == 0]


def check_alive(who: str, epochs: mne.BaseEpochs, channels: list[str]) -> None:
    """Refuse channels that hold one value throughout, which a mean over electrodes would take for a response.

    Raises
    ------
    DataError
        Naming the recording and the channels.
    """
    if dead := flat_channels(epochs, channels):
        raise DataError(
            f"{who}: channel {', '.join(dead[:5])}{' and others' if len(dead) > 5 else ''} is flat; mark it bad (info['bads']), or "
            "drop it where it is the reference"
        )


def _check_rates(recordings: Mapping[str, mne.BaseEpochs | mne.Evoked]) -> None:
    rates = {who: recording.info["sfreq"] for who, recording in recordings.items()}
    first, rate = next(iter(rates.items()))
    for who, other in rates.items():
        if not np.isclose(rate, other, rtol=1e-6):
            raise DataError(
                f"{who} has {other:g} samples a second and {first} {rate:g}; resample all to one rate "
                "(epochs.resample) before averages over subjects"
            )


def _shared_time(recordings: Mapping[str, mne.BaseEpochs | mne.Evoked]) -> tuple[float, float, list[str]]:
    starts = {who: recording.times[0] for who, recording in recordings.items()}
    ends = {who: recording.times[-1] for who, recording in recordings.items()}
    late, early = max(starts, key=starts.__getitem__), min(ends, key=ends.__getitem__)
    tmin, tmax = starts[late], ends[early]
    if tmin >= tmax:
        raise DataError(
            f"{late} starts at {1e3 * tmin:g} ms and {early} ends at {1e3 * tmax:g} ms: no time is shared"
        )
    half = 0.5 / next(iter(recordings.values())).info["sfreq"]
    if tmin - min(starts.values()) < half and max(ends.values()) - tmax < half:
        return tmin, tmax, []
    return (
        tmin,
        tmax,
        [f"averages and regression ERPs from {1e3 * tmin:g} to {1e3 * tmax:g} ms, which all recordings have"],
    )


def _usable(info: mne.Info) -> list[str]:
    """Return the EEG channels that are good, or bad but with neighbours to interpolate them from."""
    eeg, located, bads = eeg_channels(info), set(_located(info)), set(info["bads"])
    if len(located - bads) < _LOCATED or 2 * len(located) < len(eeg):
        return [name for name in eeg if name not in bads]
    return [name for name in eeg if name in located]


def _located(info: mne.Info) -> list[str]:
    eeg = set(eeg_channels(info))
    return [
        channel["ch_name"] for channel in info["chs"] if channel["ch_name"] in eeg and has_position(channel)
    ]


def _positions(info: mne.Info) -> NDArray[np.float64]:
    located = set(_located(info))
    return np.array([channel["loc"][:3] for channel in info["chs"] if channel["ch_name"] in located])


def _listed(found: Mapping[str, Iterable[str]], most: int = 8) -> str:
    """Return ``Fp2 (not in S02, bad in S05), O1 (…)``, the first few of them."""
    parts = []
    for name, reasons in list(found.items())[:most]:
        whom = list(reasons)
        more = f" and {len(whom) - 3} more" if len(whom) > 3 else ""
        parts.append(f"{name} ({', '.join(whom[:3])}{more})")
    return ", ".join([*parts, *([f"and {len(found) - most} more"] if len(found) > most else [])])
