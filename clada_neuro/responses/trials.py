"""A table of trials from a file, checked before anything is computed from it."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from clada_neuro import artifacts
from clada_neuro.errors import AlignmentError, did_you_mean
from clada_neuro.responses.columns import missing_advice, take_columns
from clada_neuro.stimuli import files
from clada_neuro.stimuli.cells import LABELS, MEASURED, typed
from clada_neuro.stimuli.keys import as_key

# Single-trial amplitudes scatter by several µV, those in volts by several 1e-6: no column of µV has a typical size
# below a nanovolt.
SMALLEST_UV = 1e-3

# What is explained where nobody says: taken whatever the case of its name.
_AMPLITUDES = ("n400_uv", "p600_uv")


def read_columns(
    path: str | Path,
    *,
    numbers: Collection[str] = (),
    required: Collection[str] = (),
    encoding: str | None = None,
    sheet: str | int = 0,
) -> pd.DataFrame:
    """Read any table of trials (CSV, TSV, semicolon CSV, xlsx or parquet), for every command in the same way.

    Labels are text, other columns numbers where their cells are numbers (see `stimuli.cells`). The index holds the rows
    as a spreadsheet shows them, the header being row 1; of parquet it is the table's own.

    Parameters
    ----------
    numbers
        Columns that must be numbers, if they are there; those ending in ``_uv`` and ``_ms`` must be, too.
    required
        Columns that must be there.
    encoding, sheet
        As in `clada_neuro.read_stimuli`.

    Raises
    ------
    StimulusError, AlignmentError
        For a file that is no table, with file and row for text among numbers; for a column in ``numbers`` that is
        empty, a column in ``required`` that is missing, and for amplitudes in volts.
    """
    table = _read(Path(path), encoding, sheet)
    names = [str(name) for name in table.frame]
    missing = [name for name in required if name not in names]
    if missing:
        hint = did_you_mean(missing[0], names)
        raise AlignmentError(
            f"{table.origin} lacks the column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}{hint}; it has "
            f"{', '.join(names)}"
        )
    return _checked(table, numbers, f"'{path}'")


def read_trials(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    numbers: Collection[str] = (),
    encoding: str | None = None,
    sheet: str | int = 0,
) -> pd.DataFrame:
    """Read a table of single trials; arguments as for `read_columns`.

    Parameters
    ----------
    columns
        Our names to the table's, as ``{"subject": "Subj"}``. Usual names (`responses.columns.PARTS`) are recognised;
        ``attrs["notes"]`` says what was taken for what.

    Raises
    ------
    AlignmentError
        If there is no column `subject`.
    """
    table = _read(Path(path), encoding, sheet)
    frame, notes = take_columns(table.frame, columns, table.origin, {*numbers, *_AMPLITUDES})
    if "subject" not in frame:
        names = [str(name) for name in frame]
        raise AlignmentError(
            f"{table.origin} lacks the column {missing_advice(names, 'subject')}; it has {', '.join(names)}"
        )
    trials = _checked(replace(table, frame=frame), numbers, f"'{path}'")
    trials.attrs["notes"] = notes
    return trials


def _read(path: Path, encoding: str | None, sheet: str | int) -> files.RawTable:
    """Read a file as it is: cells of text, but of parquet."""
    if path.suffix.lower() == ".parquet":
        return files.RawTable(artifacts.read_table(path), [], f"'{path}'", is_text=False)
    table = files.read_table(path, encoding, sheet)
    return replace(table, origin=table.origin.replace("--sheet", "--trial-sheet"))


def _checked(table: files.RawTable, numbers: Collection[str], origin: str) -> pd.DataFrame:
    trials = typed(table, numbers=numbers) if table.is_text else label_text(table.frame)
    if table.rows:  # so that later messages, too, can name the row that a spreadsheet shows
        trials.index = pd.Index(list(map(int, table.rows)))
    return _check_numbers(trials, numbers, origin)


def kind_of_rows(table: pd.DataFrame) -> str:
    """Say what the rows are where they are no trials but words of a trace, over which nobody's responses vary."""
    if "subject" in table or not {"stimulus_id", "word_index", "word", "surprisal_bits"} <= set(table):
        return ""
    return (
        f"the rows are words, not trials: {len(table):,} words of {table['stimulus_id'].nunique():,} texts, each once; "
        "clada-neuro align gives every trial the measures of its word"
    )


def label_text(trials: pd.DataFrame) -> pd.DataFrame:
    """Make labels text: a condition coded 1, 2, 3 is a factor, whatever the table came from."""
    labels = {name: as_key(trials[name]) for name in trials if name in LABELS}
    return trials.assign(**{name: text.mask(text == "").astype("str") for name, text in labels.items()})


def _check_numbers(trials: pd.DataFrame, numbers: Collection[str], origin: str) -> pd.DataFrame:
    for name in map(str, trials.columns):
        if name not in numbers and not name.endswith(MEASURED):
            continue
        values = pd.to_numeric(trials[name], errors="coerce")
        strays = (values.isna() & trials[name].notna()).to_numpy()
        if strays.any():
            row = int(strays.argmax())
            raise AlignmentError(
                f"{origin}, row {trials.index[row]}: '{trials[name].iloc[row]}' in column '{name}' is not a number; numbers "
                "and missing values are expected there"
            )
        if name in numbers and values.isna().all():
            raise AlignmentError(
                f"{origin}: the column '{name}' is empty in all {len(values)} rows; fill it, or leave its model out"
            )
        size = values.abs().median()
        if name.endswith("_uv") and not name.endswith("_baseline_uv") and 0 < size < SMALLEST_UV:
            raise AlignmentError(
                f"{origin}: half of the amplitudes in '{name}' are smaller than {size:.2g} µV, so they must be volts; "
                "multiply them by 1e6"
            )
        trials = trials.assign(**{name: values})
    return trials
