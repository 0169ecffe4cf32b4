"""What an output folder holds: every file the report is made from, read once, absences noted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from clada_neuro.artifacts import read_table
from clada_neuro.errors import DataError
from clada_neuro.lineage import refuse_mixed_trials, refuse_mixture
from clada_neuro.measures.measure import UNDER_POLICY
from clada_neuro.measures.tokens import named
from clada_neuro.records.depth import DepthRecord
from clada_neuro.records.encoding import EncodingRecord
from clada_neuro.records.epochs import EpochsRecord
from clada_neuro.records.fits import FitRecord, PooledRecord
from clada_neuro.records.manifest import Manifest, read_manifest
from clada_neuro.records.overview import OverviewRecord
from clada_neuro.records.predictability import PredictabilityRecord
from clada_neuro.records.record import Document
from clada_neuro.records.synergy import SynergyRecord
from clada_neuro.reporting.scalp import Negative

Asked = TypeVar("Asked", bound=Document)
_TABLES = {
    "stimuli": "the stimuli themselves",
    "tokens": "what the model did at each token",
    "layers": "what each layer did at each token",
    "words": "token values summed or averaged into words",
    "trials": "single-trial responses joined with words",
}
# Long tables are read only as far as the report shows them.
_COLUMNS = {
    "tokens": ["stimulus_id", "token_index", "token", *named(*UNDER_POLICY)],
    "layers": ["layer"],
}
_DOCUMENTS = {
    "manifest": "what was run",
    "fits": "the regressions",
    "synergy": "the test of the interaction",
}


@dataclass(frozen=True)
class Results:
    """The contents of an output folder.

    Attributes
    ----------
    folder
        Where the files lie.
    manifest
        What was run: model, start token, policy, exclusions, versions; empty when the file is absent.
    document
        The same as it stands in the file.
    fits
        One entry per regression, in the order of ``fits.json``.
    synergy
        One entry per interaction tested.
    pooled
        Estimates pooled over several language models; empty with one.
    tables
        The parquet tables that are there, by name; ``tokens`` and ``layers`` with the shown columns only.
    overview
        What the tables look like beside any regression (see `clada_neuro.overview`).
    stimulus_means
        Means of predictor ``x`` and response ``y`` over the trials of each stimulus.
    erp
        Tables of the epochs' own analyses, by file name; empty without epochs.
    erp_facts
        What was done with the epochs: components, electrodes, notes; None without epochs.
    missing
        For every absent file its name without suffix, and a sentence that says so.
    depth
        Models with each layer's measures in place of a predictor; None where `depth` was not asked.
    encoding
        How well vectors of words predict responses; None where `encode` was not asked.
    predictability
        Forms of predictability in place of surprisal; None where `predictability` was not asked.
    negative
        Where negative voltages are in figures.
    """

    folder: Path
    manifest: Manifest
    document: Mapping[str, Any]
    fits: list[FitRecord]
    synergy: list[SynergyRecord]
    pooled: list[PooledRecord]
    tables: Mapping[str, pd.DataFrame]
    erp: Mapping[str, pd.DataFrame]
    erp_facts: EpochsRecord | None
    missing: Mapping[str, str]
    overview: OverviewRecord = field(default_factory=OverviewRecord)
    stimulus_means: pd.DataFrame = field(default_factory=pd.DataFrame)
    depth: DepthRecord | None = None
    encoding: EncodingRecord | None = None
    predictability: PredictabilityRecord | None = None
    negative: Negative = "down"

    @property
    def simulated(self) -> bool:
        """Whether the responses are simulated, by the manifest or by any trial's own mark."""
        trials = self.tables.get("trials", pd.DataFrame())
        marked = "simulated" in trials and bool(trials["simulated"].any())
        return self.manifest.simulated or marked

    def lacking(self, *sources: str) -> list[str]:
        """Return a sentence for each of these files that is absent."""
        return [self.missing[name] for name in sources if name in self.missing]


def read_results(folder: str | Path) -> Results:
    """Read every file of an output folder that the report shows.

    Raises
    ------
    DataError
        When the folder is absent, holds none of the files, one of them is damaged or of another version, or they
        belong to different runs.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"'{folder}' is not a folder; pass the folder that `clada-neuro run` wrote to")
    missing: dict[str, str] = {}
    tables = {
        name: read_table(path, _COLUMNS.get(name))
        for name, meaning in _TABLES.items()
        if (path := _present(folder, f"{name}.parquet", meaning, missing))
    }
    paths = {
        name: path
        for name, meaning in _DOCUMENTS.items()
        if (path := _present(folder, f"{name}.json", meaning, missing))
    }
    if not tables and not paths:
        raise DataError(
            f"'{folder}' holds none of manifest.json, fits.json or words.parquet; "
            "pass the folder that `clada-neuro run` wrote to"
        )
    document = read_manifest(paths["manifest"]) if "manifest" in paths else {}
    manifest = Manifest.of(document)
    if "layers" in missing and manifest.activity:
        missing["layers"] = f"Activity was not measured: {manifest.activity}."
    fits = FitRecord.read_all(paths["fits"]) if "fits" in paths else []
    synergy = SynergyRecord.read_all(paths["synergy"]) if "synergy" in paths else []
    epochs, pooled = folder / "erp", folder / "pooled.json"
    depth = _asked_for(DepthRecord, folder / "depth.json")
    encoding = _asked_for(EncodingRecord, folder / "encoding.json")
    predictability = _asked_for(PredictabilityRecord, folder / "predictability.json")
    shown, means = folder / "overview.json", folder / "stimulus_means.parquet"
    finished = (epochs / "erp.json").is_file()  # written last
    erp_facts = EpochsRecord.read(epochs / "erp.json") if finished else None
    for name in set(tables) - {"stimuli"}:
        refuse_mixture(folder / f"{name}.parquet", document)
    refuse_mixed_trials(
        folder,
        {
            "fits.json": fits,
            "synergy.json": synergy,
            "erp/erp.json": [erp_facts] if erp_facts else [],
            "depth.json": [depth] if depth else [],
            "encoding.json": [encoding] if encoding else [],
            "predictability.json": [predictability] if predictability else [],
        },
    )
    return Results(
        folder=folder,
        manifest=manifest,
        document=document,
        fits=fits,
        synergy=synergy,
        pooled=PooledRecord.read_all(pooled) if pooled.is_file() else [],
        tables=tables,
        erp={path.stem: read_table(path) for path in sorted(epochs.glob("*.parquet"))} if finished else {},
        erp_facts=erp_facts,
        depth=depth,
        encoding=encoding,
        predictability=predictability,
        missing=missing,
        overview=OverviewRecord.read(shown) if shown.is_file() else OverviewRecord(),
        stimulus_means=read_table(means) if means.is_file() else pd.DataFrame(),
    )


def _asked_for(kind: type[Asked], path: Path) -> Asked | None:
    """Return what a command beside `run` left, None where it was not asked for."""
    return kind.read(path) if path.is_file() else None


def _present(folder: Path, file: str, meaning: str, missing: dict[str, str]) -> Path | None:
    path = folder / file
    if path.is_file():
        return path
    if not (folder / "models").is_dir():  # where every model has its own
        missing[path.stem] = f"{file} ({meaning}) is not in this folder."
    return None
