"""What `data/registry.toml` says about external data: sources with their files, and the sets made from them."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clada_neuro.artifacts import package_data
from clada_neuro.errors import DataError, did_you_mean


@dataclass(frozen=True)
class File:
    """One file of a source: its local name, public address, checksum and, if it is not served as such, its making."""

    name: str
    url: str
    sha256: str
    derived: str


@dataclass(frozen=True)
class Source:
    """A public repository at one commit; ``name`` is its folder's name too."""

    name: str
    kind: str
    licence: str
    citation: str
    notes: str
    files: dict[str, File]

    @classmethod
    def of(cls, name: str, entry: Mapping[str, Any]) -> "Source":
        """Return a source from its entry: kind, url, licence, citation, notes, and local files with path, sha256 and derived."""
        files = {
            local: File(
                local, file.get("url", entry["url"]) + file["path"], file["sha256"], file.get("derived", "")
            )
            for local, file in entry["files"].items()
        }
        return cls(name, entry["kind"], entry["licence"], entry["citation"], entry.get("notes", ""), files)

    @classmethod
    def benchmark(cls, name: str, **entry: Any) -> "Source":
        """Return the source that a task declares, as `of` takes its entry."""
        return cls.of(name, {"kind": "benchmark", **entry})


@dataclass(frozen=True)
class DataSet:
    """One stimulus or EEG set.

    ``language`` is the code of its texts' word frequencies. ``window_ms`` (component to [start, end] after word
    onset), ``roi``, ``reference`` and ``soa_ms`` describe the recording and are empty or None where the set brings
    none. ``unverified`` names what of it was not checked against the paper or the data's own files.
    """

    name: str
    title: str
    source: Source
    files: tuple[File, ...]
    loader: str
    language: str
    citation: str
    components: tuple[str, ...]
    window_ms: dict[str, list[int]]
    roi: tuple[str, ...]
    reference: str
    soa_ms: int | None
    unverified: tuple[str, ...]
    notes: str


def read_registry(path: Path) -> tuple[dict[str, Source], dict[str, DataSet]]:
    """Read a registry file into its sources and sets, by name."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    sources = {name: Source.of(name, entry) for name, entry in document["sources"].items()}
    sets = {name: _set(name, entry, sources) for name, entry in document.get("sets", {}).items()}
    return sources, sets


@functools.cache
def registry() -> tuple[dict[str, Source], dict[str, DataSet]]:
    """Return the sources and sets of the registry that ships with the package."""
    return read_registry(package_data("registry.toml"))


def find(name: str | Source, *others: str) -> tuple[Source, tuple[File, ...]]:
    """Return the source and the files behind the name of a set or of a source, or those of a source that is given.

    Raises
    ------
    DataError
        For an unknown name, with the closest of those in the registry and the `others` that are declared elsewhere.
    """
    if isinstance(name, Source):
        return name, tuple(name.files.values())
    sources, sets = registry()
    if name in sets:
        return sets[name].source, sets[name].files
    if name in sources:
        return sources[name], tuple(sources[name].files.values())
    known = sorted({*sets, *sources, *others})
    raise DataError(f"no data set '{name}'{did_you_mean(name, known)}; see 'clada-neuro data list'")


def data_set(name: str) -> DataSet:
    """Return a set by name; a source that is not a set (text, benchmarks) is refused."""
    sets = registry()[1]
    if name not in sets:
        raise DataError(
            f"no stimulus set '{name}'{did_you_mean(name, list(sets))}; see 'clada-neuro data list'"
        )
    return sets[name]


def _set(name: str, entry: dict, sources: dict[str, Source]) -> DataSet:
    source = sources[entry["source"]]
    return DataSet(
        name=name,
        title=entry["title"],
        source=source,
        files=tuple(source.files[file] for file in entry["files"]),
        loader=entry["loader"],
        language=entry["language"],
        citation=entry["citation"],
        components=tuple(entry["components"]),
        window_ms=entry.get("window_ms", {}),
        roi=tuple(entry.get("roi", ())),
        reference=entry.get("reference", ""),
        soa_ms=entry.get("soa_ms"),
        unverified=tuple(entry.get("unverified", ())),
        notes=entry.get("notes", ""),
    )
