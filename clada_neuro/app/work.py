"""What the page does with texts: read them, within bounds, trace them, and give CSV and report. No widget is needed here.

What loads PyTorch or figures is imported where it is used: the page shows before that.
"""

import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from clada_neuro.app.settings import LARGEST_UPLOAD, LARGEST_WORKBOOK, MOST_WORDS
from clada_neuro.errors import CladaNeuroError, DataError, StimulusError
from clada_neuro.exports import own_columns_first, write_for_r
from clada_neuro.stimuli.formats import read_stimuli

if TYPE_CHECKING:
    from clada_neuro.instrument.trace import Trace
    from clada_neuro.models.loading import LanguageModel

KINDS = (".csv", ".tsv", ".txt", ".xlsx", ".jsonl", ".json", ".stims")


@dataclass(frozen=True)
class Upload:
    """A file as the browser sent it: its name and its bytes."""

    name: str
    content: bytes


def typed(text: str) -> pd.DataFrame:
    """Return sentences, one a line, as stimuli; a critical word stands between ``*asterisks*``.

    Raises
    ------
    StimulusError
        Nothing but blanks, two marked words in a sentence, or more words than the page takes.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise StimulusError("no sentence given; write one a line, or drop a table")
    return _bounded(read_stimuli(pd.DataFrame({"sentence": lines}, dtype=object)))


def uploaded(upload: Upload, folder: Path) -> pd.DataFrame:
    """Return the stimuli of a file as `read_stimuli` reads them.

    Parameters
    ----------
    folder : Path
        Where the file is kept while it is read.

    Raises
    ------
    DataError
        The file is larger than `LARGEST_UPLOAD` or of another kind than `KINDS`.
    StimulusError
        It is no table of stimuli, or has more words than the page takes.
    """
    name = Path(upload.name.replace("\\", "/")).name or "upload"
    check_size(name, len(upload.content))
    if Path(name).suffix.lower() not in KINDS:
        raise DataError(f"'{name}' given, a table of stimuli expected: {', '.join(KINDS)}")
    path = folder / f"upload{Path(name).suffix.lower()}"  # no name from outside becomes a path
    if path.suffix == ".xlsx":
        _check_workbook(name, upload.content)
    path.write_bytes(upload.content)
    try:
        return _bounded(read_stimuli(path))
    except CladaNeuroError as error:
        raise type(error)(str(error).replace(str(path), name)) from None
    finally:
        path.unlink()


def check_size(name: str, size: int) -> None:
    """Refuse more bytes than the page takes.

    Raises
    ------
    DataError
    """
    if size > LARGEST_UPLOAD:
        raise DataError(
            f"'{name}' has {size / 2**20:.1f} MB, at most {LARGEST_UPLOAD // 2**20} MB are taken here; "
            "`clada-neuro trace FILE --csv` has no such bound"
        )


def _check_workbook(name: str, content: bytes) -> None:
    try:
        with zipfile.ZipFile(BytesIO(content)) as book:
            unpacked = sum(part.file_size for part in book.infolist())
    except zipfile.BadZipFile:
        raise DataError(f"'{name}' is no workbook: save it as .xlsx again, or as CSV") from None
    if unpacked > LARGEST_WORKBOOK:
        raise DataError(f"'{name}' has {unpacked / 2**20:.0f} MB when unpacked; save the sheet as CSV")


def _bounded(stimuli: pd.DataFrame) -> pd.DataFrame:
    words = sum(len(sentence.split()) for sentence in stimuli["sentence"])
    if words > MOST_WORDS:
        raise StimulusError(
            f"{words:,} words given, at most {MOST_WORDS:,} are taken here; `clada-neuro trace FILE --csv` has no such bound"
        )
    return stimuli


def measured(stimuli: pd.DataFrame, model: "LanguageModel", folder: Path, progress: bool = False) -> "Trace":
    """Return the trace of some stimuli, written to a folder that holds nothing else."""
    from clada_neuro.instrument.trace import trace

    return trace(stimuli, model, out=folder, progress=progress)


def csv_of(traced: "Trace", folder: Path) -> bytes:
    """Return the words of a trace as CSV, the caller's columns first."""
    return write_for_r(own_columns_first(traced.words), folder / "words.csv").read_bytes()


def report_of(folder: Path) -> bytes:
    """Return the report of a trace's folder, one HTML page with everything in it."""
    from clada_neuro.reporting.build import report

    return report(folder).read_bytes()
