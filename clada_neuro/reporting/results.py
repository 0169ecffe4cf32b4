"""What an output folder holds: every file the report is made from, read once, absences noted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.artifacts import read_json, read_manifest, read_table
from clada_neuro.errors import DataError
from clada_neuro.lineage import refuse_mixed_trials, refuse_mixture
from clada_neuro.measures.activity import ACTIVITY
from clada_neuro.measures.measure import Origin
from clada_neuro.measures.tokens import named

_TABLES = {
    "stimuli": "the stimuli themselves",
    "tokens": "what the model did at each token",
    "layers": "what each layer did at each token",
    "words": "token values summed or averaged into words",
    "trials": "single-trial responses joined with words",
}
# Long tables are read only as far as the report shows them.
_COLUMNS = {
    "tokens": ["stimulus_id", "token_index", "token", *named(Origin.POLICY)],
    "layers": ["layer", *(measure.name for measure in ACTIVITY if measure.main)],
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
    fits
        One entry per regression, in the order of ``fits.json``.
    synergy
        One entry per interaction tested.
    pooled
        Estimates pooled over several language models; empty with one.
    tables
        The parquet tables that are there, by name; ``tokens`` and ``layers`` with the shown columns only.
    erp
        Tables of the epochs' own analyses, by file name; empty without epochs.
    erp_facts
        What was done with the epochs: components, electrodes, notes.
    missing
        For every absent file its name without suffix, and a sentence that says so.
    """

    folder: Path
    manifest: Mapping[str, Any]
    fits: list[dict[str, Any]]
    synergy: list[dict[str, Any]]
    pooled: list[dict[str, Any]]
    tables: Mapping[str, pd.DataFrame]
    erp: Mapping[str, pd.DataFrame]
    erp_facts: Mapping[str, Any]
    missing: Mapping[str, str]

    @property
    def simulated(self) -> bool:
        """Whether the responses are simulated, by the manifest or by any trial's own mark."""
        trials = self.tables.get("trials", pd.DataFrame())
        marked = "simulated" in trials and bool(trials["simulated"].any())
        return bool(self.manifest.get("simulated")) or marked


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
    documents: dict[str, Any] = {
        name: read_manifest(path) if name == "manifest" else read_json(path)
        for name, meaning in _DOCUMENTS.items()
        if (path := _present(folder, f"{name}.json", meaning, missing))
    }
    if not tables and not documents:
        raise DataError(
            f"'{folder}' holds none of manifest.json, fits.json or words.parquet; "
            "pass the folder that `clada-neuro run` wrote to"
        )
    if "layers" in missing and (reason := documents.get("manifest", {}).get("activity")):
        missing["layers"] = f"Activity was not measured: {reason}."
    fits = documents.get("fits", [])
    if not isinstance(fits, list):
        raise DataError(
            f"'{folder / 'fits.json'}' holds no list of fits; delete it and run the step that writes it again"
        )
    check_linear(fits, f"'{folder / 'fits.json'}' holds")
    epochs = folder / "erp"
    finished = (epochs / "erp.json").is_file()  # written last
    erp_facts = read_json(epochs / "erp.json") if finished else {}
    for name in set(tables) - {"stimuli"}:
        refuse_mixture(folder / f"{name}.parquet", documents.get("manifest", {}))
    estimates = {f"{name}.json": documents[name] for name in ("fits", "synergy") if name in documents}
    refuse_mixed_trials(folder, estimates | {"erp/erp.json": erp_facts})
    synergy = documents.get("synergy", [])
    return Results(
        folder=folder,
        manifest=documents.get("manifest", {}),
        fits=fits,
        synergy=[synergy] if isinstance(synergy, dict) else synergy,
        pooled=read_json(folder / "pooled.json") if (folder / "pooled.json").is_file() else [],
        tables=tables,
        erp={path.stem: read_table(path) for path in sorted(epochs.glob("*.parquet"))} if finished else {},
        erp_facts=erp_facts,
        missing=missing,
    )


def check_linear(fits: Sequence[Mapping[str, Any]], where: str) -> None:
    """Refuse the entries of generalised models, of which a report would say wrong things: units, residuals, df.

    Raises
    ------
    DataError
    """
    if counted := next((fit for fit in fits if "link" in fit), None):
        raise DataError(
            f"{where} the {counted['response_family']} model '{counted['name']}', and a report shows linear models; "
            "`clada-neuro fit` and fit.summary() print it"
        )


def _present(folder: Path, file: str, meaning: str, missing: dict[str, str]) -> Path | None:
    path = folder / file
    if path.is_file():
        return path
    where = "stands in each folder under models/" if (folder / "models").is_dir() else "is not in this folder"
    missing[path.stem] = f"{file} ({meaning}) {where}."
    return None
