"""Interest-area tables: a row a word, joined into a row a presented text."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.columns import AREAS
from clada_neuro.stimuli.critical import whole_number
from clada_neuro.stimuli.files import RawTable, as_text

_TRUE = {"1", "1.0", "true", "t", "yes", "y", "x"}
_FALSE = {"", "0", "0.0", "false", "f", "no", "n", "na", "nan"}


def join_areas(table: RawTable, found: Mapping[str, str]) -> tuple[RawTable, dict[str, str]]:
    """Join the rows of each item × condition (or ``stimulus_id``) in the order of ``word_index``.

    The sentence is its areas joined by spaces; areas that hold spaces stay one word each (column ``words``).
    Columns that vary inside a text become lists. A text takes the row number of its first area.

    Returns
    -------
    RawTable, dict
        The table with a row a text, and our column names to its own.

    Raises
    ------
    StimulusError
        No ``word_index``, an index that is not a number or occurs twice in a text, two critical areas.
    """
    if "word_index" not in found:
        raise StimulusError(
            f"{table.origin} lacks the column 'sentence'; with a row a word it needs the column 'word_index'"
        )
    keys = [found[key] for key in (("stimulus_id",) if "stimulus_id" in found else ("item", "condition"))]
    groups = [group for _, group in table.frame.groupby(keys, sort=False, dropna=False)]
    texts = [_in_order(table, group, found["word_index"]) for group in groups]
    made = pd.DataFrame([_joined(table, text, found) for text in texts])
    if made["words"].map(_plain).all():
        made = made.drop(columns="words")
    columns = {name: _per_text([list(text[name]) for text in texts]) for name in table.frame.columns}
    frame = pd.DataFrame(columns | {name: made[name] for name in made}, dtype=object)
    kept = {name: column for name, column in found.items() if name not in AREAS}
    rows = [table.rows[group.index[0]] for group in groups]
    return replace(table, frame=frame, rows=rows), kept | {name: name for name in made}


def _per_text(values: list[list[object]]) -> list[object]:
    """Return one value a text where none varies inside its text, else each text's list."""
    if all(len({as_text(value) for value in cells}) == 1 for cells in values):
        return [cells[0] for cells in values]
    return list(values)


def _in_order(table: RawTable, group: pd.DataFrame, column: str) -> pd.DataFrame:
    places: dict[int, int] = {}
    for position, value in zip(group.index, group[column], strict=True):
        index = whole_number(table, position, as_text(value).strip(), "word_index")
        if index in places:
            first = table.rows[places[index]]
            raise table.error(
                position,
                f"word_index {index} already stands in row {first} of the same text; keep one reading of it",
            )
        places[index] = position
    return group.loc[[places[index] for index in sorted(places)]]


def _joined(table: RawTable, text: pd.DataFrame, found: Mapping[str, str]) -> dict[str, object]:
    words = [as_text(word).strip() for word in text[found["word"]]]
    record: dict[str, object] = {"sentence": " ".join(words), "words": words}
    if "is_critical" in found:
        cells = [as_text(cell).strip().lower() for cell in text[found["is_critical"]]]
        for position, cell in zip(text.index, cells, strict=True):
            if cell not in _TRUE | _FALSE:
                raise table.error(position, f"is_critical '{cell}' given, 1 or 0 expected")
        marked = [index for index, cell in enumerate(cells) if cell in _TRUE]
        if len(marked) > 1:
            raise table.error(text.index[marked[1]], "a second critical area in the same text; one expected")
        record["critical_index"] = str(marked[0]) if marked else ""
    return record


def _plain(words: list[str]) -> bool:
    return all(len(word.split()) == 1 for word in words)
