"""Which function of probability speaks to the responses of a run: its models with each in place of surprisal."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro import artifacts
from clada_neuro.cache import Store
from clada_neuro.errors import DataError
from clada_neuro.exports import write_csv
from clada_neuro.lineage import refuse_mixed_trials
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.manifest import read_manifest
from clada_neuro.records.predictability import PredictabilityRecord
from clada_neuro.stage import Stage
from clada_neuro.stats.layers.settings import read_settings
from clada_neuro.stats.predictability import SURPRISAL, predictability_of
from clada_neuro.study.depth import models_of

FILE, TABLE = "predictability.json", "tables/predictability.csv"


def predictability(run: str | Path, *, folds: int = 10, jobs: int = 1) -> pd.DataFrame:
    """Compare forms of predictability (surprisal, its powers below 1, −√p, −p, cloze) on items left out.

    Each stands in place of surprisal in the models of a run, on the same rows and with the same random part.

    Parameters
    ----------
    run : path
        A folder that `clada_neuro.run` wrote.
    folds : int
        Parts of the items (of sentences in data sets whose items are words), each of which is left out once.
    jobs : int
        Processes; no value depends on them.

    Returns
    -------
    pandas.DataFrame
        One row a model and form (`clada_neuro.stats.predictability.predictability_of`), also in
        ``tables/predictability.csv``; notes are in ``attrs``.

    Raises
    ------
    CladaNeuroError
        If the folder is no run, or no linear model of it has surprisal as a term of its own.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise DataError(f"'{folder}' is not a folder; give one that `clada-neuro run` wrote to")
    if folds < 2:
        raise DataError(f"folds = {folds} given, at least 2 expected")
    return PredictabilityStage(folds, jobs).into(folder)


@dataclass(frozen=True)
class PredictabilityStage(Stage[pd.DataFrame]):
    """Do the work of `predictability` on the models and trials that a folder holds, unless it stands there."""

    name = "predictability"
    files = (FILE, TABLE)

    folds: int = 10
    jobs: int = 1

    def make(self, folder: Path) -> pd.DataFrame:
        """Fit the forms in each model, and write the table."""
        fits, trials, dataset = _read(folder)
        models, notes = models_of(fits, SURPRISAL)
        fold = read_settings().on(dataset).fold  # as `depth`: of sentences where items are words
        store = Store.of(folder, __name__, fits, self.folds, fold, codec=PredictabilityRecord.codec())

        def compute() -> dict[str, Any]:
            entries = [
                predictability_of(trials, model, folds=self.folds, fold=fold, jobs=self.jobs)
                for model in models
            ]
            return {"entries": entries, "notes": notes, "trials": fits[0].trials}

        stored = store.once(Path(FILE).stem, compute)
        table = _table(stored)
        artifacts.output_folder(folder / "tables")
        write_csv(table, folder / TABLE)
        return table


def _read(folder: Path) -> tuple[list[FitRecord], pd.DataFrame, str | None]:
    """Return fits and trials of a run, and the name of its data set, if it is of one."""
    for name in ("manifest.json", "trials.parquet", "fits.json"):
        if not (folder / name).is_file():
            raise DataError(f"'{folder}' has no {name}; give a folder that `clada-neuro run` wrote to")
    fits = FitRecord.read_all(folder / "fits.json")
    refuse_mixed_trials(folder, {"fits.json": fits})
    dataset = read_manifest(folder / "manifest.json").get("dataset") or {}
    return fits, artifacts.read_table(folder / "trials.parquet"), dataset.get("name")


def _table(stored: Mapping[str, Any]) -> pd.DataFrame:
    rows = [
        {"model": entry["name"], "response": entry["response"], "n_obs": entry["n_obs"], **form}
        for entry in stored["entries"]
        for form in entry["forms"]
    ]
    table = pd.DataFrame(rows)
    told = [f"{entry['name']}: {note}" for entry in stored["entries"] for note in entry["notes"]]
    table.attrs["notes"] = [*stored["notes"], *told]
    return table
