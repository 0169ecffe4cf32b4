"""Find standard electrodes in a recording: by name, by alias, else by position.

Names are compared without case, without amplifiers' prefixes and suffixes ("EEG Cz-REF", "Cz..") and across the
10–20 and 10–10 systems (T3 is T7). Caps with names of their own (E62, A19) are matched by position: directions
from the center of the sphere that fits the electrodes, compared with the Colin 27 template.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import mne
import numpy as np
from numpy.typing import NDArray

from clada_neuro.erp.components import Component
from clada_neuro.errors import DataError

Array = NDArray[np.float64]
_ALIASES = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}
# Neighbours in the 10–10 system lie 18° apart, so within half of that no other electrode is closer.
_MAX_DEGREES = 9.0


@dataclass(frozen=True)
class Roi:
    """Channels of the recording that stand for a component's electrodes, and what is worth knowing of them."""

    channels: tuple[str, ...]
    notes: tuple[str, ...]


def find_roi(info: mne.Info, component: Component, who: str = "the recording") -> Roi:
    """Return the good EEG channels that stand for ``component.roi``; ``who`` is the recording's name in messages.

    Raises
    ------
    DataError
        When fewer electrodes are found than the component needs.
    """
    eeg = eeg_channels(info, who)
    by_name, bipolar, notes = _electrodes(eeg)
    found = {e: by_name[canonical(e)] for e in component.roi if canonical(e) in by_name}
    found |= {e: e for e in component.roi if e in eeg}
    if not found:
        found = _by_position(info, [name for name in eeg if name not in bipolar], component.roi)
        if found:
            pairs = ", ".join(f"{channel} as {electrode}" for electrode, channel in found.items())
            notes.append(f"{component.name}: electrodes matched by position: {pairs}")
    bad = {electrode for electrode, channel in found.items() if channel in info["bads"]}
    missing = [electrode for electrode in component.roi if electrode not in found or electrode in bad]
    needed = component.min_channels or len(component.roi)
    if len(component.roi) - len(missing) < needed:
        marked = f" ({', '.join(sorted(bad))} marked bad)" if bad else ""
        advice = "rename channels, set a montage, or pass a Component with electrodes of your own"
        if bipolar:
            advice = (
                f"{bipolar[0]} is the difference of two electrodes (bipolar), not an electrode: re-reference the recording "
                "to one electrode or to the average"
            )
        raise DataError(
            f"component '{component.name}' needs {needed} of {', '.join(component.roi)}, but {who} has "
            f"{', '.join(eeg[:12])}{', …' if len(eeg) > 12 else ''}{marked}; {advice}"
        )
    if bad:
        notes.append(f"{component.name}: bad channels left out: {', '.join(sorted(bad))}")
    return Roi(tuple(dict.fromkeys(found[e] for e in component.roi if e not in missing)), tuple(notes))


def canonical(name: str) -> str:
    """Return the lower-case 10–10 name of an electrode, without amplifiers' additions."""
    bare = re.sub(r"^eeg[\s_-]*", "", name.strip().lower())
    bare = re.sub(r"[\s_-]*(ref|le|avg|m1m2|a1a2)$|[\s_-]+[ma][12]$|\.+$", "", bare)
    return _ALIASES.get(bare, bare)


def eeg_channels(info: mne.Info, who: str = "the recording") -> list[str]:
    """Return the names of the EEG channels, bad ones included; ``who`` is the recording's name in messages.

    Raises
    ------
    DataError
        When there are none.
    """
    picks = mne.pick_types(info, meg=False, eeg=True, exclude=[])
    if not len(picks):
        raise DataError(
            f"{who}: no EEG channels among {', '.join(info['ch_names'][:8])}; set their type with set_channel_types"
        )
    return [info["ch_names"][pick] for pick in picks]


def has_position(channel: dict) -> bool:
    """Return whether a channel of an `mne.Info` knows where its electrode sat."""
    position = channel["loc"][:3]
    return bool(np.isfinite(position).all() and np.any(position))


def sphere_center(positions: Array) -> Array:
    """Return the center of the sphere that fits positions of shape (n, 3) best."""
    design = np.column_stack([2 * positions, np.ones(len(positions))])
    solution, *_ = np.linalg.lstsq(design, (positions**2).sum(axis=1), rcond=None)
    return solution[:3]


def directions(positions: Array) -> Array:
    """Return unit vectors from the center of the sphere fitted to positions, shape (n, 3)."""
    centered = positions - sphere_center(positions)
    return centered / np.linalg.norm(centered, axis=1, keepdims=True)


@cache
def template() -> dict[str, Array]:
    """Return the directions of the 10–05 electrodes by canonical name, head coordinates."""
    montage = mne.channels.make_standard_montage("colin27_1005")
    info = mne.create_info(montage.ch_names, 1.0, "eeg")
    info.set_montage(montage)
    located = directions(np.array([channel["loc"][:3] for channel in info["chs"]]))
    return {canonical(name): vector for name, vector in zip(montage.ch_names, located, strict=True)}


def _electrodes(eeg: Sequence[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Return channels by electrode, those that are differences of two electrodes, and a note on a common reference.

    "Cz-CPz" is the electrode Cz where most names end in "-CPz", else a derivation between the two.
    """
    pairs = {name: pair for name in eeg if (pair := _pair(name))}
    references = {second for _, second in pairs.values()}
    common = len(references) == 1 and 2 * len(pairs) > len(eeg) > 1
    bipolar = [] if common else list(pairs)
    notes = [f"channels named as electrode-{references.pop()} are read as referenced to it"] if common else []
    names = {
        name: pairs[name][0] if name in pairs else canonical(name) for name in eeg if name not in bipolar
    }
    return {electrode: name for name, electrode in names.items()}, bipolar, notes


def _pair(name: str) -> tuple[str, str] | None:
    """Return the two electrodes of a name such as "EEG Cz-CPz"; a mastoid or an ear is a reference, no electrode."""
    first, dash, second = canonical(name).partition("-")
    pair = canonical(first), canonical(second)
    return pair if dash and all(electrode in template() for electrode in pair) else None


def _by_position(info: mne.Info, eeg: list[str], electrodes: Sequence[str]) -> dict[str, str]:
    located = [channel for channel in info["chs"] if channel["ch_name"] in eeg and has_position(channel)]
    if len(located) < 4:  # a sphere has four unknowns
        return {}
    vectors = directions(np.array([channel["loc"][:3] for channel in located]))
    found = {}
    for electrode in electrodes:
        if canonical(electrode) not in template():
            continue
        cosines = vectors @ template()[canonical(electrode)]
        best = int(cosines.argmax())
        if cosines[best] >= np.cos(np.radians(_MAX_DEGREES)):
            found[electrode] = located[best]["ch_name"]
    return found
