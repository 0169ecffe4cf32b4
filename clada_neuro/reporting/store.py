"""Put what was computed in a Python session beside the trace's tables, as `clada-neuro run` would."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from clada_neuro.artifacts import output_folder
from clada_neuro.lineage import Aligned, store_estimates
from clada_neuro.records.fits import FitRecord
from clada_neuro.responses.stage import AlignStage


class Result(Protocol):
    """A fit or a synergy: something with an entry in a JSON file."""

    def to_dict(self) -> dict[str, Any]: ...  # noqa: D102


def store(
    folder: str | Path, alignment: Aligned | None, fits: Sequence[Result], synergy: Result | None
) -> None:
    """Write trials.parquet and its joins, fits.json and synergy.json, each if given; all belong together."""
    if alignment is None and not fits and synergy is None:
        return
    entries = [fit.to_dict() for fit in fits]
    for entry in entries:
        FitRecord.of(FitRecord.checked(entry))
    folder = output_folder(folder)
    trials = None if alignment is None else AlignStage(alignment).into(folder)
    interaction = None if synergy is None else synergy.to_dict()
    store_estimates(folder, entries, interaction, trials)
