"""A critical region of several words counts as one word, in its text and in the columns with a cell a word."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import pandas as pd

from clada_neuro.exports import FILE_ROW
from clada_neuro.stimuli import design
from clada_neuro.stimuli.critical import Located
from clada_neuro.stimuli.files import RawTable, as_text
from clada_neuro.stimuli.words import Divided

_Of = TypeVar("_Of")


def merge_regions(
    table: RawTable, sentences: Sequence[str], divided: Divided, located: Sequence[Located | None]
) -> tuple[RawTable, Divided]:
    """Make one word of each critical region of several; say how many there are."""
    several = {position: one for position, one in enumerate(located) if one and one.size > 1}
    if not several:
        return table, divided
    words = list(divided.words)
    regions = None if divided.regions is None else list(divided.regions)
    for position, one in several.items():
        spans = design.word_spans(sentences[position], words[position])[one.stretch]
        words[position] = _with(words[position], one, sentences[position][spans[0][0] : spans[-1][1]])
        if regions is not None:
            labels = dict.fromkeys(regions[position][one.stretch])
            regions[position] = _with(regions[position], one, " + ".join(labels))
    first = min(several)
    note = (
        f"critical regions of several words count as one word in {len(several)} of {len(sentences)} texts (first in row "
        f"{table.rows[first]}, '{several[first].text}'); word_index counts them as one"
    )
    return _merge_cells(table, several), Divided(words, regions, [*divided.notes, note])


def _with(row: Sequence[_Of], region: Located, merged: _Of) -> list[_Of]:
    """Return a text's words, or what is given of each, with one entry for those of the region."""
    return [*row[: region.stretch.start], merged, *row[region.stretch.stop :]]


def _merge_cells(table: RawTable, several: Mapping[int, Located]) -> RawTable:
    """Give a region one cell in the columns with a cell a word.

    It is what the words share, else their texts in a row; of different numbers there is none.
    """
    frame = table.frame.copy()
    for name in frame:
        cells = list(frame[name])
        for position, region in several.items():
            if isinstance(cells[position], list):
                merged = _merged(name, cells[position][region.stretch])
                cells[position] = _with(cells[position], region, merged)
        frame[name] = pd.Series(cells, index=frame.index, dtype=object)
    return replace(table, frame=frame)


def _merged(name: str, cells: list[object]) -> object:
    if name == FILE_ROW or len({as_text(cell) for cell in cells}) == 1:
        return cells[0]
    return " ".join(map(str, cells)) if all(isinstance(cell, str) for cell in cells) else None
