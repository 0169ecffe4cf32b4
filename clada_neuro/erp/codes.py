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
# Lines of a trigger port do not fall at one moment; a lower code that is meant lasts longer than that.
_SETTLED_S = 0.01


@quiet
def triggers_of(session: EegSession) -> pd.DataFrame:
    """Return the triggers of a recording, from its trigger channel, else its annotations: onset (seconds), code (text).

    Codes are what amplifiers number: ``Stimulus/S  5`` is 5, ``Response/R  5`` is R5. Where annotations of several kinds have one
    number (``word/5`` and ``press/5``), each keeps its name. Spans (bad, boundaries, new segments) are no triggers.

    Raises
    ------
    DataError
        When there are none.
    """
    raw = session.raw
    found = _of_channel(raw) if len(mne.pick_types(raw.info, meg=False, stim=True)) else _table([], [])
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
    return found


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


def _of_channel(raw: mne.io.BaseRaw) -> pd.DataFrame:
    """Return where the state of the trigger channel becomes another one, also where it does not return to 0 between two."""
    # BioSemi keeps the state of the amplifier in the upper bits.
    steps = mne.find_events(
        raw, output="step", consecutive=True, shortest_event=1, mask=0xFFFF, mask_type="and"
    )
    lasts = np.diff(steps[:, 0], append=raw.first_samp + raw.n_times)
    settled = lasts >= max(2, round(_SETTLED_S * raw.info["sfreq"]))
    begins = steps[(steps[:, 2] != 0) & ((steps[:, 2] > steps[:, 1]) | settled)]
    return _table((begins[:, 0] - raw.first_samp) / raw.info["sfreq"], begins[:, 2].astype(str))


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
