"""JSON: a table with a record a line (JSONL) or a list of records, or a document such as a SyntaxGym suite."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.artifacts import text_lines
from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.files import RawTable, decode

SUFFIXES = (".json", ".jsonl", ".ndjson")


def read_json(path: str | Path, encoding: str | None = None) -> Any:
    """Return the document of a ``.json`` file, or the records of one with a record a line.

    Raises
    ------
    StimulusError
        With file and line where the text is no JSON.
    """
    path = Path(path)
    text = decode(path, encoding)
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    records = []
    for number, line in enumerate(text_lines(text), start=1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise StimulusError(
                f"'{path}', line {number} is no JSON ({error.msg}); one document, or a record a line, expected"
            ) from error
    if not records:
        raise StimulusError(f"'{path}' is empty: one record a text expected")
    return records


def records_table(document: Any, path: str | Path) -> RawTable:
    """Return records as a table; lists (words, regions) stay lists.

    Raises
    ------
    StimulusError
        If it is no list of records.
    """
    records = document if isinstance(document, list) else [document]
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise StimulusError(
                f"'{path}', record {number} is no record with names ({{…}}), as the texts of a stimulus file are"
            )
    frame = pd.DataFrame(records, dtype=object)
    return RawTable(frame, [str(number) for number in range(1, len(records) + 1)], f"'{path}'", is_text=False)
