"""Cells of text to numbers and missing values, as laboratories write them.

A number may be ``.2``, ``-.5``, ``−3`` (with a minus sign) or ``1e-3``, and have a decimal comma throughout its
column. Missing is an empty cell, ``NA``, ``n/a``, ``NaN`` or ``#N/A``, and among numbers also ``.`` (SAS, SPSS).
Labels (`LABELS`: items, conditions, people, words) stay text as they stand, so that the words "None" and "NA", item
``01`` and condition ``1`` remain what they are. Only an empty label is missing.
"""

import math
import re
from collections import Counter
from collections.abc import Collection

import pandas as pd

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.files import RawTable
from clada_neuro.tables import TABLES

LABELS = frozenset(
    column.name for table in TABLES.values() for column in table.columns if column.dtype == "str"
)
MEASURED = ("_uv", "_ms")  # endings of columns that hold numbers, whatever else stands in them
# A column with at least this share of numbers is meant as numbers: nobody codes four fifths of a factor's rows as
# numbers and the rest as words, but one slip in a covariate of five rows is a fifth already.
MOSTLY = 0.8
_MISSING = {"", "na", "n/a", "nan", "#n/a"}
_LONGEST = 300  # characters of a number; Python refuses to convert thousands of digits
_KINDS = {
    "code": re.compile(r"[+-]?0\d+", re.ASCII),
    "whole": re.compile(r"[+-]?\d+", re.ASCII),
    "point": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII),
    "thousands": re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII),
    "comma": re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII),
}
_NUMBERS = {"whole", "point", "thousands", "comma"}


def typed(table: RawTable, text: Collection[str] = (), numbers: Collection[str] = ()) -> pd.DataFrame:
    """Turn columns of numbers into numbers, and empty cells of the others into missing values.

    Parameters
    ----------
    table
        As it came from a file; columns whose cells are not text are left alone.
    text
        Columns that stay text beside `LABELS`.
    numbers
        Columns that must be numbers, beside those that end in `MEASURED`.

    Raises
    ------
    StimulusError
        With file, row and cell: text among numbers, point and comma as decimal marks of one column, or a comma
        that may separate thousands.
    """
    columns = {}
    for name in table.frame.columns:
        cells = table.frame[name]
        if not table.is_text or not all(isinstance(cell, str) for cell in cells):
            columns[name] = cells
        elif name in LABELS or name in text:
            columns[name] = cells.map({cell: cell.strip() or None for cell in cells.unique()}).astype("str")
        else:
            must = name in numbers or str(name).endswith(MEASURED)
            columns[name] = _column(table, name, cells.str.strip(), must)
    return pd.DataFrame(columns, index=table.frame.index)


def _column(table: RawTable, name: str, cells: pd.Series, must: bool) -> pd.Series:
    kinds = {cell: _kind(cell) for cell in cells.unique()}
    kind = cells.map(kinds)
    counts = Counter(kind)
    numbers = sum(counts[known] for known in _NUMBERS)
    share = numbers / max(numbers + counts["other"], 1)
    empty = counts["missing"] == len(cells)
    if must or empty or (numbers and share >= MOSTLY and not counts["code"]):
        _refuse_strays(table, name, kind, must)
        values = cells.map({cell: _value(cell) for cell in kinds if kinds[cell] in _NUMBERS | {"code"}})
        return _as_numbers(cells, values.astype(float), whole=counts["whole"] == len(cells))
    return cells.map({cell: None if kinds[cell] == "missing" else cell for cell in kinds}).astype("str")


def _kind(cell: str) -> str:
    if cell.casefold() in _MISSING:
        return "missing"
    if cell == ".":
        return "dot"
    plain = _plain(cell)
    for kind, pattern in _KINDS.items():
        if len(cell) <= _LONGEST and pattern.fullmatch(plain):
            return kind if math.isfinite(_value(cell)) else "other"
    return "other"


def _plain(cell: str) -> str:
    return cell.replace("\N{MINUS SIGN}", "-")


def _value(cell: str) -> float:
    return float(_plain(cell).replace(",", "."))


def _as_numbers(cells: pd.Series, values: pd.Series, whole: bool) -> pd.Series:
    """Return whole numbers as such where none is missing; those beyond 64 bits are codes, and stay text."""
    if not whole:
        return values
    exact = [int(_plain(cell)) for cell in cells]
    fits = all(-(2**63) <= number < 2**63 for number in exact)
    return pd.Series(exact, index=cells.index, dtype="int64") if fits else cells.astype("str")


def _refuse_strays(table: RawTable, name: str, kind: pd.Series, must: bool) -> None:
    """Refuse the first cell that is no number, or that can be read in more ways than one."""
    stray, points, thousands = (kind == one for one in ("other", "point", "thousands"))
    commas = thousands | (kind == "comma")
    if stray.any():
        factor = "" if must else "; in a column of names, begin each of them with a letter"
        raise _cell_error(
            table,
            name,
            stray,
            f"is not a number; write a missing value as NA or leave the cell empty{factor}",
        )
    if points.any() and commas.any():
        few, mark, other = (
            (points, "point", "comma") if points.sum() < commas.sum() else (commas, "comma", "point")
        )
        raise _cell_error(
            table, name, few, f"has a decimal {mark} where others have a {other}; write all with one of both"
        )
    if commas.any() and commas.equals(thousands) and not table.decimal_comma:
        raise _cell_error(
            table,
            name,
            commas,
            "may have a decimal comma or one between thousands; write a point, or no comma",
        )


def _cell_error(table: RawTable, name: str, where: pd.Series, problem: str) -> StimulusError:
    position = int(where.to_numpy().argmax())
    return table.error(position, f"'{table.frame[name].iloc[position].strip()}' in column '{name}' {problem}")
