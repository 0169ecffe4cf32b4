"""The parts of a stimulus: its words, its critical word, its regions, its key, and counterbalanced lists."""

import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from clada_neuro.errors import StimulusError

# Typographic, modifier and full-width apostrophes, and the grave and acute accents typed for them.
_APOSTROPHES = str.maketrans(dict.fromkeys("‘’‛ʼʹ′＇`´", "'"))


def holds_lists(column: pd.Series) -> bool:
    """Return whether a column named ``words`` or ``regions`` divides sentences, or is one of the caller's own."""
    return any(not isinstance(cell, str) and hasattr(cell, "__iter__") for cell in column)


def words_of(row: "pd.Series[Any] | Mapping[Hashable, Any]") -> list[str]:
    """Return a stimulus's words: its ``words`` where given, else the whitespace-separated strings."""
    words = row.get("words")
    if isinstance(words, str | None) or not hasattr(words, "__iter__"):
        return str(row["sentence"]).split()
    return [str(word) for word in words]


def word_spans(sentence: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Return the character span of each word, found in order in the sentence.

    Raises
    ------
    StimulusError
        A word that does not follow the one before it.
    """
    spans, end = [], 0
    for word in words:
        start = sentence.find(word, end)
        if start < 0:
            raise StimulusError(f"the word '{word}' is not found in order in '{sentence}'")
        end = start + len(word)
        spans.append((start, end))
    return spans


def bare(word: str) -> str:
    """Return a word without the punctuation attached to its ends; pure punctuation stays as it is."""
    start, end = 0, len(word)
    while start < end and _is_attached(word[start]):
        start += 1
    while end > start and _is_attached(word[end - 1]):
        end -= 1
    return word[start:end] or word


def _is_attached(character: str) -> bool:
    """Return whether a character is punctuation or invisible (zero-width space, soft hyphen, direction mark)."""
    return unicodedata.category(character).startswith("P") or unicodedata.category(character) == "Cf"


def same_text(text: str) -> str:
    """Return a text as it reads, whatever its encoding: composed, with straight apostrophes, nothing invisible."""
    seen = (character for character in text if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFC", "".join(seen)).translate(_APOSTROPHES)


def _folded(word: str) -> str:
    return " ".join(bare(same_text(word)).casefold().split())


def size_at(critical: str, sentence: str, spans: Sequence[tuple[int, int]], index: int) -> int:
    """Return how many words from `index` on a critical word or region covers, 0 where it does not stand there.

    Parameters
    ----------
    critical
        One word or several ("swum from"), apart as in the sentence; case, attached punctuation and the way of encoding
        do not matter.
    spans
        Characters of the words, as `word_spans` finds them.
    """
    wanted, start = _folded(critical), spans[index][0]
    for size, (first, last) in enumerate(spans[index:], start=1):
        if _folded(sentence[start:last]) == wanted and (
            size == 1 or wanted.endswith(_folded(sentence[first:last]))
        ):
            return size
        if not wanted.startswith(_folded(sentence[start:last])):
            return 0
    return 0


def lookalike(critical: str, words: Sequence[str]) -> str:
    """Return by which code points a critical word differs from a word that looks like it, else an empty string."""
    wanted = _folded(critical)
    for word in words:
        found = _folded(word)
        pairs = [(a, b) for a, b in zip(wanted, found, strict=False) if a != b]
        if len(wanted) == len(found) > len(pairs) and all(_look_alike(a, b) for a, b in pairs):
            return f"{_code_point(pairs[0][0])} in '{critical}' is {_code_point(pairs[0][1])} in '{word}'"
    return ""


def _look_alike(one: str, other: str) -> bool:
    """Return whether two characters may be taken for each other: other scripts (Latin a, Cyrillic а), or accents."""
    names = unicodedata.name(one, ""), unicodedata.name(other, "")
    base = unicodedata.normalize("NFD", one)[0] == unicodedata.normalize("NFD", other)[0]
    return base or names[0].split(" ")[0] != names[1].split(" ")[0]


def _code_point(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()


def region_labels(spans: str, words: Sequence[str], names: str | None = None) -> list[str]:
    """Return one region label a word.

    Parameters
    ----------
    spans
        The sentence cut by ``|`` ("The dog | barked | at night."), or one label a word ("s|v|adv|adv").
    words
        The words of the sentence.
    names
        Labels of the spans, ``|``-separated; the spans are numbered from 1 without them.

    Raises
    ------
    StimulusError
        Spans that do not add up to the sentence, or another number of names than of spans.
    """
    parts = [part.strip() for part in spans.split("|")]
    if _letters(parts) != _letters(words):
        if len(parts) == len(words):
            return parts
        raise StimulusError(
            f"the {len(parts)} regions in '{spans}' are neither the sentence cut by '|' "
            f"nor one label for each of its {len(words)} words"
        )
    labels = [name.strip() for name in names.split("|")] if names else [str(k + 1) for k in range(len(parts))]
    if len(labels) != len(parts):
        raise StimulusError(f"{len(labels)} region names found for {len(parts)} regions")
    owners = [label for label, part in zip(labels, parts, strict=True) for _ in _letters([part])]
    found, start = [], 0
    for word in words:
        end = start + len(_letters([word]))
        if len(set(owners[start:end])) > 1:
            raise StimulusError(f"the word '{word}' stands in two regions of '{spans}'")
        found.append(owners[start])
        start = end
    return found


def _letters(texts: Sequence[str]) -> str:
    """Return texts one after the other without white space."""
    return "".join("".join(text.split()) for text in texts)


def latin_square_lists(frame: pd.DataFrame) -> pd.Series:
    """Return the list (1 … number of conditions) of each row: one condition of an item a list, balanced.

    Item i's condition j goes to list (i + j) mod c + 1, items and conditions counted in order of appearance.

    Raises
    ------
    StimulusError
        An item that lacks a condition or has one twice.
    """
    conditions = {name: k for k, name in enumerate(dict.fromkeys(frame["condition"]))}
    items = {name: k for k, name in enumerate(dict.fromkeys(frame["item"]))}
    counts = frame.groupby(["item", "condition"], sort=False).size().unstack(fill_value=0)
    uneven = counts.index[(counts != 1).any(axis=1)]
    if len(uneven):
        raise StimulusError(
            f"item '{uneven[0]}' has not exactly one row in each of {len(conditions)} conditions"
        )
    numbers = frame["item"].map(items) + frame["condition"].map(conditions)
    return (numbers % len(conditions) + 1).rename("list")
