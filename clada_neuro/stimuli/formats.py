"""Stimuli in the formats psycholinguists keep them in, to one table with a row a presented text.

`read_stimuli` accepts CSV, TSV, semicolon CSV, xlsx, ``.stims`` and data frames; a table with a row a sentence
or, as in interest-area reports, a row a word.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from clada_neuro.errors import StimulusError, did_you_mean
from clada_neuro.stimuli import design
from clada_neuro.stimuli.areas import join_areas
from clada_neuro.stimuli.cells import LABELS, typed
from clada_neuro.stimuli.critical import locate, take_marks
from clada_neuro.stimuli.files import RawTable, as_text, from_frame, read_lines, read_table

NAMES = (
    "stimulus_id",
    "item",
    "condition",
    "sentence",
    "context",
    "critical_word",
    "critical_index",
    "words",
    "regions",
    "region_names",
    "word",
    "word_index",
    "is_critical",
)
_ORDER = (*NAMES[:7], "words", "regions")
_KEYS = {"ialabel": "word", "iaid": "word_index"} | {name.replace("_", ""): name for name in NAMES}


def read_stimuli(
    source: str | Path | pd.DataFrame,
    *,
    columns: Mapping[str, str] | None = None,
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
        only in case, spaces or underscores need no entry. A table with ``word`` and ``word_index`` in place of
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
        source whose values had to change is kept beside as ``<name>_original``.

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
    found = _find_columns(table, columns or {})
    if "sentence" not in found and "word" in found:
        areas = found
        table, found = join_areas(table, areas)
        index_base = 0 if "is_critical" in areas else index_base
    return _assemble(table, found, index_base)


def _number_lines(table: RawTable) -> RawTable:
    return replace(table, frame=table.frame.assign(item=table.rows, condition="all"))


def _find_columns(table: RawTable, declared: Mapping[str, str]) -> dict[str, str]:
    present = [str(name) for name in table.frame.columns]
    for name, column in declared.items():
        if name not in NAMES:
            raise StimulusError(
                f"--column names '{name}'{did_you_mean(name, list(NAMES))}; use {', '.join(NAMES)}"
            )
        if column not in present:
            raise _missing(table, column, f"declared as the {name}")
    free = [column for column in present if column not in declared.values()]
    plain = {re.sub(r"[\W_]", "", column).lower(): column for column in reversed(free)}
    plain |= {name.replace("_", ""): name for name in NAMES if name in free}
    found = {name: plain[key] for key, name in _KEYS.items() if key in plain} | dict(declared)
    required = ["item", "condition"] + ([] if "word" in found else ["sentence"])
    for name in required:
        if name not in found:
            raise _missing(table, name, f"or name it: --column {name}=…")
    return found


def _missing(table: RawTable, name: str, advice: str) -> StimulusError:
    present = [str(column) for column in table.frame.columns]
    hint = did_you_mean(name, present)
    return StimulusError(
        f"{table.origin} lacks the column '{name}'{hint} ({advice}); it has {', '.join(present)}"
    )


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
            raise table.error(position, f"{what} already stands in row {table.rows[seen[name]]}")
        seen[name] = position
    return ids


def _with_originals(table: RawTable, found: Mapping[str, str], out: dict[str, list]) -> pd.DataFrame:
    made = pd.DataFrame({name: out[name] for name in _ORDER if name in out})
    made["critical_index"] = made["critical_index"].astype("Int64")
    for name in made.columns.difference(["critical_index", "words", "regions"]):
        made[name] = made[name].astype("str")
    kept = typed(table, text={column for name, column in found.items() if name in LABELS})
    for name in [str(column) for column in kept.columns]:
        if name not in made:
            made[name] = kept[name]
        elif _changed(table.frame[name], made[name]):
            made[f"{name}_original"] = kept[name]
    return made


def _changed(before: pd.Series, after: pd.Series) -> bool:
    return [_comparable(value) for value in before] != [_comparable(value) for value in after]


def _comparable(value: object) -> object:
    return value if isinstance(value, list) else as_text(value)
