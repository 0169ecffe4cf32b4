"""The names of texts and words as two files spell them: one form to compare, and what a misspelt one must mean."""

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from clada_neuro.errors import AlignmentError
from clada_neuro.stimuli.files import as_text

ONE_CONDITION = "all"  # of stimuli that name none
_SHOWN = 3  # examples of spellings
_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")


def as_key(values: pd.Series) -> pd.Series:
    """Return values as stripped text: 7, 7.0 and ``" 7"`` are one key, a missing one is empty."""
    return pd.Series([as_text(value).strip() for value in values], index=values.index, dtype=object)


def without_conditions(words: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    """Return whether the stimuli have no conditions, so that those of trials or epochs are not compared.

    Raises
    ------
    AlignmentError
        If an item is presented in several conditions: which text were they?
    """
    if not ("condition" in words and words["condition"].eq(ONE_CONDITION).all()) or "condition" not in theirs:
        return False
    if as_key(theirs["condition"]).eq(ONE_CONDITION).all():
        return False
    if "item" in theirs and "stimulus_id" not in theirs:
        several = as_key(theirs["condition"]).groupby(as_key(theirs["item"])).nunique()
        if several.max() > 1:
            raise AlignmentError(
                f"the stimuli have no conditions, but item '{several.idxmax()}' was presented in {several.max()}; give the "
                "stimuli a column condition, or both files a stimulus_id"
            )
    return True


def respelled(given: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Return for each key that is not known the only known one from which it differs in case, blanks or zeros.

    Zeros are those before a number, and those after it as in ``1.0``.
    """
    meant: dict[str, set[str]] = {}
    for key in known:
        meant.setdefault(loose(key), set()).add(key)
    found = {}
    for key in set(given) - set(known) - {""}:
        candidates = meant.get(loose(key), set())
        if len(candidates) == 1:
            found[key] = next(iter(candidates))
    return dict(sorted(found.items()))


def spellings(name: str, given: pd.Series, meant: Mapping[str, str], what: str) -> str:
    """Say which keys were read as which, and in how many rows."""
    pairs = [f"'{theirs}' read as '{ours}'" for theirs, ours in meant.items()]
    more = f" and {len(pairs) - _SHOWN:,} more" if len(pairs) > _SHOWN else ""
    return f"{name} {', '.join(pairs[:_SHOWN])}{more}: {int(given.isin(list(meant)).sum()):,} {what}"


def nearest(key: str, known: Iterable[str]) -> str:
    """Return the known key that looks most like a key; empty when none is known."""
    return next(iter(difflib.get_close_matches(key, list(known), n=1, cutoff=0.0)), "")


def plain_words(values: pd.Series) -> pd.Series:
    """Return words as they are compared: without case and without punctuation around them."""
    words = as_key(values)
    plain = {word: re.sub(r"^\W+|\W+$", "", _folded(word)) for word in words.unique()}
    return words.map(plain)


def loose(key: str) -> str:
    """Return a key without case, blanks, and zeros before or after a number: what two spellings of one share."""
    text = _LEADING_ZEROS.sub("", re.sub(r"\s+", "", _folded(key)))
    return re.sub(r"(?<=\d)\.0+$", "", text)


def _folded(text: str) -> str:
    """Return a text without case, and with one spelling of accents and apostrophes."""
    return unicodedata.normalize("NFKC", text).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").casefold()
