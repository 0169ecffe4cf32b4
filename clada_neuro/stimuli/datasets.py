"""External data sets: found on disk or fetched from their public origin, verified, and loaded.

A file is looked for in each folder of ``CLADA_NEURO_DATA`` (separated as in PATH) as ``<folder>/<source>/<file>``,
then in the user's cache. Its sha256 is checked before it is read.
"""

import hashlib
import importlib
import os
from pathlib import Path
from types import ModuleType

import pandas as pd

from clada_neuro.artifacts import cache_folder
from clada_neuro.errors import DataError
from clada_neuro.stimuli.cleaning import Trials
from clada_neuro.stimuli.registry import DataSet, File, Source, data_set, find, registry


def names() -> list[str]:
    """Return the names of the stimulus and EEG sets."""
    return list(registry()[1])


def info(name: str) -> DataSet:
    """Return what the registry says about a set: title, citation, licence, window, ROI, reference, SOA, notes."""
    return data_set(name)


def path(name: str) -> Path:
    """Return the folder that holds a set's or source's verified files.

    Raises
    ------
    DataError
        Unknown name, a file that is missing, or one that is not the published file.
    """
    source, files = find(name)
    folder = _folder_of(source, files)
    for file in files:
        if not (folder / file.name).is_file():
            raise DataError(
                f"'{name}' is not on this machine: {file.name} is missing; run 'clada-neuro data fetch {name}' "
                f"or save {file.url} as {folder / file.name}"
            )
        _verify(folder / file.name, file)
    return folder


def fetch(name: str, progress: bool = False) -> Path:
    """Return the folder of a set's or source's verified files, downloading those that are missing.

    Raises
    ------
    DataError
        Unknown name, no connection (with the address and the place for the file), a wrong checksum.
    """
    source, files = find(name)
    folder = _folder_of(source, files)
    for file in files:
        if not (folder / file.name).is_file():
            _download(name, file, folder / file.name, progress)
    return path(name)


def load(name: str) -> pd.DataFrame:
    """Return a set's stimuli in the columns of `read_stimuli`, fetching the files when they are missing."""
    return _loader(name).load_stimuli(fetch(name), name)


def load_trials(name: str) -> Trials:
    """Return a set's human responses, with every exclusion counted.

    Raises
    ------
    DataError
        For a set that brings stimuli only.
    """
    loader = _loader(name)
    if not hasattr(loader, "load_trials"):
        having = ", ".join(other for other in names() if hasattr(_loader(other), "load_trials"))
        raise DataError(f"'{name}' holds stimuli but no human responses; sets with responses are {having}")
    return loader.load_trials(fetch(name), name)


def _loader(name: str) -> ModuleType:
    return importlib.import_module(f"clada_neuro.stimuli.sets.{data_set(name).loader}")


def _folder_of(source: Source, files: tuple[File, ...]) -> Path:
    """Return the first folder with one of the files, the cache's when there is none."""
    places = os.environ.get("CLADA_NEURO_DATA", "").split(os.pathsep)
    for place in filter(None, places):
        folder = Path(place).expanduser() / source.name
        if any((folder / file.name).is_file() for file in files):
            return folder
    return cache_folder("data", source.name)


def _verify(place: Path, file: File) -> None:
    found = hashlib.sha256(place.read_bytes()).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"'{place}' is not the published file: sha256 {found[:12]}… found, {file.sha256[:12]}… expected; "
            f"replace it by {file.url}"
        )


def _download(name: str, file: File, place: Path, progress: bool) -> None:
    import pooch
    import requests

    if file.derived:
        raise DataError(
            f"'{name}' cannot be downloaded as it is used: make {place} from {file.url} ({file.derived})"
        )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        pooch.get_logger().setLevel("ERROR")
        pooch.retrieve(file.url, f"sha256:{file.sha256}", place.name, place.parent, progressbar=progress)
    except ValueError as error:
        raise DataError(
            f"{file.url} no longer has the sha256 {file.sha256[:12]}… of the registry; "
            f"save the file of that sum as {place}"
        ) from error
    except (requests.RequestException, OSError) as error:
        raise DataError(
            f"cannot download {file.url} ({type(error).__name__}); save that file as {place}"
        ) from error
