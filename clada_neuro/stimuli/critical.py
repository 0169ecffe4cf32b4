"""Where the critical word stands: from ``*marks*``, a word, an index, or a word and an index that must agree."""

import re
from collections.abc import Sequence

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli import design
from clada_neuro.stimuli.files import RawTable

_MARK = re.compile(r"\*([^*\s](?:[^*]*[^*\s])?)\*")
_WHOLE = re.compile(r"(\d{1,9})(?:[.,]0+)?")
# A missing index as R, pandas, SPSS and spreadsheets write it; a critical word may be "None" or "NA", an index not.
_MISSING = {"", "na", "n/a", "nan", "none", "null", "<na>", "."}
Located = tuple[list[str | None], list[int | None]]


def take_marks(table: RawTable, sentences: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Return sentences without their marks, the marked words and their indices from 0 (empty where unmarked).

    Raises
    ------
    StimulusError
        Two marks in a sentence, or a mark around several words.
    """
    taken = [_take_mark(table, position, sentence) for position, sentence in enumerate(sentences)]
    return (
        [sentence for sentence, _, _ in taken],
        [word for _, word, _ in taken],
        [index for _, _, index in taken],
    )


def _take_mark(table: RawTable, position: int, sentence: str) -> tuple[str, str, str]:
    found = list(_MARK.finditer(sentence))
    if not found:
        return sentence, "", ""
    if len(found) > 1:
        raise table.error(position, f"{len(found)} *marked* words found in '{sentence}', one expected")
    word, before, after = found[0][1], sentence[: found[0].start()], sentence[found[0].end() :]
    if len(word.split()) != 1:
        raise table.error(position, f"the marked text '{word}' must be one word")
    begins_word = not before or before[-1].isspace()
    return before + word + after, word, str(len(before.split()) - (not begins_word))


def locate(
    table: RawTable,
    words: Sequence[Sequence[str]],
    critical: Sequence[str],
    indices: Sequence[str],
    declared: int | None,
) -> Located:
    """Return critical words and their indices from 0; None in rows that have neither word nor index.

    Parameters
    ----------
    words
        The words of each sentence.
    critical, indices
        Cells as text, empty where missing.
    declared
        0 or 1, what the indices count from; None to find out from the critical words.

    Raises
    ------
    StimulusError
        A word that is not in its sentence or stands there twice, an index outside the sentence or at another word,
        indices that could count from 0 or from 1.
    """
    indices = ["" if index.lower() in _MISSING else index for index in indices]
    base = _base(table, words, critical, indices, declared)
    found = [
        _locate(table, position, row, word, index, base)
        for position, (row, word, index) in enumerate(zip(words, critical, indices, strict=True))
    ]
    return [word for word, _ in found], [index for _, index in found]


def _locate(
    table: RawTable, position: int, words: Sequence[str], critical: str, text: str, base: int
) -> tuple[str | None, int | None]:
    if not text:
        return (critical, _search(table, position, critical, words)) if critical else (None, None)
    index = whole_number(table, position, text) - base
    if not 0 <= index < len(words):
        raise table.error(position, f"critical_index {text} (from {base}) is outside the {len(words)} words")
    if critical and not design.matches(critical, words[index]):
        raise table.error(
            position,
            f"critical word '{critical}' expected at critical_index {text} (from {base}), '{words[index]}' found",
        )
    return critical or design.bare(words[index]), index


def _search(table: RawTable, position: int, critical: str, words: Sequence[str]) -> int:
    places = design.positions_of(critical, words)
    if len(places) == 1:
        return places[0]
    sentence = " ".join(words)
    if places:
        message = f"occurs {len(places)} times in '{sentence}'; add a column critical_index"
    elif len(critical.split()) > 1:
        message = "is several words; name the one that is measured"
    elif difference := design.lookalike(critical, words):
        message = f"is not in its sentence '{sentence}': {difference}"
    else:
        message = f"is not in its sentence '{sentence}'; leave the cell empty where no word is critical"
    raise table.error(position, f"critical word '{critical}' {message}")


def _base(
    table: RawTable,
    words: Sequence[Sequence[str]],
    critical: Sequence[str],
    indices: Sequence[str],
    declared: int | None,
) -> int:
    if declared is not None:
        if declared not in (0, 1):
            raise StimulusError(f"index_base={declared!r} found, 0 or 1 expected")
        return declared
    possible = {0, 1}
    for position, (row, word, text) in enumerate(zip(words, critical, indices, strict=True)):
        if not text or not word:
            continue
        index = whole_number(table, position, text)
        fitting = {base for base in (0, 1) if stands_at(word, row, index - base)}
        if not possible & fitting:
            raise table.error(
                position,
                f"critical word '{word}' is not at critical_index {text} "
                f"{'as the rows above count' if fitting else 'counted from 0 or from 1'}",
            )
        possible &= fitting
    if any(indices) and len(possible) > 1:
        raise StimulusError(
            f"{table.origin}: critical_index could count from 0 or from 1; say which: --index-base 0 or --index-base 1 "
            "(in Python read_stimuli(…, index_base=…))"
        )
    return min(possible)


def stands_at(critical: str, words: Sequence[str], index: int) -> bool:
    """Return whether a critical word is the word of this index from 0."""
    return 0 <= index < len(words) and design.matches(critical, words[index])


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
