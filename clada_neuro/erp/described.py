"""What reviewers ask of a recording and its processing, filled from the files; what they do not say is named as a gap.

The fields follow the Agreed Reporting Template for EEG Methodology (ARTEM-IS; Styles et al. 2021). Sources are the recordings' own
headers, BIDS sidecars and participants, the epochs, and the measurement that was made.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pandas as pd

from clada_neuro.erp.channels import eeg_channels, has_position
from clada_neuro.erp.measurement import Measurement
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.raw_sources import EegSession
from clada_neuro.erp.sources import Recordings

Fields = dict[str, Any]
# Field of BIDS' eeg.json: what it is called here.
_SIDECAR = {
    "Manufacturer": "amplifier maker",
    "ManufacturersModelName": "amplifier model",
    "CapManufacturer": "cap maker",
    "SoftwareVersions": "acquisition software",
    "InstitutionName": "institution",
    "EEGReference": "reference while recording",
    "EEGGround": "ground",
    "EEGPlacementScheme": "placement of electrodes",
    "HardwareFilters": "hardware filters",
    "SoftwareFilters": "software filters",
}


@quiet
def described(
    epochs: Recordings,
    measurement: Measurement,
    baseline: str,
    recordings: Mapping[str, Sequence[EegSession]] | None = None,
    channels: Mapping[str, Sequence[str]] | None = None,
) -> Fields:
    """Return the description as sections of fields, and ``gaps``: the fields that no file fills.

    Parameters
    ----------
    epochs
        Those that were analyzed.
    measurement, baseline
        Windows and electrodes, and what was done with the baseline, in words.
    recordings
        The continuous recordings that they were cut from, where they were.
    channels
        The electrodes that each component was measured at, where these recordings lack some of its own.
    """
    sessions = [one for many in (recordings or {}).values() for one in many]
    sections = {
        "participants": _participants(epochs, sessions),
        "recording": _recording(epochs, sessions),
        "processing": _processing(epochs, baseline),
        "measurement": {
            part.name: f"mean of {', '.join((channels or {}).get(part.name, part.roi))}, {part.window}"
            for part in measurement.components
        },
    }
    gaps = [
        f"{name}: {field}"
        for name, fields in sections.items()
        for field, value in fields.items()
        if value is None
    ]
    return {**sections, "gaps": gaps}


def _participants(epochs: Recordings, sessions: Sequence[EegSession]) -> Fields:
    table = _participants_table(sessions)
    found: Fields = {"number analyzed": len(epochs.epochs)}
    for column in ("age", "sex", "hand"):
        known = table[column].dropna() if column in table else pd.Series(dtype=object)
        if column == "age":
            numbers = pd.to_numeric(known, errors="coerce").dropna()
            found[column] = (
                f"{numbers.mean():.1f} years ({numbers.min():g}–{numbers.max():g})" if len(numbers) else None
            )
        else:
            counts = known.astype(str).value_counts()
            found[column] = ", ".join(f"{n} {value}" for value, n in counts.items()) or None
    return found


def _recording(epochs: Recordings, sessions: Sequence[EegSession]) -> Fields:
    sidecars = [_sidecar(session) for session in sessions]
    infos = [session.raw.info for session in sessions] or [part.info for part in epochs.epochs.values()]
    seconds = [session.raw.times[-1] for session in sessions]
    channels = eeg_channels(infos[0])
    located = [one for one in infos[0]["chs"] if one["ch_name"] in channels and has_position(one)]
    power = _same(
        [
            sidecar.get("PowerLineFrequency") or info.get("line_freq")
            for sidecar, info in _paired(sidecars, infos)
        ]
    )
    return {
        **{said: _same([sidecar.get(name) for sidecar in sidecars]) for name, said in _SIDECAR.items()},
        "files": f"{len(sessions)} recordings, {sum(seconds) / 60:.1f} minutes" if sessions else None,
        "sampling rate": f"{infos[0]['sfreq']:g} Hz",
        "electrodes": f"{len(channels)}: {', '.join(channels)}",
        "positions": f"of {len(located)} electrodes" if located else None,
        "line frequency": f"{power:g} Hz" if isinstance(power, int | float) else power,
        "impedance": None,  # no format that is read here holds it
    }


def _processing(epochs: Recordings, baseline: str) -> Fields:
    parts = epochs.epochs
    first = next(iter(parts.values()))
    bad = {name: part.info["bads"] for name, part in parts.items() if part.info["bads"]}
    kept, dropped = sum(map(len, parts.values())), epochs.dropped
    reasons = dropped.groupby("reason")["n"].sum() if len(dropped) else {}
    reached = (
        [part.info["highpass"] for part in parts.values()],
        [part.info["lowpass"] for part in parts.values()],
    )
    high, low = (_same(values) for values in reached)
    nyquist = first.info["sfreq"] / 2
    counts = [len(part) for part in parts.values()]
    return {
        "high-pass filter": f"{high:g} Hz" if isinstance(high, float) and high > 0 else None,
        "low-pass filter": f"{low:g} Hz" if isinstance(low, float) and low < nyquist - 1e-6 else None,
        "reference": "changed by the user of MNE; its channels are not in the file"
        if first.info["custom_ref_applied"]
        else None,
        "bad channels": "; ".join(f"{name}: {', '.join(names)}" for name, names in bad.items())
        or "none marked",
        "correction of artifacts": f"{len(first.info['projs'])} projectors" if first.info["projs"] else None,
        "epochs": f"{1e3 * first.tmin:g} to {1e3 * first.tmax:g} ms".replace("-", "−"),
        "baseline": baseline,
        "trials": f"{kept:,} kept; rejected: "
        + (", ".join(f"{n} {reason}" for reason, n in reasons.items()) or "none"),
        "trials a person": " to ".join(str(n) for n in dict.fromkeys([min(counts), max(counts)])),
    }


def _paired(sidecars: Sequence[Fields], infos: Sequence[mne.Info]) -> list[tuple[Fields, mne.Info]]:
    return list(zip(sidecars or [{}] * len(infos), infos, strict=True))


def _same(values: Sequence[Any]) -> Any:
    """Return the value that all share, all of them as text where they differ, None where nothing is known."""
    known = [value for value in values if value not in (None, "", "n/a")]
    known = [float(value) if isinstance(value, int | float | np.number) else str(value) for value in known]
    different = list(dict.fromkeys(known))
    if len(different) > 1:
        return ", ".join(f"{value:g}" if isinstance(value, float) else value for value in different)
    return different[0] if different else None


def _sidecar(session: EegSession) -> Fields:
    """Return the ``eeg.json`` beside a recording; empty where there is none or it cannot be read."""
    files = [Path(file) for file in session.raw.filenames if file]
    if not files:
        return {}
    try:
        found = json.loads(files[0].with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _participants_table(sessions: Sequence[EegSession]) -> pd.DataFrame:
    """Return the ``participants.tsv`` of a BIDS folder; empty where there is none."""
    for session in sessions[:1]:
        for file in session.raw.filenames:
            for folder in Path(file or ".").parents[:4]:
                if (path := folder / "participants.tsv").is_file():
                    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["n/a"], dtype=str)
    return pd.DataFrame()
