"""The stage that puts trials beside the measures of their words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.artifacts import content_hash, write_table
from clada_neuro.exports import csv_beside
from clada_neuro.lineage import TRACE, Aligned, of_the_trace, refuse_other_trace
from clada_neuro.records.manifest import Manifest, read_manifest
from clada_neuro.stage import Stage


@dataclass(frozen=True)
class AlignStage(Stage[str]):
    """Write aligned trials and those without a word, as parquet and CSV, and what a manifest says of them; the result is their id.

    Attributes
    ----------
    aligned : Aligned
        Joining takes moments, so it is done anew each time; the id is a hash of the trials themselves, so that the same ones
        find the fits that were made of them.
    described : mapping
        The manifest of their trace, for a folder that has none of it.
    """

    name = "align"
    files = ("trials.parquet", "trials.csv", "unmatched.parquet", "unmatched.csv")

    aligned: Aligned
    described: Mapping[str, Any] = field(default_factory=dict)

    def make(self, folder: Path) -> str:
        """Write the tables."""
        aligned, path = self.aligned, folder / "manifest.json"
        refuse_other_trace(folder, aligned.trace)
        found = read_manifest(path) if path.is_file() else self.described
        if None not in (aligned.trace, found.get("inputs")) and aligned.trace != found["inputs"]:
            found = self.described
        trials = content_hash(aligned.trials)
        stamp: dict[str, Any] = {"inputs": trials, TRACE: aligned.trace}
        about = {"joins": aligned.joins, "notes": list(aligned.notes)}
        if aligned.unmatched.empty:
            self.clear(folder, but=("trials.parquet", "trials.csv"))
        else:
            _write(aligned.unmatched, folder / "unmatched.parquet", stamp)
        _write(aligned.trials, folder / "trials.parquet", stamp | about)
        Manifest.write(path, of_the_trace(found) | about)
        return trials


def _write(table: pd.DataFrame, path: Path, provenance: Mapping[str, Any]) -> None:
    write_table(table, path, provenance)
    csv_beside(path)
