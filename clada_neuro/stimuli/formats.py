"""Stimuli in the formats psycholinguists keep them in, to one table with a row a presented text.

`read_stimuli` accepts CSV, TSV, semicolon CSV, xlsx, JSONL, ``.stims`` and data frames; a table with a row a sentence, a row
an item with a sentence column a condition or, as in interest-area reports, a row a word; and SyntaxGym suites. The steps go
one way: source → row a text → columns → texts → words → critical words → table.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli import design, records
from clada_neuro.stimuli.acting import acting
from clada_neuro.stimuli.areas import join_areas
from clada_neuro.stimuli.assembly import stimulus_table
from clada_neuro.stimuli.columns import Declared, Recognised, find_columns
from clada_neuro.stimuli.critical import locate
from clada_neuro.stimuli.merging import merge_regions
from clada_neuro.stimuli.oddities import oddities
from clada_neuro.stimuli.pairs import are_pairs, pairs
from clada_neuro.stimuli.segments import Cutter
from clada_neuro.stimuli.sources import opened
from clada_neuro.stimuli.texts import texts_of
from clada_neuro.stimuli.wide import join_columns, lengthen
from clada_neuro.stimuli.words import divide


def read_stimuli(
    source: str | Path | pd.DataFrame,
    *,
    columns: Declared | None = None,
    index_base: int | None = None,
    encoding: str | None = None,
    sheet: str | int = 0,
    separator: str | None = None,
    sentence_columns: Sequence[str] | None = None,
    condition_columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read stimuli into one row a presented text.

    Parameters
    ----------
    source
        A ``.csv``, ``.tsv``, ``.txt`` (comma, tab or semicolon), ``.xlsx``, ``.jsonl`` or ``.stims`` file, or a data frame;
        a SyntaxGym suite (``.json``), or a folder of suites or of ``.jsonl`` files.
    columns
        Our names to the file's, for instance ``{"item": "Frame", "critical_word": "target"}``. Names that differ
        only in case, spaces or underscores need no entry; an empty string says that no column plays a part, as
        ``{"context": ""}`` for a factor of that name. A table with ``word`` and ``word_index`` in place of
        ``sentence`` has a row a word. Without ``item`` every text is an item, numbered from 1 (or named by
        ``stimulus_id``), without ``condition`` there is one condition, ``all``.
    index_base
        0 or 1: what ``critical_index`` counts from. It must be declared unless ``critical_word`` is there too
        and agrees with one of both throughout.
    encoding
        The file's encoding, when it is neither UTF-8 nor UTF-16 with a mark.
    sheet
        Sheet of a workbook.
    separator
        What stands between words that no space separates, such as ``"|"`` in "我|喜欢|猫": it is taken out of sentences
        and contexts, and words end there and at white space.
    sentence_columns
        Columns whose texts in a row are the sentence, each a region of it.
    condition_columns
        Columns whose texts are the sentences of the conditions that they are named by; ``sentence_good`` and
        ``sentence_bad`` are found without.

    Returns
    -------
    DataFrame
        ``stimulus_id`` (unique), ``item``, ``condition``, ``sentence``, ``critical_word`` (text or missing),
        ``critical_index`` (``Int64``, words from 0); where given ``context``, ``words`` (list) and ``regions``
        (list, one label a word); then every column of the source. Row order is the source's. A critical region of
        several words is one of the ``words``. A column of the
        source that has one of these names and other values is kept beside as ``<name>_original``. In
        ``attrs["notes"]`` stands which columns play a part beyond these, and what is odd about the texts; in
        ``attrs["predictions"]`` what a suite, or minimal pairs, predict.

    Raises
    ------
    StimulusError
        One line with file and row: a missing column, a critical word that is not in its sentence, an empty
        file, an item × condition pair or a stimulus id given twice, an empty item or condition, a separator that never
        occurs.
    """
    if not isinstance(source, pd.DataFrame) and Path(source).is_dir():
        return _read_folder(
            Path(source), columns=columns, index_base=index_base, encoding=encoding, sheet=sheet, separator=separator,
            sentence_columns=sentence_columns, condition_columns=condition_columns,
        )  # fmt: skip
    table, predictions = opened(source, encoding, sheet)
    found = lengthen(Recognised(table, columns or {}, Cutter(separator), index_base), condition_columns)
    if sentence_columns:
        found = join_columns(found, sentence_columns)
    found = acting(join_areas(find_columns(found)))
    texts = texts_of(found)
    divided = divide(found, texts)
    located = locate(found.table, texts, divided.words)
    table, divided = merge_regions(found.table, texts.sentences, divided, located)
    made = stimulus_table(replace(found, table=table), texts, divided, located)
    if are_pairs(found.conditions):
        made, predictions = pairs(made, None if isinstance(source, pd.DataFrame) else source)
    made.attrs |= {"notes": [*found.notes, *divided.notes, *oddities(table, texts.whole())]}
    made.attrs |= {"predictions": predictions} if predictions else {}
    return made


def _read_folder(folder: Path, **reading: Any) -> pd.DataFrame:
    """Read the files of a folder as one table, with items and texts named by file, too."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in records.SUFFIXES)
    if not files:
        raise StimulusError(
            f"'{folder}' holds no suites: .json or .jsonl files expected in a folder of stimuli"
        )
    tables = [read_stimuli(file, **reading) for file in files]
    named = [
        table.assign(
            **{column: f"{file.stem}-" + table[column].astype(str) for column in ("item", "stimulus_id")}
        )
        for table, file in zip(tables, files, strict=True)
    ]
    made = pd.concat(named, ignore_index=True)
    for key in ("notes", "predictions"):
        made.attrs[key] = [one for table in tables for one in table.attrs.get(key, [])]
    made.attrs["notes"] = list(dict.fromkeys(made.attrs["notes"]))
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
    found = find_columns(Recognised(opened(frame)[0], {}, Cutter())).columns
    return set(found) <= {*texts, "context"} and all(name == found[name] for name in found)


def _is_located(frame: pd.DataFrame) -> bool:
    named, counted = frame["critical_word"].notna(), frame["critical_index"].notna()
    if not pd.api.types.is_integer_dtype(frame["critical_index"]) or not named.equals(counted):
        return False
    return all(_stands_there(row) for row in frame[named].to_dict("records"))


def _stands_there(row: Mapping[Hashable, Any]) -> bool:
    sentence, words, index = str(row["sentence"]), design.words_of(row), row["critical_index"]
    if not 0 <= index < len(words):
        return False
    return design.size_at(str(row["critical_word"]), sentence, design.word_spans(sentence, words), index) == 1
