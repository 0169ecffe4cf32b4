"""Put what was computed in a Python session beside the trace's tables, as `clada-neuro run` would."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from clada_neuro.artifacts import output_folder, read_json, write_json, write_table


class Aligned(Protocol):
    """Trials with the measures of their words, and the rows lost on the way (`clada_neuro.align`)."""

    @property
    def trials(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def joins(self) -> list[dict[str, Any]]: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102


class Result(Protocol):
    """A fit or a synergy: something with an entry in a JSON file."""

    def to_dict(self) -> dict[str, Any]: ...  # noqa: D102


def store(
    folder: str | Path, alignment: Aligned | None, fits: Sequence[Result], synergy: Result | None
) -> None:
    """Write trials.parquet and its joins, fits.json and synergy.json, each if given."""
    if alignment is None and not fits and synergy is None:
        return
    folder = output_folder(folder)
    if alignment is not None:
        write_table(alignment.trials, folder / "trials.parquet", {"joins": alignment.joins})
        path = folder / "manifest.json"
        manifest = read_json(path) if path.is_file() else {}
        write_json(path, {**manifest, "joins": alignment.joins, "notes": list(alignment.notes)})
    if fits:
        write_json(folder / "fits.json", [fit.to_dict() for fit in fits])
    if synergy is not None:
        write_json(folder / "synergy.json", synergy.to_dict())
