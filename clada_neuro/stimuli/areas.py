"""Interest-area tables: a row a word, joined into a row a presented text."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pandas as pd

from clada_neuro.errors import StimulusError
from clada_neuro.exports import FILE_ROW
from clada_neuro.stimuli.cells import typed
from clada_neuro.stimuli.columns import AREAS, Recognised
from clada_neuro.stimuli.critical import whole_number
from clada_neuro.stimuli.files import RawTable, as_text
from clada_neuro.stimuli.segments import join_words

_TRUE = {"1", "1.0", "true", "t", "yes", "y", "x"}
_FALSE = {"", "0", "0.0", "false", "f", "no", "n", "na", "nan"}


def join_areas(found: Recognised) -> Recognised:
    """Make a row a text of a table with a row a word: join the rows of each item × condition (or ``stimulus_id``) in the order of ``word_index``.

    The sentence is its areas joined by spaces, without one where ``space_after`` says so or, in a table without that
    column, where a script writes none; areas that hold spaces stay one word each (column ``words``). Without columns that
    name texts, the table is one. Columns that vary inside a text become lists, as does ``file_row``, the rows of its words
    in the file. A text takes the row number of its first area. Critical areas that follow each other are one critical region.

    Raises
    ------
    StimulusError
        No ``word_index``, an index that is not a number or occurs twice in a text, two critical areas apart.
    """
    if "word" not in found.columns:
        return found
    table, columns = found.table, found.columns
    if "word_index" not in columns:
        raise StimulusError(
            f"{table.origin} lacks the column 'sentence'; with a row a word it needs the column 'word_index'"
        )
    groups = _texts(table, columns)
    texts = [_in_order(table, group, columns["word_index"]) for group in groups]
    made = pd.DataFrame([_joined(table, text, columns) for text in texts])
    if all(row["sentence"].split() == row["words"] for row in made.to_dict("records")):
        made = made.drop(columns="words")
    own = typed(table, text=set(columns.values()))
    joined = {name: _per_text(table.frame[name], own[name], texts) for name in table.frame.columns}
    rows = [int(row) for row in table.rows] if table.is_text else list(range(len(table.rows)))
    joined |= {FILE_ROW: [[rows[place] for place in text.index] for text in texts]}
    frame = pd.DataFrame(joined | {name: made[name] for name in made}, dtype=object)
    kept = {name: column for name, column in columns.items() if name not in AREAS}
    first = [table.rows[group.index[0]] for group in groups]
    return replace(
        found,
        table=replace(table, frame=frame, rows=first),
        columns=kept | {name: name for name in made},
        index_base=0 if "is_critical" in columns else found.index_base,
    )


def _texts(table: RawTable, columns: Mapping[str, str]) -> list[pd.DataFrame]:
    """Return the rows of each text."""
    named = ("stimulus_id",) if "stimulus_id" in columns else ("item", "condition")
    keys = [columns[key] for key in named if key in columns]
    if not keys:
        return [table.frame]
    return [group for _, group in table.frame.groupby(keys, sort=False, dropna=False)]


def _per_text(cells: pd.Series, values: pd.Series, texts: list[pd.DataFrame]) -> list[object]:
    """Return one cell a text where none varies inside its text, else the values of each text's words."""
    parts = [list(cells[text.index]) for text in texts]
    if all(len({as_text(cell) for cell in part}) == 1 for part in parts):
        return [part[0] for part in parts]
    return [list(values[text.index]) for text in texts]


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
    spaced = _marked(table, text, found, "space_after") if "space_after" in found else None
    record: dict[str, object] = {"sentence": join_words(words, spaced), "words": words}
    if "is_critical" in found:
        marked = [index for index, yes in enumerate(_marked(table, text, found, "is_critical")) if yes]
        if marked and marked[-1] - marked[0] >= len(marked):
            apart = next(b for a, b in pairwise(marked) if b - a > 1)
            raise table.error(
                text.index[apart],
                "a second critical area in the same text, apart from the first; one region expected",
            )
        record["critical_index"] = "-".join(str(index) for index in dict.fromkeys(marked[:1] + marked[-1:]))
    return record


def _marked(table: RawTable, text: pd.DataFrame, found: Mapping[str, str], name: str) -> list[bool]:
    """Return the truth values of a column of a text."""
    cells = [as_text(cell).strip().lower() for cell in text[found[name]]]
    for position, cell in zip(text.index, cells, strict=True):
        if cell not in _TRUE | _FALSE:
            raise table.error(position, f"{name} '{cell}' given, 1 or 0 expected")
    return [cell in _TRUE for cell in cells]
