"""Files to tables of text: separators, encodings, workbooks, and the row numbers a spreadsheet shows.

Every cell stays text here, so the words "None", "NA" and "null" stay words; `cells.typed` finds the numbers.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clada_neuro.artifacts import text_lines
from clada_neuro.errors import StimulusError, did_you_mean

SEPARATORS = ("\t", ";", ",")
_WORKBOOKS = (".xlsx", ".xlsm")
_GZIP = b"\x1f\x8b"
_IBEX_COLUMN = re.compile(r"^#\s*\d+\. \S", re.MULTILINE)


@dataclass(frozen=True)
class RawTable:
    """A table as it came: its cells, the row number of each record as a spreadsheet shows it, and its name.

    `is_text` says that every cell is text, as in a file; `decimal_comma` that "0,93" is a number, as in
    semicolon files.
    """

    frame: pd.DataFrame
    rows: list[str]
    origin: str
    is_text: bool = True
    decimal_comma: bool = False

    def texts(self, column: str) -> list[str]:
        """Return the cells of a column as text."""
        return [as_text(cell) for cell in self.frame[column]]

    def reads(self, column: str, values: Iterable[object]) -> bool:
        """Return whether the cells of a column are these values, as text; lists are compared as they are."""

        def comparable(value: object) -> object:
            return value if isinstance(value, list) else as_text(value)

        return [comparable(cell) for cell in self.frame[column]] == [comparable(value) for value in values]

    def error(self, position: int, message: str) -> StimulusError:
        """Return an error that names the file and the row of the record at ``position``."""
        return StimulusError(f"{self.origin}, row {self.rows[position]}: {message}")


def read_table(path: str | Path, encoding: str | None = None, sheet: str | int = 0) -> RawTable:
    """Read a CSV, TSV, semicolon CSV (also gzipped) or Excel workbook with a header, every cell as text.

    Parameters
    ----------
    path
        The separator is the one that splits the header into most fields; rows that are blank are skipped
        but counted in the row numbers.
    encoding
        UTF-8 (with or without byte-order mark) or UTF-16 with its mark when None.
    sheet
        Name or position of a workbook's sheet.

    Raises
    ------
    StimulusError
        File missing, empty, not decodable, header names repeated, or a row with too many or too few cells.
    """
    path = Path(path)
    if path.suffix.lower() == ".xls":
        raise StimulusError(f"'{path}' is an old Excel file; save it as .xlsx or CSV")
    if path.suffix.lower() in _WORKBOOKS:
        records, origin = _sheet_records(path, sheet)
        separator = ""
    else:
        if sheet != 0:
            raise StimulusError(f"'{path}' is no workbook, so it has no sheet '{sheet}'; leave --sheet out")
        records, separator = _text_records(path, encoding)
        origin = f"'{path}'"
    kept = [(number, cells) for number, cells in enumerate(records, start=1) if any(c.strip() for c in cells)]
    if len(kept) < 2:
        found = "no row" if not kept else "a header but no row below it"
        raise StimulusError(f"{origin} is empty: {found} found, a header and rows below it expected")
    header = [name.strip() for name in kept[0][1]]
    repeated = {name for name in header if header.count(name) > 1 and name}
    if repeated:
        raise StimulusError(f"{origin} names the column '{min(repeated)}' twice; rename one of them")
    for number, cells in kept[1:]:
        if len(cells) != len(header):
            raise StimulusError(
                f"{origin}, row {number}: {len(cells)} cells found, {len(header)} expected as in the header; "
                "put quotes around text that contains the separator"
            )
    header = [name or f"unnamed_{position}" for position, name in enumerate(header)]
    frame = pd.DataFrame([cells for _, cells in kept[1:]], columns=header, dtype=object)
    return RawTable(frame, [str(number) for number, _ in kept[1:]], origin, decimal_comma=separator == ";")


def read_lines(path: str | Path, encoding: str | None = None) -> RawTable:
    """Read a file of one sentence a line into a table with the column ``sentence``; blank lines are skipped."""
    path = Path(path)
    lines = text_lines(decode(path, encoding))
    kept = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not kept:
        raise StimulusError(f"'{path}' is empty: one sentence a line expected")
    frame = pd.DataFrame({"sentence": [line for _, line in kept]}, dtype=object)
    return RawTable(frame, [str(number) for number, _ in kept], f"'{path}'")


def from_frame(frame: pd.DataFrame) -> RawTable:
    """Wrap a data frame; rows are named by the index."""
    if frame.empty:
        raise StimulusError("the data frame is empty: one row a stimulus expected")
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise StimulusError(f"the data frame names the column '{repeated[0]}' twice; rename one of them")
    rows = [str(label) for label in frame.index]
    return RawTable(frame.reset_index(drop=True), rows, "the data frame", is_text=False)


def as_text(value: object) -> str:
    """Return a cell as text: missing as the empty string, 3.0 as "3"."""
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def decode(path: Path, encoding: str | None) -> str:
    """Return the text of a file, gzipped or not.

    Raises
    ------
    StimulusError
        When it cannot be read or decoded.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StimulusError(f"cannot read '{path}': {error.strerror}; give the path of a file") from error
    if data.startswith(_GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise StimulusError(
                f"'{path}' is not a readable gzip file ({error}); compress it again"
            ) from error
    if encoding is None:
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = "utf-16" if wide else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise StimulusError(
            f"'{path}', line {row}: byte 0x{data[error.start]:02x} is not {encoding.removesuffix('-sig')}; "
            "save the file as UTF-8 or give its encoding (--encoding, of trials beside stimuli --trial-encoding)"
        ) from error
    except (LookupError, UnicodeError) as error:  # no such codec, or not one for text
        raise StimulusError(
            f"'{path}' cannot be read as '{encoding}'; give Python's name of its encoding, such as latin-1 or cp1252"
        ) from error
    if "\0" in text:
        raise StimulusError(
            f"'{path}' holds NUL characters: it is binary or UTF-16 without its mark; save it as UTF-8"
        )
    return text


def _text_records(path: Path, encoding: str | None) -> tuple[list[list[str]], str]:
    text = decode(path, encoding)
    header = next((line for line in text_lines(text) if line.strip()), "")
    _refuse_comments(path, text, header)
    separator = max(SEPARATORS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
    lines = io.StringIO(text, newline="").readlines()
    reader = csv.reader(lines, delimiter=separator, strict=True)
    records: list[list[str]] = []
    begin = 0
    try:
        for cells in reader:
            records.append(cells)
            width = next((len(record) for record in records if record), 0)
            _refuse_swallowed(path, len(records), lines[begin : reader.line_num], separator, width)
            begin = reader.line_num
    except csv.Error as error:
        raise StimulusError(
            f"'{path}', row {len(records) + 1} has unbalanced quotes ({error}); put quotes around the whole cell and "
            "write those inside it twice"
        ) from error
    return records, separator


def _refuse_comments(path: Path, text: str, header: str) -> None:
    """Refuse comments where the header is expected, first of all those of Ibex, which name columns in them."""
    if not header.lstrip().startswith("#"):
        return
    if _IBEX_COLUMN.search(text):
        raise StimulusError(
            f"'{path}' is a result file of Ibex or PCIbex, whose columns are named in comments; make a table of it with "
            "read.pcibex() of the PCIbex manual, decode %2C to commas, and save it as CSV with a header"
        )
    if not any(mark in header for mark in SEPARATORS):
        raise StimulusError(
            f"'{path}' begins with the comment '{header.strip()[:60]}'; delete everything above the header"
        )


def _refuse_swallowed(path: Path, row: int, lines: list[str], separator: str, width: int) -> None:
    """Refuse a record over several lines each of which is a whole row: a stray quote made one cell of them."""
    alone = [line.rstrip("\r\n").split(separator) for line in lines]
    if len(lines) > 1 and all(len(cells) == width for cells in alone):
        raise StimulusError(
            f"'{path}', row {row}: a quote makes one cell of {len(lines)} rows; close it there, or write a quote inside "
            "quoted text twice"
        )


def _sheet_records(path: Path, sheet: str | int) -> tuple[list[list[str]], str]:
    """Return a sheet's rows, and its name beside those of the other sheets for messages."""
    import openpyxl

    try:
        with closing(openpyxl.load_workbook(path, read_only=True, data_only=True)) as book:
            names = book.sheetnames
            if (isinstance(sheet, str) and sheet not in names) or (
                isinstance(sheet, int) and sheet >= len(names)
            ):
                raise StimulusError(
                    f"'{path}' has no sheet '{sheet}'{did_you_mean(str(sheet), names)}; it has {', '.join(names)}"
                )
            name = sheet if isinstance(sheet, str) else names[sheet]
            page = book[name]
            records = [[as_text(cell) for cell in row] for row in page.iter_rows(values_only=True)]
    except StimulusError:
        raise
    except Exception as error:  # openpyxl, zipfile and the XML parser raise a dozen kinds for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StimulusError(f"'{path}' is not a readable .xlsx workbook ({reason}); save it again") from error
    width = max((k + 1 for row in records for k, cell in enumerate(row) if cell.strip()), default=0)
    others = ", ".join(other for other in names if other != name)
    origin = f"'{path}', sheet '{name}' (--sheet chooses another: {others})" if others else f"'{path}'"
    return [(row + [""] * width)[:width] for row in records], origin
