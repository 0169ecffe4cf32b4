"""Which trace a table belongs to, and which trials an estimate: ids that travel with the files.

A trace has an id (``inputs`` in its manifest and in the provenance of its tables). Trials carry the id of the trace
whose words they were aligned with, and have one of their own; a fit or an interaction carries that of its trials. `run`,
the single commands and Python write and check them here, whatever folders and files are called.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from clada_neuro.artifacts import (
    content_hash,
    read_json,
    read_provenance,
    read_table,
)
from clada_neuro.errors import DataError
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.manifest import read_manifest
from clada_neuro.records.record import Document
from clada_neuro.records.synergy import SynergyRecord

TRACE = "trace"
# What a manifest says of trials: how they were joined, and what a run adds for its own. All else describes the trace.
_OF_THE_TRIALS = frozenset(
    (
        "joins", "notes", "target", "title", "command", "created", "simulated", "simulation", "component", "dataset",
        "analysis", "seed", "erp", "exclusions", "departures", "seconds", "peak_memory_mb",
    )
)  # fmt: skip
_ESTIMATES: dict[str, type[Document]] = {"fits": FitRecord, "synergy": SynergyRecord}


class Aligned(Protocol):
    """Trials with the measures of their words, and what happened on the way (`clada_neuro.align`)."""

    @property
    def trials(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def unmatched(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def joins(self) -> list[dict[str, Any]]: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def trace(self) -> str | None: ...  # noqa: D102


def marked(frame: pd.DataFrame, trace: str | None) -> pd.DataFrame:
    """Return a table that remembers its trace in this process."""
    frame.attrs[TRACE] = trace
    return frame


def trace_of(frame: pd.DataFrame) -> str | None:
    """Return the id of the trace that a table in memory came from, None where that is not known."""
    return frame.attrs.get(TRACE)


def read_words(path: Path) -> pd.DataFrame:
    """Read the words of a trace, wherever they were put."""
    return marked(read_table(path), _trace_of_file(path))


def trace_beside(path: Path) -> dict[str, Any]:
    """Return the manifest beside a table of a trace; nothing where there is none of the same trace."""
    manifest = path.with_name("manifest.json")
    described = read_manifest(manifest) if manifest.is_file() else {}
    return described if described.get("inputs") == _trace_of_file(path) else {}


def trials_id(path: Path, trials: pd.DataFrame) -> str:
    """Return the id of the trials in a file; of a table that carries none, such as a CSV, a hash of what is in it."""
    carried = read_provenance(path).get("inputs") if path.suffix == ".parquet" else None
    return carried or content_hash(trials)


def of_the_trace(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest says of the trace, without what was said of trials that are aligned with it."""
    return {key: value for key, value in manifest.items() if key not in _OF_THE_TRIALS}


def said_of(folder: Path, trace: str) -> dict[str, Any]:
    """Return what the manifest in a folder says of this very trace and of trials of it: that stands when it is traced again."""
    path = folder / "manifest.json"
    try:
        found = read_manifest(path) if path.is_file() else {}
    except DataError:  # damaged, or of another version: written anew
        return {}
    same = found.get("inputs") == trace
    return {key: value for key, value in found.items() if same and key != "missing"}


def refuse_other_trace(folder: Path, trace: str | None) -> None:
    """Refuse to put trials into a folder whose words are of another trace than theirs.

    Raises
    ------
    DataError
    """
    path = folder / "words.parquet"
    here = _trace_of_file(path) if path.is_file() else None
    if None not in (trace, here) and trace != here:
        raise DataError(
            f"these trials were aligned with words of the trace {trace}, '{folder}' holds the trace {here}; choose "
            "another --out"
        )


def refuse_other_trials(folder: Path, trials: str, source: str | Path) -> None:
    """Refuse to put what was estimated on some trials into a folder that holds others.

    Raises
    ------
    DataError
    """
    path = folder / "trials.parquet"
    here = read_provenance(path).get("inputs") if path.is_file() else None
    if here is not None and here != trials:
        raise DataError(
            f"'{folder}' holds other trials than '{source}'; fit '{path}', or choose another --out"
        )


def store_estimates(
    folder: Path, fits: Sequence[dict[str, Any]], synergy: dict[str, Any] | None, trials: str | None = None
) -> None:
    """Write what was estimated on the same trials, and take away what an earlier call left there of others.

    Parameters
    ----------
    trials : str, optional
        The id of the trials; by default of those in the folder.
    """
    path = folder / "trials.parquet"
    if trials is None and path.is_file():
        trials = read_provenance(path).get("inputs")
    stamp = {} if trials is None else {"trials": trials}
    entries = {
        "fits": [{**entry, **stamp} for entry in fits],
        "synergy": [{**synergy, **stamp}] if synergy else [],
    }
    for name, kind in _ESTIMATES.items():
        path = folder / f"{name}.json"
        if name == "fits" and entries[name]:
            kind.write_all(path, entries[name])
        elif entries[name]:
            kind.write(path, *entries[name])
        elif path.is_file() and (trials is None or _ids(read_json(path)) != {trials}):
            path.unlink()
            warnings.warn(f"'{path}' was estimated on other trials and is removed", stacklevel=3)


def refuse_mixture(path: str | Path, manifest: Mapping[str, Any]) -> None:
    """Refuse a table of a trace that is not the one which the manifest beside it describes.

    Raises
    ------
    DataError
        When both say what they were computed from, and differ.
    """
    found, expected = _trace_of_file(path), manifest.get("inputs")
    if None not in (found, expected) and found != expected:
        raise DataError(
            f"'{path}' belongs to the trace {found}, the manifest beside it to {expected}: another model, setting or "
            "stimulus file; run the command that writes this folder again"
        )


class Estimated(Protocol):
    """What was estimated on trials, with one language model of several."""

    @property
    def trials(self) -> str | None: ...  # noqa: D102


def refuse_mixed_trials(folder: Path, documents: Mapping[str, Sequence[Estimated]]) -> None:
    """Refuse statistics of other trials than those in the folder, or of several.

    Parameters
    ----------
    documents : mapping
        From file name to the records in it.

    Raises
    ------
    DataError
    """
    path = folder / "trials.parquet"
    here = read_provenance(path).get("inputs") if path.is_file() else None
    known = {} if here is None else {"": (here, "trials.parquet holds")}  # by language model
    for name, found in documents.items():
        for entry in found:
            if entry.trials is None:
                continue
            model = getattr(entry, "language_model", "")
            expected, where = known.setdefault(model, (entry.trials, f"{name} beside it"))
            if entry.trials != expected:
                raise DataError(
                    f"'{folder / name}' was estimated on other trials than {where}, as after an interrupted run; give "
                    "the command that writes it again, or delete it"
                )


def _ids(document: Any) -> set[str | None]:
    entries = document if isinstance(document, list) else [document]
    return {entry.get("trials") for entry in entries if isinstance(entry, Mapping)}


def _trace_of_file(path: str | Path) -> str | None:
    """Return the trace of a table on disk: an aligned one names it, one of the trace is it, even when incomplete."""
    stored = read_provenance(path)
    return stored.get(TRACE, stored.get("inputs", stored.get("incomplete")))
