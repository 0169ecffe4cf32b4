"""Which word each epoch was recorded on: metadata or event rows matched with the words of a trace.

Rows are matched on every label that both tables have: ``stimulus_id``, ``item``, ``condition``, ``sentence``,
``word_index`` and the ``word`` itself (compared without case and outer punctuation). So an index that points to
another word than the text says is a mismatch, not a silent match. Where several words fit, the critical one of
them is meant.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from clada_neuro.errors import AlignmentError
from clada_neuro.stimuli.keys import as_key, plain_words, without_conditions
from clada_neuro.stimuli.matching import NOWHERE, in_their_spelling, one_lower, only_text, places

LABELS = ("stimulus_id", "item", "condition", "sentence", "word_index", "word")
_NAMES = ("stimulus_id", "item", "condition")
_TEXT_LABELS = ("stimulus_id", "item", "sentence")


@dataclass(frozen=True)
class WordMatch:
    """Rows of metadata with their words.

    Attributes
    ----------
    row
        For each metadata row the position of its word in the words table, −1 where there is none.
    unmatched
        The metadata rows without a word, with a column ``reason``.
    on
        The labels that were compared.
    notes
        Labels that the metadata spell otherwise than the words.
    """

    row: pd.Series
    unmatched: pd.DataFrame
    on: tuple[str, ...]
    notes: tuple[str, ...] = ()


def with_labels(
    metadata: pd.DataFrame, more: Sequence[str] = (), what: str = "the metadata"
) -> tuple[pd.DataFrame, list[str]]:
    """Return a table with a column under each label that one of theirs spells otherwise, and what was taken for what.

    Names that differ in case, blanks and underscores are one: ``Item``, ``word index``. The caller's own column stays.

    Parameters
    ----------
    metadata
    more
        Further names that are looked for beside ``subject`` and `LABELS`.
    what
        What the table is, for the notes.
    """
    plain = {str(column): re.sub(r"[\W_]", "", str(column)).lower() for column in metadata}
    added = {}
    for label in ("subject", *LABELS, *more):
        found = [column for column, text in plain.items() if text == label.replace("_", "")]
        if label not in metadata and len(found) == 1:
            added[label] = found[0]
    notes = [f"column '{column}' of {what} taken for {label}" for label, column in added.items()]
    return metadata.assign(**{label: metadata[column] for label, column in added.items()}), notes


def match_words(
    metadata: pd.DataFrame,
    words: pd.DataFrame,
    on: Sequence[str] | None = None,
    *,
    what: str = "metadata",
    rows: str = "epochs",
) -> WordMatch:
    """Find the word of every metadata row.

    Parameters
    ----------
    metadata
        One row per epoch or event.
    words
        The words table of a trace.
    on
        Labels to compare; by default all of `LABELS` that both tables have.
    what, rows
        What the table and its rows are, for messages.

    Raises
    ------
    AlignmentError
        When the tables share no label that names a text, or no row finds its word.
    """
    if only := only_text(metadata, words, _TEXT_LABELS):
        metadata = metadata.assign(stimulus_id=only)
    labels = _shared(metadata, words, on, what)
    wanted, notes = _respelled(_keys(metadata, labels), offered := _keys(words, labels), rows)
    chosen = _unambiguous(offered, words)
    row = pd.Series(places(wanted, chosen), index=metadata.index)
    lost = row.index[row == NOWHERE]
    reasons = _reasons(wanted.loc[lost], offered)
    if len(lost) == len(metadata):
        first = reasons[0] if reasons else f"the {what} have no rows"
        advice = _counts_from_one(wanted, chosen) or f"use the stimuli's own labels in the {what}"
        raise AlignmentError(
            f"none of {len(metadata)} {rows} finds its word by {', '.join(labels)} ({first}); {advice}"
        )
    return WordMatch(row, metadata.loc[lost].assign(reason=reasons), labels, notes)


def add_next(words: pd.DataFrame, predictors: Sequence[str]) -> pd.DataFrame:
    """Add ``<predictor>_next``: the value of the word presented next, for windows that reach past its onset.

    Parameters
    ----------
    words
        With ``stimulus_id``, each text's words in order. A text's last word has no next one.
    """
    following = words.groupby("stimulus_id", sort=False)[list(predictors)].shift(-1).add_suffix("_next")
    return pd.concat([words, following], axis=1)


def _shared(
    metadata: pd.DataFrame, words: pd.DataFrame, on: Sequence[str] | None, called: str
) -> tuple[str, ...]:
    labels = tuple(on) if on else tuple(name for name in LABELS if name in metadata and name in words)
    if not on and without_conditions(words, metadata):
        labels = tuple(name for name in labels if name != "condition")
    for name in labels:
        for what, table in ((called, metadata), ("words", words)):
            if name not in table:
                raise AlignmentError(
                    f"the {what} have no column '{name}' to compare; they have {', '.join(table)}"
                )
    if not set(labels) & set(_TEXT_LABELS):
        raise AlignmentError(
            f"{called} and words share no column that names a text ({', '.join(_TEXT_LABELS)}); "
            f"the {called} have {', '.join(map(str, metadata.columns))}"
        )
    return labels


def _keys(table: pd.DataFrame, labels: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame({name: _key(table[name], name) for name in labels}, index=table.index)


def _key(values: pd.Series, name: str) -> pd.Series:
    """Make 7, 7.0 and '7' one key, and "Dog," and "dog"."""
    return plain_words(values) if name == "word" else as_key(values)


def _respelled(
    wanted: pd.DataFrame, offered: pd.DataFrame, rows: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the labels in the words' spelling, and what was spelled otherwise."""
    notes = []
    for name in [name for name in _NAMES if name in wanted]:
        spelled, note = in_their_spelling(name, wanted[name], offered[name], rows)
        wanted = wanted.assign(**{name: spelled})
        notes += [note] if note else []
    return wanted, tuple(notes)


def _counts_from_one(wanted: pd.DataFrame, offered: pd.DataFrame) -> str:
    """Say that `word_index` counts from 1, where that finds most of the words."""
    if "word_index" not in wanted:
        return ""
    found = (places(one_lower(wanted), offered) != NOWHERE).mean()
    return "word_index seems to count from 1: say so with --trial-index-base 1" if found > 0.5 else ""


def _unambiguous(offered: pd.DataFrame, words: pd.DataFrame) -> pd.DataFrame:
    """Return the keys that mean one word, indexed by its position in the words table."""
    offered = offered.reset_index(drop=True)
    several = offered.duplicated(keep=False)
    if "is_critical" not in words:
        return offered[~several]
    critical = offered[several & words["is_critical"].to_numpy(bool)]
    return pd.concat([offered[~several], critical[~critical.duplicated(keep=False)]])


def _reasons(lost: pd.DataFrame, offered: pd.DataFrame) -> list[str]:
    """Say for each lost row which label was the first that no word has, together with those before it."""
    if lost.empty:
        return []
    labels = list(lost.columns)
    known = [set(offered[labels[: n + 1]].itertuples(index=False, name=None)) for n in range(len(labels))]
    reasons = []
    for row in lost.itertuples(index=False, name=None):
        absent = [n for n in range(len(labels)) if row[: n + 1] not in known[n]]
        shown = labels[: absent[0] + 1] if absent else labels
        described = ", ".join(f"{name}={value}" for name, value in zip(shown, row, strict=False))
        reasons.append(f"{'no word has' if absent else 'several words have'} {described}")
    return reasons
