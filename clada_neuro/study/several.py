"""Several language models on the same trials: a study each in a folder of its own, and what they say together.

Each folder under ``models/`` is complete. Above them stand ``fits.json`` and ``synergy.json`` with the entries of all
models, ``pooled.json``, and a report that compares the models. A family of tests spans all of them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clada_neuro import artifacts
from clada_neuro.errors import DataError, FitError
from clada_neuro.records.fits import FitRecord, PooledRecord
from clada_neuro.records.manifest import Manifest
from clada_neuro.records.synergy import SynergyRecord
from clada_neuro.stats.pooled import pool
from clada_neuro.stats.stage import with_families

Entries = list[dict[str, Any]]
_PER_MODEL = ("model", "counts", "seconds", "peak_memory_mb")
_INTERCEPT = "(Intercept)"


def study_each(
    models: Sequence[str], folder: Path, study: Callable[[str, Path, Path | None], None]
) -> dict[str, Path]:
    """Run a study a model and write what they say together into `folder`.

    Parameters
    ----------
    study : callable
        Takes a model, the folder of its study, and the folder of the first model's (None for the first itself),
        from whose trace responses are simulated where there are no others.

    Returns
    -------
    dict
        From model to the folder of its study.

    Raises
    ------
    DataError
        When a model is named twice.
    """
    places = {name: folder / "models" / folder_name(name) for name in models}
    if len(set(places.values())) < len(models):
        raise DataError(f"models {', '.join(models)} given; name each once")
    first = places[models[0]]
    for name, place in places.items():
        study(name, artifacts.output_folder(place), None if place == first else first)
    fits = {name: artifacts.read_json(place / "fits.json") for name, place in places.items()}
    with_families([entry for entries in fits.values() for entry in entries])
    for name, entries in fits.items():
        FitRecord.write_all(places[name] / "fits.json", entries)
    FitRecord.write_all(folder / "fits.json", joined(fits))
    PooledRecord.write_all(folder / "pooled.json", pooled(fits))
    _write_synergies(folder, places)
    _write_manifest(folder, places)
    return places


def check_layout(folder: Path, n_models: int) -> None:
    """Refuse a folder that holds a run of the other kind, whose tables would pass for this one's.

    Raises
    ------
    DataError
        When one model is to go where several were compared, or several where one was.
    """
    holds_several, holds_one = (folder / "models").is_dir(), (folder / "tokens.parquet").is_file()
    if (n_models == 1 and holds_several) or (n_models > 1 and holds_one):
        held, given = ("several models", "one") if holds_several else ("one model", str(n_models))
        raise DataError(f"'{folder}' holds a run of {held}, {given} given; choose another --out")


def folder_name(model: str) -> str:
    """Return a model's name, or the path of its checkpoint, as the name of a folder."""
    return re.sub(r"[^\w.-]+", "_", model).strip("_.") or "model"


def joined(fits: Mapping[str, Entries]) -> Entries:
    """Return the entries of all models, each named after its specification and its model's last part, if that is clear."""
    short = {model: Path(model).name for model in fits}
    if len(set(short.values())) < len(short):
        short = {model: model for model in fits}
    return [
        {
            **entry,
            "name": f"{entry['name']}, {short[model]}",
            "specification": entry["name"],
            "language_model": model,
        }
        for model, entries in fits.items()
        for entry in entries
    ]


def pooled(fits: Mapping[str, Entries]) -> Entries:
    """Pool every term of every regression over the models; where fits cannot be pooled, give the reason."""
    found = []
    for entries in zip(*fits.values(), strict=True):
        shared = {"specification": entries[0]["name"], "response": entries[0]["response"]}
        try:
            terms = [term for term in entries[0]["coefficients"] if term != _INTERCEPT]
            found += [{**shared, **asdict(pool(entries, term))} for term in terms]
        except FitError as error:
            found.append({**shared, "reason": str(error)})
    return found


def _write_synergies(folder: Path, places: Mapping[str, Path]) -> None:
    paths = {name: place / "synergy.json" for name, place in places.items()}
    found = [
        {**artifacts.read_json(path), "language_model": name}
        for name, path in paths.items()
        if path.is_file()
    ]
    if found:
        SynergyRecord.write_all(folder / "synergy.json", found)
    else:
        (folder / "synergy.json").unlink(missing_ok=True)


def _write_manifest(folder: Path, places: Mapping[str, Path]) -> None:
    """Write what the studies share, and under ``language_models`` what each has of its own."""
    manifests = {name: artifacts.read_json(place / "manifest.json") for name, place in places.items()}
    first = next(iter(manifests.values()))
    shared = {key: value for key, value in first.items() if key not in (*_PER_MODEL, "joins", "departures")}
    each = [
        {
            **{key: manifest[key] for key in _PER_MODEL if key in manifest},
            "name": name,
            "folder": places[name].relative_to(folder).as_posix(),
        }
        for name, manifest in manifests.items()
    ]
    departures = [line for manifest in manifests.values() for line in manifest["departures"]]
    joins = [
        {"language_model": name, **step} for name, manifest in manifests.items() for step in manifest["joins"]
    ]
    Manifest.write(
        folder / "manifest.json",
        {**shared, "language_models": each, "joins": joins, "departures": list(dict.fromkeys(departures))},
    )
