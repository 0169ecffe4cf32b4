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


def path(name: str | Source) -> Path:
    """Return the folder that holds a set's or source's verified files.

    Raises
    ------
    DataError
        Unknown name, a file that is missing, or one that is not the published file.
    """
    return _verified(_called(name), *find(name))


def _called(name: str | Source) -> str:
    return name.name if isinstance(name, Source) else name


def _verified(name: str, source: Source, files: tuple[File, ...]) -> Path:
    folder = _folder_of(source, files)
    for file in files:
        if not (folder / file.name).is_file():
            raise DataError(
                f"'{name}' is not on this machine: {file.name} is missing; run 'clada-neuro data fetch {name}' "
                f"or save {file.url} as {folder / file.name}"
            )
        _verify(folder / file.name, file)
    return folder


def fetch(name: str | Source, progress: bool = False) -> Path:
    """Return the folder of a set's or source's verified files, downloading those that are missing.

    Raises
    ------
    DataError
        Unknown name, no connection (with the address and the place for the file), a wrong checksum.
    """
    return _fetched(_called(name), *find(name), progress)


def _fetched(name: str, source: Source, files: tuple[File, ...], progress: bool = False) -> Path:
    folder = _folder_of(source, files)
    for file in files:
        if not (folder / file.name).is_file():
            _download(name, file, folder / file.name, progress)
    return _verified(name, source, files)


def load(name: str) -> pd.DataFrame:
    """Return a set's stimuli in the columns of `read_stimuli`, fetching the files when they are missing."""
    about = data_set(name)
    return _loader(about).load_stimuli(_fetched(name, about.source, about.files), name)


def load_trials(name: str) -> Trials:
    """Return a set's human responses, with every exclusion counted.

    Raises
    ------
    DataError
        For a set that brings stimuli only.
    """
    about = data_set(name)
    loader = _of_responses(about)
    return loader.load_trials(_fetched(name, about.source, about.files), name)


def load_study(name: str) -> tuple[DataSet, pd.DataFrame, Trials]:
    """Return what the registry says about a set, its stimuli and its human responses.

    Raises
    ------
    DataError
        For a set that brings stimuli only.
    """
    about = data_set(name)
    loader = _of_responses(about)
    folder = _fetched(name, about.source, about.files)
    return about, loader.load_stimuli(folder, name), loader.load_trials(folder, name)


def _of_responses(about: DataSet) -> ModuleType:
    """Return the loader of a set that brings responses; any other is refused before a file is fetched."""
    loader = _loader(about)
    if not hasattr(loader, "load_trials"):
        having = [other.name for other in registry()[1].values() if hasattr(_loader(other), "load_trials")]
        raise DataError(
            f"'{about.name}' holds stimuli but no human responses; sets with responses are {', '.join(having)}"
        )
    return loader


def _loader(about: DataSet) -> ModuleType:
    return importlib.import_module(f"clada_neuro.stimuli.sets.{about.loader}")


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
