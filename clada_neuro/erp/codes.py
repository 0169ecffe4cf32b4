"""Triggers of a recording: when they came and their codes, whatever amplifier or program wrote them."""

import re
from collections.abc import Collection

import mne
import numpy as np
import pandas as pd

from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.raw_sources import EegSession
from clada_neuro.errors import DataError

WORD = "word"  # the type of the events that are words
NO_WORD = "no_word"  # their column that says why one is not in the table of words; empty where it is
_SPAN = re.compile(r"(bad|edge|boundary|new segment|sync status|comment)", re.IGNORECASE)
_CODE = re.compile(r"(?:(?P<kind>.*)/)?\s*(?P<letter>[SR]?)\s*0*(?P<number>\d+)(?:\.0+)?\s*")
_RESPONSE = "response"
# Lines of a trigger port do not change at one moment: a state that has some lines as in the code before it and the others as in the
# one after it is no code if it lasts no longer than this. Falling lines are slower.
_FALL_S, _CHANGE_S = 0.01, 0.002
_LOWER = 0xFFFF  # BioSemi keeps the state of the amplifier in the upper bits
_SUMS = ("STI101", "STI 014")  # channels of one device that hold what its others say line by line


@quiet
def triggers_of(session: EegSession) -> tuple[pd.DataFrame, pd.Series]:
    """Return the triggers of a recording, from its trigger channels, else its annotations, and the codes that were taken for none.

    Codes are what amplifiers number: ``Stimulus/S  5`` is 5, ``Response/R  5`` is R5. Where annotations of several kinds have one
    number (``word/5`` and ``press/5``), each keeps its name. Spans (bad, boundaries, new segments) are no triggers, nor is what a
    trigger channel shows while its lines change.

    Returns
    -------
    triggers : pandas.DataFrame
        ``onset`` (seconds), ``code`` (text).
    passing : pandas.Series
        Codes of the short steps between two codes of a trigger channel that were left out.

    Raises
    ------
    DataError
        When there are none.
    """
    raw = session.raw
    found, passing = _of_channels(raw)
    if found.empty and (numbers := _numbered(raw.annotations.description)):
        events, names = mne.events_from_annotations(raw, event_id=numbers)
        codes = _codes(names)
        found = _table(
            (events[:, 0] - raw.first_samp) / raw.info["sfreq"], [codes[number] for number in events[:, 2]]
        )
    if found.empty:
        raise DataError(
            f"'{session.name}' has no triggers, neither in a trigger channel nor as annotations; give the words' onsets in a table "
            "with a column 'onset' (seconds)"
        )
    return found, passing


def code_of(value: object) -> str:
    """Return a trigger's code as text: 5, 5.0, "S  5" and "Stimulus/S  5" are 5, "R  5" and "Response/R  5" R5."""
    found = _CODE.fullmatch(str(value))
    if found is None:
        return str(value).strip()
    pressed = found["letter"] == "R" or (found["kind"] or "").lower() == _RESPONSE
    return f"{'R' if pressed else ''}{found['number']}"


def codes_meant(values: pd.Series, recorded: Collection[str]) -> pd.Series:
    """Return the codes that a table declares; a name that was recorded as it stands is meant as it stands."""
    return values.map(lambda value: text if (text := str(value).strip()) in recorded else code_of(value))


def _of_channels(raw: mne.io.BaseRaw) -> tuple[pd.DataFrame, pd.Series]:
    """Return where the state of a trigger channel becomes another one, and the codes of steps that only pass."""
    channels = [raw.ch_names[at] for at in mne.pick_types(raw.info, meg=False, stim=True)]
    found, passing = [_table([], [])], [pd.Series(dtype=object)]
    for name in [name for name in _SUMS if name in channels][:1] or channels:
        steps = mne.find_events(
            raw, name, output="step", consecutive=True, shortest_event=1, mask=_LOWER, mask_type="and"
        )
        passes = _passes(steps, raw)
        begins = steps[(steps[:, 2] != 0) & ~passes]
        onsets = (begins[:, 0] - raw.first_samp) / raw.info["sfreq"]
        found.append(_table(onsets, begins[:, 2].astype(str)))
        passing.append(pd.Series(steps[passes, 2].astype(str), dtype=object))
    whole = pd.concat([part for part in found if len(part)] or found)
    return whole.sort_values("onset", kind="stable", ignore_index=True), pd.concat(passing, ignore_index=True)


def _passes(steps: np.ndarray, raw: mne.io.BaseRaw) -> np.ndarray:
    """Return which steps (sample, code before, code) of one channel are no codes but lines on their way to the next one.

    They are short, and each line is as before or as after it; so a pulse from 0 and back to 0 is a code however short it is.
    """
    before, code, after = steps[:, 1], steps[:, 2], np.append(steps[1:, 2], 0)
    lasts = np.diff(steps[:, 0], append=raw.first_samp + raw.n_times) / raw.info["sfreq"]
    one_sample = 1.5 / raw.info["sfreq"]
    short = lasts < np.maximum(np.where(code < before, _FALL_S, _CHANGE_S + 1e-6), one_sample)
    mixed: np.ndarray = (code != 0) & ((code ^ before) & (code ^ after) == 0) & short
    return mixed


def _table(onsets: object, codes: object) -> pd.DataFrame:
    return pd.DataFrame({"onset": np.asarray(onsets, float), "code": np.asarray(codes, object)})


def _numbered(descriptions: np.ndarray) -> dict[str, int]:
    kept = [str(name) for name in dict.fromkeys(descriptions) if not _SPAN.match(name)]
    return {name: number for number, name in enumerate(kept, start=1)}


def _codes(names: dict[str, int]) -> dict[int, str]:
    """Return the code of each of MNE's numbers; names of several kinds that would have one code stay as they are."""
    kinds: dict[str, set[str]] = {}
    for name in names:
        kinds.setdefault(code_of(name), set()).add(_kind(name))
    return {
        number: code if len(kinds[code := code_of(name)]) == 1 else name.strip()
        for name, number in names.items()
    }


def _kind(name: str) -> str:
    found = _CODE.fullmatch(name)
    kind = "" if found is None else (found["kind"] or "").strip().lower()
    return "" if kind in ("stimulus", _RESPONSE) else kind
