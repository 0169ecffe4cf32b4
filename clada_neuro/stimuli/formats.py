"""Stimuli in the formats psycholinguists keep them in, to one table with a row a presented text.

`read_stimuli` accepts CSV, TSV, semicolon CSV, xlsx, ``.stims`` and data frames; a table with a row a sentence
or, as in interest-area reports, a row a word.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli import design
from clada_neuro.stimuli.areas import join_areas
from clada_neuro.stimuli.cells import LABELS, typed
from clada_neuro.stimuli.columns import AREAS, NAMES, Declared, acting, find_columns, without_own
from clada_neuro.stimuli.critical import locate, stands_at, take_marks
from clada_neuro.stimuli.design import words_of
from clada_neuro.stimuli.files import RawTable, as_text, from_frame, read_lines, read_table
from clada_neuro.stimuli.oddities import oddities

_ORDER = (*NAMES[:7], "words", "regions")


def read_stimuli(
    source: str | Path | pd.DataFrame,
    *,
    columns: Declared | None = None,
    index_base: int | None = None,
    encoding: str | None = None,
    sheet: str | int = 0,
) -> pd.DataFrame:
    """Read stimuli into one row a presented text.

    Parameters
    ----------
    source
        A ``.csv``, ``.tsv``, ``.txt`` (comma, tab or semicolon), ``.xlsx`` or ``.stims`` file, or a data frame.
    columns
        Our names to the file's, for instance ``{"item": "Frame", "critical_word": "target"}``. Names that differ
        only in case, spaces or underscores need no entry; an empty string says that no column plays a part, as
        ``{"context": ""}`` for a factor of that name. A table with ``word`` and ``word_index`` in place of
        ``sentence`` has a row a word.
    index_base
        0 or 1: what ``critical_index`` counts from. It must be declared unless ``critical_word`` is there too
        and agrees with one of both throughout.
    encoding
        The file's encoding, when it is neither UTF-8 nor UTF-16 with a mark.
    sheet
        Sheet of a workbook.

    Returns
    -------
    DataFrame
        ``stimulus_id`` (unique), ``item``, ``condition``, ``sentence``, ``critical_word`` (text or missing),
        ``critical_index`` (``Int64``, words from 0); where given ``context``, ``words`` (list) and ``regions``
        (list, one label a word); then every column of the source. Row order is the source's. A column of the
        source that has one of these names and other values is kept beside as ``<name>_original``. In
        ``attrs["notes"]`` stands which columns play a part beyond these, and what is odd about the texts.

    Raises
    ------
    StimulusError
        One line with file and row: a missing column, a critical word that is not in its sentence, an empty
        file, an item × condition pair or a stimulus id given twice, a missing condition.
    """
    if isinstance(source, pd.DataFrame):
        table = from_frame(source)
    elif Path(source).suffix.lower() == ".stims":
        table = _number_lines(read_lines(source, encoding))
    else:
        table = read_table(source, encoding, sheet)
    declared = columns or {}
    named = found = find_columns(table, declared)
    if "word" in named:
        table, found = join_areas(table, named)
        index_base = 0 if "is_critical" in named else index_base
    found = without_own(table, found, declared)
    made = _assemble(table, found, index_base)
    acted = {name: column for name, column in named.items() if name in found or name in AREAS}
    contexts = made["context"] if "context" in made else [""] * len(made)
    texts = [f"{context} {sentence}" for context, sentence in zip(contexts, made["sentence"], strict=True)]
    made.attrs["notes"] = acting(table, acted) + oddities(table, texts)
    return made


def as_stimuli(source: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Return a stimulus table as it is, and read anything else, a data frame of the caller's own included."""
    return source if isinstance(source, pd.DataFrame) and _is_read(source) else read_stimuli(source)


def _is_read(frame: pd.DataFrame) -> bool:
    """Return whether a frame is as `read_stimuli` makes them: nothing is left to be found, counted or made text."""
    texts = ("stimulus_id", "item", "condition", "sentence")
    if not all(name in frame and all(isinstance(cell, str) for cell in frame[name]) for name in texts):
        return False
    if "critical_word" in frame and "critical_index" in frame:
        return _is_located(frame)
    found = find_columns(from_frame(frame), {})
    return set(found) <= {*texts, "context"} and all(name == found[name] for name in found)


def _is_located(frame: pd.DataFrame) -> bool:
    named, counted = frame["critical_word"].notna(), frame["critical_index"].notna()
    if not pd.api.types.is_integer_dtype(frame["critical_index"]) or not named.equals(counted):
        return False
    return all(
        stands_at(str(row["critical_word"]), words_of(row), row["critical_index"])
        for row in frame[named].to_dict("records")
    )


def _number_lines(table: RawTable) -> RawTable:
    return replace(table, frame=table.frame.assign(item=table.rows, condition="all"))


def _assemble(table: RawTable, found: Mapping[str, str], index_base: int | None) -> pd.DataFrame:
    frame = table.frame

    def cells(name: str) -> list[str]:
        return (
            [as_text(value).strip() for value in frame[found[name]]] if name in found else [""] * len(frame)
        )

    out: dict[str, list] = {"item": cells("item"), "condition": cells("condition")}
    sentences = [as_text(value) for value in frame[found["sentence"]]]
    for position, (sentence, item, condition) in enumerate(
        zip(sentences, out["item"], out["condition"], strict=True)
    ):
        for name, value in (("sentence", sentence.strip()), ("item", item), ("condition", condition)):
            if not value:
                raise table.error(position, f"the {name} is empty; every row needs one")
    critical, indices = cells("critical_word"), cells("critical_index")
    if "critical_word" not in found and "critical_index" not in found:
        sentences, critical, indices = take_marks(table, sentences)
        index_base = 0
    words = _words(table, found, sentences)
    out["sentence"] = sentences
    out["critical_word"], out["critical_index"] = locate(table, words, critical, indices, index_base)
    if "words" in found:
        out["words"] = words
    if "regions" in found:
        out["regions"] = _regions(table, list(frame[found["regions"]]), cells("region_names"), words)
    if "context" in found:
        out["context"] = cells("context")
    out["stimulus_id"] = _identify(table, cells("stimulus_id") if "stimulus_id" in found else None, out)
    return _with_originals(table, found, out)


def _words(table: RawTable, found: Mapping[str, str], sentences: list[str]) -> list[list[str]]:
    if "words" not in found:
        return [sentence.split() for sentence in sentences]
    out = []
    for position, (value, sentence) in enumerate(zip(table.frame[found["words"]], sentences, strict=True)):
        words = value.split("|") if isinstance(value, str) else [str(word) for word in value]
        try:
            design.word_spans(sentence, words)
        except StimulusError as error:
            raise table.error(position, str(error)) from None
        out.append(words)
    return out


def _regions(table: RawTable, given: list, names: list[str], words: list[list[str]]) -> list[list[str]]:
    out = []
    for position, (value, row) in enumerate(zip(given, words, strict=True)):
        spans = value if isinstance(value, str) else "|".join(map(str, value))
        try:
            out.append(design.region_labels(spans, row, names[position] or None))
        except StimulusError as error:
            raise table.error(position, str(error)) from None
    return out


def _identify(table: RawTable, given: list[str] | None, out: dict[str, list]) -> list[str]:
    pairs = list(zip(out["item"], out["condition"], strict=True))
    ids = given or [f"{item}-{condition}" for item, condition in pairs]
    seen: dict[str, int] = {}
    for position, name in enumerate(ids):
        if not name:
            raise table.error(position, "the stimulus_id is empty; every row needs one")
        if name in seen:
            what = (
                f"stimulus_id '{name}'"
                if given
                else f"item '{pairs[position][0]}', condition '{pairs[position][1]}'"
            )
            advice = (
                "" if given else "; keep one row a text, or add a column stimulus_id with a name for each"
            )
            raise table.error(position, f"{what} already stands in row {table.rows[seen[name]]}{advice}")
        seen[name] = position
    return ids


def _with_originals(table: RawTable, found: Mapping[str, str], out: dict[str, list]) -> pd.DataFrame:
    made = pd.DataFrame({name: out[name] for name in _ORDER if name in out})
    made["critical_index"] = made["critical_index"].astype("Int64")
    for name in made.columns.difference(["critical_index", "words", "regions"]):
        made[name] = made[name].astype("str")
    kept = typed(table, text={column for name, column in found.items() if name in LABELS})
    for name in [str(column) for column in kept.columns]:
        if name not in made and not _would_act(name, kept[name]):
            made[name] = kept[name]
        elif name not in made or _changed(table.frame[name], made[name]):
            made[f"{name}_original"] = kept[name]
    return made


def _would_act(name: str, own: pd.Series) -> bool:
    """Return whether a column of the caller's own would be taken for ours in a stimulus table."""
    return name == "context" or (name in ("words", "regions") and design.holds_lists(own))


def _changed(before: pd.Series, after: pd.Series) -> bool:
    return [_comparable(value) for value in before] != [_comparable(value) for value in after]


def _comparable(value: object) -> object:
    return value if isinstance(value, list) else as_text(value)
