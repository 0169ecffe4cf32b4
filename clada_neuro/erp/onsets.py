"""Words whose onsets are written down: in a table that the user declares, or in the rows of a BIDS events file."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from clada_neuro.erp.codes import WORD
from clada_neuro.erp.metadata import LABELS, with_labels
from clada_neuro.erp.notes import most_frequent
from clada_neuro.erp.people import SESSION
from clada_neuro.erp.raw_sources import EegSession, is_bids
from clada_neuro.errors import AlignmentError, DataError
from clada_neuro.stimuli.keys import as_key

Counts = list[tuple[str, int, str]]


def from_onsets(
    subject: str, sessions: Sequence[EegSession], rows: pd.DataFrame
) -> tuple[list[pd.DataFrame], Counts]:
    """Return the words of one subject's table by session, and what became of them (see `triggers.tie`).

    Raises
    ------
    DataError
        For onsets that are no seconds, and several recordings whose words cannot be told apart.
    AlignmentError
        When no onset lies in a recording.
    """
    onsets = pd.to_numeric(rows["onset"], errors="coerce")
    if onsets.isna().any():
        row = int(onsets.isna().to_numpy().argmax())
        raise DataError(f"row {row + 2} of the words: onset '{rows['onset'][row]}' given, seconds expected")
    events, inside = [], pd.Series(False, index=rows.index)
    for session, mine in zip(sessions, _of_sessions(subject, sessions, rows), strict=True):
        within = mine & onsets.between(0, session.raw.times[-1])
        events.append(rows[within].assign(onset=onsets[within], event=WORD).sort_values("onset"))
        inside |= within
    if not inside.any():
        raise AlignmentError(
            f"subject '{subject}': none of {len(rows)} onsets lies in a recording; are they seconds from its start?"
        )
    counts = [
        ("tied to a word", int(inside.sum()), ""),
        ("word without an event", int((~inside).sum()), most_frequent(rows.loc[~inside, "onset"])),
    ]
    return [part.reset_index(drop=True) for part in events], counts


def from_bids(subject: str, sessions: Sequence[EegSession]) -> tuple[list[pd.DataFrame], Counts, list[str]]:
    """Return the events of one subject's BIDS files, what became of them, and which columns were taken for ours.

    Raises
    ------
    DataError
        For recordings without events, and events without a column that names words.
    AlignmentError
        When no event names a word.
    """
    tables, notes = [], []
    for session in sessions:
        if session.events is None:
            raise DataError(_no_events(session))
        table, taken = with_labels(session.events, what="the events")
        notes += taken
        types = table["trial_type"] if "trial_type" in table else pd.Series(pd.NA, index=table.index)
        tables.append(table.assign(event=types.astype("string").str.strip()))
    labels = [name for name in LABELS if any(name in table for table in tables)]
    if not labels:
        raise DataError(
            f"the events of '{sessions[0].name}' have no column that names a text or word ({', '.join(LABELS)}); they have "
            f"{', '.join(map(str, tables[0].columns.drop('event')))}: add them, or declare a table"
        )
    events, others, beyond, lost = [], [], [], []
    for session, table in zip(sessions, tables, strict=True):
        words = table.reindex(columns=labels).notna().any(axis=1)
        inside = table["onset"].between(0, session.raw.times[-1])
        typed = table.assign(event=table["event"].mask(words, WORD).fillna("n/a"))
        events.append(typed[inside].reset_index(drop=True))
        others.append(typed.loc[~words & inside, "event"])
        beyond.append(typed.loc[~words & ~inside, "event"])
        lost.append(table.loc[words & ~inside, "onset"].astype(object).fillna("onset n/a"))
    n_words = sum(int((part["event"] == WORD).sum()) for part in events)
    if not n_words:
        raise AlignmentError(
            f"subject '{subject}': no event within a recording names a text or word (by {', '.join(labels)})"
        )
    unnamed, elsewhere, outside = pd.concat(others), pd.concat(beyond), pd.concat(lost)
    counts = [
        ("tied to a word", n_words, ""),
        ("event without a word", len(unnamed), most_frequent(unnamed)),
        ("word without an event", len(outside), most_frequent(outside)),
    ]
    if len(elsewhere):
        counts.append(("event outside the recording", len(elsewhere), most_frequent(elsewhere)))
    return events, counts, list(dict.fromkeys(notes))


def _of_sessions(subject: str, sessions: Sequence[EegSession], rows: pd.DataFrame) -> list[pd.Series]:
    """Return for each session whether a row is of it, by the column ``session`` where there are several to tell apart."""
    names = [session.name for session in sessions]
    given = as_key(rows["session"]) if "session" in rows else None
    if len(names) == 1 and (given is None or (given.nunique() == 1 and not _session_of(names[0]))):
        return [pd.Series(True, index=rows.index)]
    if given is None:
        raise DataError(
            f"subject '{subject}' has {len(sessions)} recordings; name each word's in a column 'session' ({', '.join(names)})"
        )
    forms = [_forms(name) for name in names]
    alike = {form for form in set().union(*forms) if sum(form in one for one in forms) > 1}
    masks = [given.isin(one - alike) for one in forms]
    if not any(mask.any() for mask in masks):
        raise DataError(
            f"subject '{subject}': column 'session' of the words has {most_frequent(given)}, and the recordings are {', '.join(names)}"
        )
    return masks


def _forms(name: str) -> set[str]:
    """Return the names that a recording goes by: its file's, with and without endings, its folders', and its session's."""
    *folders, file = name.split("/")
    stem = re.sub(r"\.\w+(\.gz)?$", "", file)
    bare = re.sub(r"_(raw|eeg)$", "", stem)
    return {name, file, stem, bare, *folders, *_session_of(name)}


def _session_of(name: str) -> set[str]:
    """Return what a recording itself says of its session, in the file's name or a folder's: ``ses-02``, ``02``, and ``2``."""
    *folders, file = name.split("/")
    said = [re.search(r"ses-([A-Za-z0-9]+)", file), *map(SESSION.fullmatch, folders)]
    found: set[str] = set()
    for match in filter(None, said):
        label = next(filter(None, match.groups()))
        found |= {match.group(0), label, label.lstrip("0") or label}
    return found


def _no_events(session: EegSession) -> str:
    """Say what is missing: the folder's root, the events file, or a table."""
    file = next((Path(part) for part in session.raw.filenames if part), Path(session.name))
    root = next((folder for folder in file.resolve().parents if is_bids(folder)), None)
    declare = "declare the words of its triggers in a table with 'trigger' or 'onset'"
    if root is None:
        return f"'{session.name}' is no BIDS recording; {declare}"
    events = re.sub(r"_eeg\.\w+$", "_events.tsv", file.name)
    if (file.parent / events).is_file():
        return f"'{session.name}' lies in a BIDS folder; give its root, '{root}', or {declare}"
    return f"'{session.name}' has no events file ('{events}') beside it; add it, or {declare}"
