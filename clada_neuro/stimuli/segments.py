"""Where words begin and end when spaces do not say it: pieces joined into a text, a separator, character spans."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from clada_neuro.errors import StimulusError

# Scripts that write no spaces between words, by the names of their characters.
_SPACELESS = (
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "IDEOGRAPHIC",
    "FULLWIDTH",
    "HALFWIDTH",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
)
_CLOSING = re.compile(r"[.,;:!?…]")
_SPAN = re.compile(r"(\d+)\s*[-:]\s*(\d+)")


def join_words(words: Sequence[str], spaced: Sequence[bool] | None = None) -> str:
    """Join words that were given one by one, with spaces where `spaced` says so after each of them.

    Without `spaced` there is a space between two words unless one of the letters that meet is of a script that writes
    none (Chinese, Japanese, Thai, Lao, Khmer, Burmese).
    """
    if spaced is None:
        spaced = [not (_ends_spaceless(one) or _begins_spaceless(other)) for one, other in pairwise(words)]
    text = ""
    for place, word in enumerate(words):
        text += word if place + 1 == len(words) or not spaced[place] else f"{word} "
    return text


def join_pieces(pieces: Sequence[str]) -> str:
    """Join parts of a sentence as `join_words` does; what begins with a closing mark follows without a space."""
    given = [piece.strip() for piece in pieces if piece.strip()]
    spaced = [
        not (_ends_spaceless(one) or _begins_spaceless(other) or _CLOSING.match(other))
        for one, other in pairwise(given)
    ]
    return join_words(given, spaced)


def _begins_spaceless(word: str) -> bool:
    return unicodedata.name(word[:1] or " ", "").startswith(_SPACELESS)


def _ends_spaceless(word: str) -> bool:
    return _begins_spaceless(word[-1:])


class Cutter:
    """Cuts texts into words: at white space and, where there is one, at a separator that is no part of the text."""

    def __init__(self, separator: str | None = None) -> None:
        if separator == "":
            raise StimulusError("an empty separator given; give the characters between words, such as '|'")
        self.separator = separator

    def text(self, given: str) -> str:
        """Return a text without separators."""
        return given if self.separator is None else given.replace(self.separator, "")

    def words(self, given: str) -> list[str]:
        """Return the words of a text that still holds its separators."""
        pieces = [given] if self.separator is None else given.split(self.separator)
        return [word for piece in pieces for word in piece.split()]

    def ends_a_word(self, given: str) -> bool:
        """Return whether what follows this text begins a word."""
        return (
            not given
            or given[-1].isspace()
            or (self.separator is not None and given.endswith(self.separator))
        )


def words_at(spans: str | Sequence[Sequence[int]], sentence: str) -> list[str]:
    """Return the words at character spans, ``"0-2 2-3"`` or pairs, from 0 and with the end excluded.

    Raises
    ------
    StimulusError
        Spans that cannot be read, overlap, leave the sentence, or leave letters out.
    """
    if isinstance(spans, str):
        left = _SPAN.sub("", spans).strip(" ,;|")
        if left:
            raise StimulusError(
                f"the spans '{spans}' hold '{left}'; write them as 0-2 2-3, from 0 and with the end excluded"
            )
        pairs = [(int(start), int(end)) for start, end in _SPAN.findall(spans)]
    else:
        pairs = [(int(start), int(end)) for start, end in spans]
    words, last = [], 0
    for start, end in [*pairs, (len(sentence), len(sentence))]:
        between = sentence[last:start].strip()
        if start < last or end > len(sentence) or (end <= start and start < len(sentence)):
            raise StimulusError(
                f"the span {start}-{end} is empty, overlaps the one before it, or leaves the {len(sentence)} characters "
                "of the sentence"
            )
        if between:
            raise StimulusError(f"'{between}' is in no span; every letter belongs to a word")
        words.append(sentence[start:end].strip())
        last = end
    if not all(words[:-1]):
        raise StimulusError(f"a span of '{spans}' holds white space only")
    return words[:-1]
