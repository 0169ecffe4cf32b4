"""Which trials find no word and why, in the keys of the two files, and how many may."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.errors import AlignmentError
from clada_neuro.losses import step
from clada_neuro.stimuli.keys import as_key, nearest, plain_words
from clada_neuro.stimuli.matching import NOWHERE

# A mistyped condition of a design with up to ten cells loses at least a tenth of the trials; single items that were
# dropped from the stimuli lose less.
MAX_LOST = 0.1
_SHOWN = 3  # examples in a message
NO_TEXT, NO_SUBJECT, OTHER_WORD = (
    "no such text among the stimuli",
    "the subject is empty",
    "another word stands there",
)


def reasons(
    trials: pd.DataFrame, wanted: pd.DataFrame, words: pd.DataFrame, targets: pd.DataFrame, found: np.ndarray
) -> pd.Series:
    """Return why each trial stays without a word, "" where it does not.

    Parameters
    ----------
    wanted
        The trials' keys, in the words' spelling.
    targets, found
        The words a trial can have, and the position among them of each trial's own; `NOWHERE` where there is none.
    """
    text_key = [name for name in wanted if name != "word_index"]
    known = set(zip(*(as_key(words[name]) for name in text_key), strict=True))
    texts = list(zip(*(wanted[name] for name in text_key), strict=True))
    columns = [{text[at] for text in known} for at in range(len(text_key))]
    why = {text: f"{NO_TEXT}: {_unknown(text_key, text, columns)}" for text in set(texts) - known}
    no_word = "no such word in the text" if "word_index" in wanted else "the text has no critical word"
    out = pd.Series([why.get(text, no_word) for text in texts], index=trials.index, dtype=object)
    located = found != NOWHERE
    out[located] = ""
    if "word" in trials and "word" in targets:
        there = targets["word"].iloc[found[located]]
        out[located] = _disagreements(trials["word"][located], there)
    if "subject" in trials:
        out[as_key(trials["subject"]).eq("").to_numpy()] = NO_SUBJECT
    return out


def steps(
    found: pd.Series, wanted: pd.DataFrame, words: pd.DataFrame, max_lost: float, hint: str = ""
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the trials lost, one step a kind of reason with examples and the nearest known key, and a warning.

    Raises
    ------
    AlignmentError
        When more than a share of `max_lost` is lost.
    """
    total, lost = len(found), found[found.ne("")]
    if lost.empty:
        return [step("trials without a word", total, 0, "every trial found its word")], []
    described = describe(lost, wanted, words)
    warnings = warn_of_loss("trials", total, len(lost), "; ".join(described.values()) + hint, max_lost)
    out, before = [], total
    for kind, reason in described.items():
        removed = int(lost.str.startswith(kind).sum())
        out.append(step("trials without a word", before, removed, reason))
        before -= removed
    return out, warnings


def warn_of_loss(what: str, total: int, lost: int, why: str, max_lost: float) -> list[str]:
    """Return a warning that some rows have no word, none where all have.

    Raises
    ------
    AlignmentError
        When they are more than a share of `max_lost`.
    """
    if not lost:
        return []
    summary = (
        f"{lost:,} of {total:,} {what} ({100 * lost / total:.1f} %) have no word and are left out: {why}"
    )
    if lost / total > max_lost:
        allowed = math.ceil(100 * lost / total) / 100
        raise AlignmentError(
            f"{summary}; correct the keys, or allow such a loss with --max-lost {allowed:g} (max_lost= in Python)"
        )
    return [f"warning: {summary}"]


def describe(lost: pd.Series, wanted: pd.DataFrame, words: pd.DataFrame) -> dict[str, str]:
    """Return each kind of reason with its most frequent examples."""
    kinds = lost.str.partition(": ")[0]
    out = {}
    for kind in kinds.value_counts().index:
        details = lost[kinds == kind].str.partition(": ")[2]
        counts = details[details != ""].value_counts(sort=kind != OTHER_WORD)
        shown = []
        for detail, count in counts.head(_SHOWN).items():
            first = details.index[details == detail][0]
            close = _nearest(str(detail), wanted.loc[first], words) if kind == NO_TEXT else ""
            shown.append(f"{detail} ({count:,} trial{'s' * (count > 1)}{close})")
        more = f", and {len(counts) - _SHOWN:,} more" if len(counts) > _SHOWN else ""
        out[str(kind)] = f"{kind}: {', '.join(shown)}{more}" if shown else str(kind)
    return out


def _unknown(names: Sequence[str], text: Sequence[str], known: Sequence[set[str]]) -> str:
    for name, value, values in zip(names, text, known, strict=True):
        if value not in values:
            return f"{name} '{value}'" if value else f"an empty {name}"
    return " with ".join(f"{name} '{value}'" for name, value in zip(names, text, strict=True))


def _nearest(detail: str, wanted: pd.Series, words: pd.DataFrame) -> str:
    for name, value in wanted.items():
        if value and detail == f"{name} '{value}'":
            return f"; nearest: '{nearest(value, set(as_key(words[str(name)])))}'"
    return ""


def _disagreements(given: pd.Series, there: pd.Series) -> list[str]:
    return [
        f"{OTHER_WORD}: '{theirs}' in the trials, '{ours}' in the text" if a and a != b else ""
        for theirs, ours, a, b in zip(given, there, plain_words(given), plain_words(there), strict=True)
    ]
