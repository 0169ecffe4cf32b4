"""Where everything on the page comes from: command, files, versions, and what else the manifest holds."""

import json
from collections.abc import Iterator

from clada_neuro.artifacts import read_provenance
from clada_neuro.reporting.blocks import Absent, Block, Code, Facts, Headed
from clada_neuro.reporting.page_tables import table
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results

_SHOWN_ELSEWHERE = (
    "title", "target", "model", "policy", "calibration", "exclusions", "joins", "simulation", "simulated",
    "dataset", "versions", "units", "command", "created", "departures", "erp", "language_models", "analysis", "notes", "schema",
)  # fmt: skip


def blocks(results: Results) -> Iterator[Block]:
    """Yield the command, tables of files and versions, the rest of the manifest, and what is absent."""
    made = [("Command", results.manifest.command), ("Written", results.manifest.created)]
    if facts := [(name, value) for name, value in made if value]:
        yield Facts(facts)
    files = [
        {
            "table": f"{name}.parquet",
            "rows": len(frame),
            "inputs": read_provenance(results.folder / f"{name}.parquet").get("inputs", ""),
        }
        for name, frame in results.tables.items()
    ]
    versions = [{"package": name, "version": value} for name, value in results.manifest.versions.items()]
    if files:
        yield table("files", "Tables; inputs: hash of what each came from.", files)
    if versions:
        yield table("versions", "Versions.", versions)
    if rest := {key: value for key, value in results.document.items() if key not in _SHOWN_ELSEWHERE}:
        yield Headed("Rest of the manifest", [Code(json.dumps(rest, indent=1, ensure_ascii=False))])
    yield from map(Absent, results.missing.values())


SECTION = Declared("provenance", "Provenance", 1500, blocks)
