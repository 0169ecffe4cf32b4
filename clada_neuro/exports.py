"""Tables as CSV for other programs: names that R keeps, and no text that a spreadsheet would run."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from clada_neuro.artifacts import read_table, write_atomic
from clada_neuro.tables import WORDS

LARGEST = 2**20 - 1  # rows of a spreadsheet; a corpus beyond them stays in parquet, which R reads, too
FILE_ROW = "file_row"  # the row that a word had in a file with a row a word
_BATCH = 2**16
_FORMULA_START = ("=", "+", "-", "@", "\t", "\r")
_RESERVED = frozenset(
    (
        "if", "else", "repeat", "while", "function", "for", "next", "break", "TRUE", "FALSE", "NULL", "Inf", "NaN", "NA",
        "NA_integer_", "NA_real_", "NA_character_", "NA_complex_", "in",
    )
)  # fmt: skip
_MADE = {name for name in WORDS.names() if name != "stimulus_id"}
_DERIVED = re.compile(r"(.+)_(?:lag\d+|next)")


def write_csv(frame: pd.DataFrame, path: Path, encoding: str = "utf-8-sig") -> Path:
    """Write a table for spreadsheets: UTF-8 with a byte-order mark, formulas made into text.

    A text cell or header that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return gets a
    leading apostrophe, so that no spreadsheet executes text that came with the stimuli. Numbers stay numbers.
    """
    safe = _neutralized(frame).rename(columns=_neutral)
    return write_atomic(path, lambda part: safe.to_csv(part, index=False, encoding=encoding))


def write_for_r(frames: pd.DataFrame | Iterable[pd.DataFrame], path: Path) -> Path:
    """Write a table, or its parts, as R reads it: names as `r_names` gives them, TRUE and FALSE, missing cells empty.

    Cells are guarded as by `write_csv`; a byte-order mark would stand in R's first name.
    """
    parts = iter([frames] if isinstance(frames, pd.DataFrame) else frames)
    first = next(parts)
    names = r_names(map(str, first.columns))

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            for number, part in enumerate(chain([first], parts)):
                safe = _neutralized(_logical(part)).set_axis([names[str(name)] for name in part], axis=1)
                safe.to_csv(file, index=False, header=number == 0)

    return write_atomic(path, write)


def csv_beside(table: Path) -> str:
    """Write a parquet table as CSV beside it, unless that is the newer of the two; say if it is too long for that.

    Words come with the caller's own columns first, and in the rows of the caller's file where that had a row a word.
    """
    path = table.with_suffix(".csv")
    rows = pq.read_metadata(table).num_rows
    if rows > LARGEST:
        path.unlink(missing_ok=True)  # of another table
        return f"{path.name} is left out: {table.name} has {rows:,} rows, and a spreadsheet holds {LARGEST:,}"
    if not path.is_file() or path.stat().st_mtime_ns <= table.stat().st_mtime_ns:
        write_for_r(_parts(table), path)
    return ""


def own_columns_first(words: pd.DataFrame) -> pd.DataFrame:
    """Return words with the caller's columns first, in the rows of the caller's file where that had a row a word."""
    made = [name for name in words if _is_made(str(name))]
    words = words[[name for name in words if name not in made] + made]
    return words.sort_values(FILE_ROW, kind="stable", ignore_index=True) if FILE_ROW in words else words


def r_names(names: Iterable[str]) -> dict[str, str]:
    """Return for each name what R's ``make.names(…, unique = TRUE)`` makes of it, which ``read.csv`` leaves alone."""
    given = list(names)
    made = {name: _r_name(name) for name in given}
    taken, out = set(made.values()), {}
    used: set[str] = set()
    for name in sorted(given, key=lambda name: made[name] != name):
        new = made[name]
        if new in used:
            new = next(free for n in count(1) if (free := f"{made[name]}.{n}") not in taken | used)
        used.add(new)
        out[name] = new
    return {name: out[name] for name in given}


def _r_name(name: str) -> str:
    kept = "".join(mark if mark in "._" or mark.isalpha() or mark.isdecimal() else "." for mark in name)
    if not name or not (name[0].isalpha() or name[0] == ".") or re.match(r"\.\d", name):
        kept = f"X{kept}"
    return f"{kept}." if kept in _RESERVED else kept


def _parts(table: Path) -> Iterator[pd.DataFrame]:
    """Yield a table in parts, so that a long one does not fill the memory; whole where its rows are put in order."""
    with pq.ParquetFile(table) as file:
        if table.stem != "words":
            yield from (batch.to_pandas() for batch in file.iter_batches(_BATCH))
        elif FILE_ROW in file.schema_arrow.names:
            yield own_columns_first(read_table(table))
        else:
            yield from (own_columns_first(batch.to_pandas()) for batch in file.iter_batches(_BATCH))


def _is_made(name: str) -> bool:
    derived = _DERIVED.fullmatch(name)
    return (derived[1] if derived else name) in _MADE


def is_logical(values: pd.Series) -> bool:
    """Return whether a column holds truth values, some of them perhaps missing."""
    return pd.api.types.infer_dtype(values, skipna=True) == "boolean"


def _logical(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with truth values as R writes them."""
    truths = {
        name: frame[name].map({True: "TRUE", False: "FALSE"}) for name in frame if is_logical(frame[name])
    }
    return frame.assign(**truths)


def _neutralized(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with every cell of text as a spreadsheet may show it."""
    safe = frame.copy(deep=False)
    for name, dtype in frame.dtypes.items():
        if not pd.api.types.is_numeric_dtype(dtype):
            safe[name] = [_neutral(value) for value in frame[name]]
    return safe


def _neutral(value: Any) -> Any:
    if isinstance(value, list | tuple | np.ndarray):
        value = ", ".join(map(str, value))
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_START) else value
