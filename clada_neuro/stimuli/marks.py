"""Critical words that are ``*marked*`` in their sentence, where no column names them."""

import re
from collections.abc import Sequence

from clada_neuro.stimuli.files import RawTable
from clada_neuro.stimuli.segments import Cutter

_MARK = re.compile(r"\*([^*\s](?:[^*]*[^*\s])?)\*")


def take_marks(
    table: RawTable, sentences: Sequence[str], cutter: Cutter
) -> tuple[list[str], list[str], list[str]]:
    """Return sentences without their marks, the marked words and their indices from 0 (empty where unmarked).

    Raises
    ------
    StimulusError
        Two marks in a sentence.
    """
    taken = [_take_mark(table, position, sentence, cutter) for position, sentence in enumerate(sentences)]
    return (
        [sentence for sentence, _, _ in taken],
        [word for _, word, _ in taken],
        [index for _, _, index in taken],
    )


def _take_mark(table: RawTable, position: int, sentence: str, cutter: Cutter) -> tuple[str, str, str]:
    found = list(_MARK.finditer(sentence))
    if not found:
        return sentence, "", ""
    if len(found) > 1:
        raise table.error(position, f"{len(found)} *marked* words found in '{sentence}', one expected")
    word, before, after = found[0][1], sentence[: found[0].start()], sentence[found[0].end() :]
    index = len(cutter.words(before)) - (not cutter.ends_a_word(before))
    return before + word + after, cutter.text(word), str(index)
