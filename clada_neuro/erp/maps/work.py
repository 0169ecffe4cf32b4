"""Electrodes as pieces of work: where they are fitted, and how finished ones are kept."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from joblib import Parallel, delayed, parallel_config

from clada_neuro.artifacts import content_hash, write_atomic
from clada_neuro.cache import cache_key
from clada_neuro.erp.maps.channel import Electrode, ElectrodeMaps, Task, fit_electrode

# Fits electrodes somewhere and yields each one's maps as they come, by name.
Place = Callable[[Mapping[str, Electrode], Task], Iterator[tuple[str, ElectrodeMaps]]]
_ARRAYS = ("b", "se", "df", "null", "sds", "singular")


def here(jobs: int = 1) -> Place:
    """Return this machine as a place, with so many processes."""

    def place(electrodes: Mapping[str, Electrode], task: Task) -> Iterator[tuple[str, ElectrodeMaps]]:
        if jobs == 1 or len(electrodes) < 2:
            yield from ((name, fit_electrode(electrode, task)) for name, electrode in electrodes.items())
            return
        with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1, initializer=_one_thread):
            calls = (delayed(fit_electrode)(electrode, task) for electrode in electrodes.values())
            yield from zip(electrodes, Parallel(return_as="generator", max_nbytes=None)(calls), strict=True)

    return place


def _one_thread() -> None:
    os.environ.setdefault("RAYON_NUM_THREADS", "1")  # mixedlm's own pool, which joblib does not know


def finished(
    electrodes: Mapping[str, Electrode], task: Task, place: Place, folder: Path | None
) -> Iterator[tuple[str, ElectrodeMaps]]:
    """Yield every electrode's maps; those in ``folder`` that were made from the same data by the same code are not fitted again."""
    waiting = {}
    for name, electrode in electrodes.items():
        kept = None if folder is None else _kept(_file(folder, electrode, task))
        if kept is None:
            waiting[name] = electrode
        else:
            yield name, kept
    for name, maps in place(waiting, task):
        if folder is not None:
            _keep(_file(folder, waiting[name], task), maps)
        yield name, maps


def _file(folder: Path, electrode: Electrode, task: Task) -> Path:
    key = cache_key(
        fit_electrode.__module__,
        electrode.name,
        electrode.amplitudes,
        electrode.baseline,
        content_hash(vars(task)),
    )
    return folder / f"{key}.npz"


def _keep(path: Path, maps: ElectrodeMaps) -> None:
    arrays = {name: getattr(maps, name) for name in _ARRAYS}

    def write(part: Path) -> None:
        with part.open("wb") as file:  # given a name, numpy would add its own ending
            np.savez(file, **arrays)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, write)


def _kept(path: Path) -> ElectrodeMaps | None:
    try:
        with np.load(path) as arrays:
            return ElectrodeMaps(**{name: arrays[name] for name in _ARRAYS})
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None  # not there, or damaged
