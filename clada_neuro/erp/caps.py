"""What the channels of a recording are: eyes, mastoids and scalp told apart by name, and electrodes put in their places."""

import re
from collections import Counter
from typing import TypeVar

import mne

from clada_neuro.erp.channels import canonical, has_position

_TYPES = {
    "eog": re.compile(r"(h|v)?e[ou]g.*|lo[12]|io[12]|so[12]", re.IGNORECASE),
    "ecg": re.compile(r"[ek][ck]g.*", re.IGNORECASE),
    "emg": re.compile(r"emg.*", re.IGNORECASE),
    "misc": re.compile(r"exg\d+|gsr\d*|erg\d+|resp|plet|temp|(acc|aux)[\s_]?.*|photo.*", re.IGNORECASE),
}
_BIOSEMI = re.compile(r"[A-H](\d{1,2})")
_CAPS = (16, 32, 64, 128, 160, 256)
# With letters for banks of 32: below 128 electrodes the places have 10–20 names, from 128 on names of their own.
_NAMED_BY_BANK = 128


Instance = TypeVar("Instance", mne.io.BaseRaw, mne.BaseEpochs)


def described_channels(raw: Instance) -> tuple[Instance, list[str]]:
    """Return a recording or its epochs with types by name and positions of a standard head where it has none, and what was done.

    Channels typed as EEG whose names are those of eyes, heart, muscles or sensors get their own type. BioSemi's A1, A2 … are
    renamed to the electrodes of the cap with so many of them, or placed on it. Electrodes of 10–20 names, in any case and with
    the amplifiers' additions, get their standard names and the template's positions.
    """
    raw, notes = raw.copy(), []
    eeg = [raw.ch_names[pick] for pick in mne.pick_types(raw.info, eeg=True, exclude=[])]
    types = {
        name: kind for name in eeg for kind, pattern in _TYPES.items() if pattern.fullmatch(name.strip())
    }
    if types:
        raw.set_channel_types(types, on_unit_change="ignore")
        notes.append(
            f"not EEG by their names: {', '.join(f'{name} ({kind})' for name, kind in types.items())}"
        )
    scalp = [name for name in eeg if name not in types]
    raw, scalp, renamed = _standard_names(raw, scalp)
    if renamed:
        notes.append(
            f"electrodes by their standard names: {', '.join(f'{old} ({new})' for old, new in renamed.items())}"
        )
    if any(has_position(raw.info["chs"][raw.ch_names.index(name)]) for name in scalp):
        return raw, notes
    if montage := _biosemi(scalp):
        size, names = montage
        cap = mne.channels.make_standard_montage(f"biosemi{size}")
        if size < _NAMED_BY_BANK:
            raw.rename_channels(dict(zip(names, cap.ch_names, strict=True)))
        raw.set_montage(cap, on_missing="ignore")
        notes.append(f"channels {names[0]} to {names[-1]} are those of a BioSemi cap of {size}")
        return raw, notes
    standard = mne.channels.make_standard_montage("colin27_1005")
    known = [name for name in scalp if name in standard.ch_names]
    if known:
        raw.set_montage(standard, on_missing="ignore")
        notes.append(f"positions of {len(known)} electrodes are a standard head's")
    return raw, notes


def _standard_names(raw: Instance, scalp: list[str]) -> tuple[Instance, list[str], dict[str, str]]:
    """Return the recording with electrodes spelled as the 10–05 system has them, so that people's recordings agree."""
    names = mne.channels.make_standard_montage("colin27_1005").ch_names
    standard = {
        canonical(name): name for name in names if canonical(name) == name.lower()
    }  # T7 rather than T3
    meant: dict[str, str] = {name: standard[canonical(name)] for name in scalp if canonical(name) in standard}
    taken = Counter([*meant.values(), *(name for name in raw.ch_names if name not in meant)])
    renamed = {old: new for old, new in meant.items() if old != new and taken[new] == 1}
    return raw.rename_channels(renamed), [renamed.get(name, name) for name in scalp], renamed


def _biosemi(names: list[str]) -> tuple[int, list[str]] | None:
    """Return a BioSemi cap's size and its channels, where the recording has them all."""
    banked = [
        name for name in names if (found := _BIOSEMI.fullmatch(name)) and 1 <= int(found.group(1)) <= 32
    ]
    ordered = sorted(banked, key=lambda name: (name[0], int(name[1:])))
    expected = [f"{'ABCDEFGH'[number // 32]}{number % 32 + 1}" for number in range(len(ordered))]
    return (len(ordered), ordered) if len(ordered) in _CAPS and ordered == expected else None
