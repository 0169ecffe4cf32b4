"""What the channels of a recording are: eyes, mastoids and scalp told apart by name, and electrodes put in their places."""

import re

import mne

from clada_neuro.erp.channels import canonical, has_position, template

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


def described_channels(raw: mne.io.BaseRaw) -> tuple[mne.io.BaseRaw, list[str]]:
    """Return a recording with types by name and positions of a standard head where it has none, and what was done.

    Channels typed as EEG whose names are those of eyes, heart, muscles or sensors get their own type. BioSemi's A1, A2 … are
    renamed to the electrodes of the cap with so many of them, or placed on it. Electrodes of 10–20 names, in any case and with
    the amplifiers' additions, get the template's positions.
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
    known = {name: canonical(name) for name in scalp if canonical(name) in template()}
    if known:
        standard = mne.channels.make_standard_montage("colin27_1005")
        places = {canonical(name): place for name, place in standard.get_positions()["ch_pos"].items()}
        montage = mne.channels.make_dig_montage(
            {name: places[electrode] for name, electrode in known.items()}, coord_frame="mri", nasion=standard.get_positions()["nasion"],
            lpa=standard.get_positions()["lpa"], rpa=standard.get_positions()["rpa"],
        )  # fmt: skip
        raw.set_montage(montage, on_missing="ignore")
        notes.append(f"positions of {len(known)} electrodes are a standard head's")
    return raw, notes


def _biosemi(names: list[str]) -> tuple[int, list[str]] | None:
    """Return a BioSemi cap's size and its channels, where the recording has them all."""
    banked = [
        name for name in names if (found := _BIOSEMI.fullmatch(name)) and 1 <= int(found.group(1)) <= 32
    ]
    ordered = sorted(banked, key=lambda name: (name[0], int(name[1:])))
    expected = [f"{'ABCDEFGH'[number // 32]}{number % 32 + 1}" for number in range(len(ordered))]
    return (len(ordered), ordered) if len(ordered) in _CAPS and ordered == expected else None
