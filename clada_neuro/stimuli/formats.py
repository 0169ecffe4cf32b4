"""Stimuli in the formats psycholinguists keep them in, to one table with a row a presented text.

`read_stimuli` accepts CSV, TSV, semicolon CSV, xlsx, JSONL, ``.stims`` and data frames; a table with a row a sentence, a row
an item with a sentence column a condition or, as in interest-area reports, a row a word; and SyntaxGym suites.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli import design, records
from clada_neuro.stimuli.areas import join_areas, merge_cells
from clada_neuro.stimuli.cells import LABELS, typed
from clada_neuro.stimuli.columns import AREAS, NAMES, Declared, acting, find_columns, without_own
from clada_neuro.stimuli.critical import Located, locate, take_marks
from clada_neuro.stimuli.design import words_of
from clada_neuro.stimuli.files import RawTable, as_text, from_frame, read_lines, read_table
from clada_neuro.stimuli.keys import ONE_CONDITION
from clada_neuro.stimuli.oddities import oddities, unspaced
from clada_neuro.stimuli.segments import Cutter, words_at
from clada_neuro.stimuli.suites import are_pairs, is_suite, pairs, suite_table, together
from clada_neuro.stimuli.wide import join_columns, lengthen

_ORDER = (*NAMES[:7], "words", "regions")


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
    reading = {
        "columns": columns, "index_base": index_base, "encoding": encoding, "sheet": sheet, "separator": separator,
        "sentence_columns": sentence_columns, "condition_columns": condition_columns,
    }  # fmt: skip
    if not isinstance(source, pd.DataFrame) and Path(source).is_dir():
        return _read_folder(Path(source), reading)
    table, predictions = _open(source, encoding, sheet)
    declared, cutter = columns or {}, Cutter(separator)
    paired = are_pairs(table)
    table, shaped = lengthen(table, condition_columns, declared)
    if sentence_columns:
        table, declared, joined = join_columns(table, sentence_columns, declared, cutter)
        shaped += joined
        index_base = 0 if declared.get("critical_index") == "critical_place" else index_base
    named = found = find_columns(table, declared)
    if "word" in named:
        table, found = join_areas(table, named)
        index_base = 0 if "is_critical" in named else index_base
    found = without_own(table, found, declared)
    _check_separator(table, found, cutter)
    made, said = _assemble(table, found, index_base, cutter)
    acted = {name: column for name, column in named.items() if name in found or name in AREAS}
    contexts = made["context"] if "context" in made else [""] * len(made)
    texts = [f"{context} {sentence}" for context, sentence in zip(contexts, made["sentence"], strict=True)]
    notes = shaped + acting(table, acted, declared) + said + oddities(table, texts)
    if paired:
        made, predictions = pairs(made, None if isinstance(source, pd.DataFrame) else source)
    made.attrs |= {"notes": notes} | ({"predictions": predictions} if predictions else {})
    return made


def _open(
    source: str | Path | pd.DataFrame, encoding: str | None, sheet: str | int
) -> tuple[RawTable, list[dict[str, str]]]:
    """Return a source as a table, and the predictions of a suite."""
    if isinstance(source, pd.DataFrame):
        return from_frame(source), []
    suffix = Path(source).suffix.lower()
    if suffix in records.SUFFIXES:
        document = records.read_json(source, encoding)
        return (
            suite_table(document, source)
            if is_suite(document)
            else (records.records_table(document, source), [])
        )
    if suffix == ".stims":
        return _number_lines(read_lines(source, encoding)), []
    return read_table(source, encoding, sheet), []


def _read_folder(folder: Path, reading: Mapping[str, Any]) -> pd.DataFrame:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in records.SUFFIXES)
    if not files:
        raise StimulusError(
            f"'{folder}' holds no suites: .json or .jsonl files expected in a folder of stimuli"
        )
    return together([read_stimuli(file, **reading) for file in files], [file.stem for file in files])


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
    return all(_stands_there(row) for row in frame[named].to_dict("records"))


def _stands_there(row: Mapping[Hashable, Any]) -> bool:
    sentence, words, index = str(row["sentence"]), words_of(row), row["critical_index"]
    if not 0 <= index < len(words):
        return False
    return design.size_at(str(row["critical_word"]), sentence, design.word_spans(sentence, words), index) == 1


def _number_lines(table: RawTable) -> RawTable:
    return replace(table, frame=table.frame.assign(item=table.rows, condition=ONE_CONDITION))


def _check_separator(table: RawTable, found: Mapping[str, str], cutter: Cutter) -> None:
    if cutter.separator is None:
        return
    if other := next((name for name in ("word", "words", "word_spans") if name in found), ""):
        raise StimulusError(
            f"{table.origin}: a separator is given beside the column {found[other]} ({other}), which says where words begin, "
            f"too; leave one out (--column {other}=)"
        )
    if not any(cutter.separator in as_text(cell) for cell in table.frame[found["sentence"]]):
        first = as_text(table.frame[found["sentence"]].iloc[0])[:60]
        raise table.error(
            0,
            f"the separator '{cutter.separator}' occurs in no sentence, such as '{first}'; give the one that does",
        )


def _assemble(
    table: RawTable, found: Mapping[str, str], index_base: int | None, cutter: Cutter
) -> tuple[pd.DataFrame, list[str]]:
    """Return the stimulus table, and what should be said of how it was made."""
    frame = table.frame

    def cells(name: str) -> list[str]:
        return (
            [as_text(value).strip() for value in frame[found[name]]] if name in found else [""] * len(frame)
        )

    out: dict[str, list] = dict(zip(("item", "condition"), _labels(found, cells), strict=True))
    sentences = [as_text(value) for value in frame[found["sentence"]]]
    for position, values in enumerate(zip(sentences, out["item"], out["condition"], strict=True)):
        for name, value in zip(("sentence", "item", "condition"), values, strict=True):
            if not value.strip():
                raise table.error(position, f"the {name} is empty; every row needs one")
    critical, indices = cells("critical_word"), cells("critical_index")
    if "critical_word" not in found and "critical_index" not in found:
        sentences, critical, indices = take_marks(table, sentences, cutter)
        index_base = 0
    words = _words(table, found, sentences, cutter)
    critical, sentences = ([cutter.text(text) for text in texts] for texts in (critical, sentences))
    out["sentence"] = sentences
    located = locate(table, sentences, words, critical, indices, index_base)
    if "regions" in found:
        out["regions"] = _regions(table, list(frame[found["regions"]]), cells("region_names"), words)
    said = unspaced(sentences, words)
    said += _merge_regions(table, sentences, words, out.get("regions"), located)
    regions = {
        at: slice(one.index, one.index + one.size) for at, one in enumerate(located) if one and one.size > 1
    }
    table = merge_cells(table, regions) if regions else table
    out["critical_word"] = [one and one.text for one in located]
    out["critical_index"] = [None if one is None else one.index for one in located]
    if any(row != sentence.split() for row, sentence in zip(words, sentences, strict=True)):
        out["words"] = words
    if "context" in found:
        out["context"] = [cutter.text(context) for context in cells("context")]
    out["stimulus_id"] = _identify(table, found, cells("stimulus_id"), out)
    return _with_originals(table, found, out), said


def _labels(found: Mapping[str, str], cells: Callable[[str], list[str]]) -> tuple[list[str], list[str]]:
    """Return items and conditions; a table without them has an item a text, and one condition."""
    texts = cells("stimulus_id")
    own = texts if "stimulus_id" in found else [str(number) for number in range(1, len(texts) + 1)]
    return (
        cells("item") if "item" in found else own,
        cells("condition") if "condition" in found else [ONE_CONDITION] * len(texts),
    )


def _words(
    table: RawTable, found: Mapping[str, str], sentences: list[str], cutter: Cutter
) -> list[list[str]]:
    given = next((name for name in ("words", "word_spans") if name in found), "")
    if not given:
        return [cutter.words(sentence) for sentence in sentences]
    out = []
    for position, (value, sentence) in enumerate(zip(table.frame[found[given]], sentences, strict=True)):
        try:
            if given == "word_spans":
                words = words_at(value, sentence)
            else:
                words = value.split("|") if isinstance(value, str) else [str(word) for word in value]
            design.word_spans(sentence, words)
        except StimulusError as error:
            raise table.error(position, str(error)) from None
        out.append(words)
    return out


def _merge_regions(
    table: RawTable,
    sentences: list[str],
    words: list[list[str]],
    regions: list[list[str]] | None,
    located: list[Located | None],
) -> list[str]:
    """Make one word of each critical region of several; say how many there are."""
    merged = [position for position, one in enumerate(located) if one and one.size > 1]
    for position in merged:
        one = located[position]
        assert one is not None
        stretch = slice(one.index, one.index + one.size)
        spans = design.word_spans(sentences[position], words[position])[stretch]
        words[position][stretch] = [sentences[position][spans[0][0] : spans[-1][1]]]
        if regions is not None:
            regions[position][stretch] = [" + ".join(dict.fromkeys(regions[position][stretch]))]
    if not merged:
        return []
    first = located[merged[0]]
    assert first is not None
    return [
        f"critical regions of several words count as one word in {len(merged)} of {len(sentences)} texts (first in row "
        f"{table.rows[merged[0]]}, '{first.text}'); word_index counts them as one"
    ]


def _regions(table: RawTable, given: list, names: list[str], words: list[list[str]]) -> list[list[str]]:
    out = []
    for position, (value, row) in enumerate(zip(given, words, strict=True)):
        spans = value if isinstance(value, str) else "|".join(map(str, value))
        try:
            out.append(design.region_labels(spans, row, names[position] or None))
        except StimulusError as error:
            raise table.error(position, str(error)) from None
    return out


def _identify(table: RawTable, found: Mapping[str, str], given: list[str], out: dict[str, list]) -> list[str]:
    if "stimulus_id" in found:
        ids, advice = given, ""
    elif "condition" in found:
        ids = [f"{item}-{condition}" for item, condition in zip(out["item"], out["condition"], strict=True)]
        advice = "; keep one row a text, or add a column stimulus_id with a name for each"
    else:
        ids = out["item"]
        advice = "; tell its texts apart by a column condition (--column condition=…) or stimulus_id"
    seen: dict[str, int] = {}
    for position, name in enumerate(ids):
        if not name:
            raise table.error(position, "the stimulus_id is empty; every row needs one")
        if name in seen:
            what = f"item '{out['item'][position]}'"
            if "stimulus_id" in found:
                what = f"stimulus_id '{name}'"
            elif "condition" in found:
                what += f", condition '{out['condition'][position]}'"
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
