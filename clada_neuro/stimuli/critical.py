"""Where the critical word stands: from ``*marks*``, a word, an index, or a word and an index that must agree.

A critical region of several words ("swum from", index 4-5) is measured as one word: `Located` says how many it covers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli import design
from clada_neuro.stimuli.files import RawTable
from clada_neuro.stimuli.texts import Texts

_WHOLE = re.compile(r"(\d{1,9})(?:[.,]0+)?")
# A missing index as R, pandas, SPSS and spreadsheets write it; a critical word may be "None" or "NA", an index not.
_MISSING = {"", "na", "n/a", "nan", "none", "null", "<na>", "."}


@dataclass(frozen=True)
class Located:
    """A critical word: as the caller wrote it, the index from 0 of its first word, and how many words it covers."""

    text: str
    index: int
    size: int = 1

    @property
    def stretch(self) -> slice:
        """The places of its words in the sentence."""
        return slice(self.index, self.index + self.size)


def locate(table: RawTable, texts: Texts, words: Sequence[Sequence[str]]) -> list[Located | None]:
    """Return the critical word of each text, given the words of each; None where it has neither word nor index.

    Raises
    ------
    StimulusError
        A word that is not in its sentence or stands there twice, an index outside the sentence or at another word,
        indices that could count from 0 or from 1.
    """
    indices = ["" if index.lower() in _MISSING else index for index in texts.indices]
    rows = [
        _Row(table, position, *cells)
        for position, cells in enumerate(zip(texts.sentences, words, texts.critical, indices, strict=True))
    ]
    base = _base(table, rows, texts.index_base)
    return [row.located(base) for row in rows]


@dataclass(frozen=True)
class _Row:
    table: RawTable
    position: int
    sentence: str
    words: Sequence[str]
    critical: str
    given: str

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        return design.word_spans(self.sentence, self.words)

    @cached_property
    def range(self) -> tuple[int, int]:
        """The index as given, and the last one of a region."""
        first, _, last = self.given.partition("-")
        ends = [whole_number(self.table, self.position, end.strip()) for end in (first, last or first)]
        return ends[0], ends[1]

    def error(self, message: str) -> StimulusError:
        return self.table.error(self.position, message)

    def size_at(self, index: int) -> int:
        """Return how many words the critical one covers from an index on, 0 where it is another word."""
        inside = 0 <= index < len(self.words)
        return design.size_at(self.critical, self.sentence, self.spans, index) if inside else 0

    def size_from(self, base: int) -> int:
        """Return how many words the critical one covers at its indices, 0 where other words stand there."""
        first, last = self.range
        size = self.size_at(first - base)
        return size if last in (first, first + size - 1) else 0

    def located(self, base: int) -> Located | None:
        if not self.given:
            return self._search() if self.critical else None
        first, last = (end - base for end in self.range)
        if not 0 <= first <= last < len(self.words):
            raise self.error(
                f"critical_index {self.given} (from {base}) is outside the {len(self.words)} words"
            )
        there = self.sentence[self.spans[first][0] : self.spans[last][1]]
        if not self.critical:
            return Located(design.bare(there), first, last - first + 1)
        if not (size := self.size_from(base)):
            raise self.error(
                f"critical word '{self.critical}' expected at critical_index {self.given} (from {base}), '{there}' found"
            )
        return Located(self.critical, first, size)

    def _search(self) -> Located:
        places = [
            Located(self.critical, index, size)
            for index in range(len(self.words))
            if (size := self.size_at(index))
        ]
        if len(places) == 1:
            return places[0]
        if places:
            message = f"occurs {len(places)} times in '{self.sentence}'; add a column critical_index"
        elif difference := design.lookalike(self.critical, self.words):
            message = f"is not in its sentence '{self.sentence}': {difference}"
        else:
            message = (
                f"is not in its sentence '{self.sentence}'; leave the cell empty where no word is critical"
            )
        raise self.error(f"critical word '{self.critical}' {message}")


def _base(table: RawTable, rows: Sequence[_Row], declared: int | None) -> int:
    if declared is not None:
        if declared not in (0, 1):
            raise StimulusError(f"index_base={declared!r} found, 0 or 1 expected")
        return declared
    possible = {0, 1}
    for row in rows:
        if not row.given or not row.critical:
            continue
        fitting = {base for base in (0, 1) if row.size_from(base)}
        if not possible & fitting:
            raise row.error(
                f"critical word '{row.critical}' is not at critical_index {row.given} "
                f"{'as the rows above count' if fitting else 'counted from 0 or from 1'}"
            )
        possible &= fitting
    if any(row.given for row in rows) and len(possible) > 1:
        raise StimulusError(
            f"{table.origin}: critical_index could count from 0 or from 1; say which: --index-base 0 or --index-base 1 "
            "(in Python read_stimuli(…, index_base=…))"
        )
    return min(possible)


def whole_number(table: RawTable, position: int, text: str, name: str = "critical_index") -> int:
    """Return a cell as a whole number; "2.0" is 2, as spreadsheets and data frames with empty cells write it.

    Raises
    ------
    StimulusError
        Anything else.
    """
    found = _WHOLE.fullmatch(text)
    if not found:
        raise table.error(position, f"{name} '{text}' is not a whole number")
    return int(found[1])
