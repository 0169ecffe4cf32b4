"""What stimuli are read from: a file of any kind, or a data frame, as a table of cells as they came."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from clada_neuro.stimuli import records
from clada_neuro.stimuli.files import RawTable, from_frame, read_lines, read_table
from clada_neuro.stimuli.keys import ONE_CONDITION
from clada_neuro.stimuli.suites import is_suite, suite_table


def opened(
    source: str | Path | pd.DataFrame, encoding: str | None = None, sheet: str | int = 0
) -> tuple[RawTable, list[dict[str, str]]]:
    """Return a source as a table, and the predictions of a suite; arguments as in `clada_neuro.read_stimuli`.

    Raises
    ------
    StimulusError
        A source that cannot be read, or holds nothing.
    """
    if isinstance(source, pd.DataFrame):
        return from_frame(source), []
    suffix = Path(source).suffix.lower()
    if suffix in records.SUFFIXES:
        document = records.read_json(source, encoding)
        if is_suite(document):
            return suite_table(document, source)
        return records.records_table(document, source), []
    if suffix == ".stims":
        lines = read_lines(source, encoding)
        return replace(lines, frame=lines.frame.assign(item=lines.rows, condition=ONE_CONDITION)), []
    return read_table(source, encoding, sheet), []
