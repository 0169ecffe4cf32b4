"""Electrodes as pieces of work: where they are fitted, and how finished ones are kept."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray

from clada_neuro.artifacts import content_hash
from clada_neuro.cache import ARRAYS, Store
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
    if folder is None:
        yield from place(electrodes, task)
        return
    stores = {name: _store(folder, electrode, task) for name, electrode in electrodes.items()}
    waiting = {}
    for name, store in stores.items():
        kept = store.read(store.key)
        if kept is None:
            waiting[name] = electrodes[name]
        else:
            yield name, ElectrodeMaps(**kept)
    for name, maps in place(waiting, task):
        stores[name].write(stores[name].key, {array: getattr(maps, array) for array in _ARRAYS})
        yield name, maps


def _store(folder: Path, electrode: Electrode, task: Task) -> Store[dict[str, NDArray[Any]]]:
    """Return where an electrode's maps are kept, in a file of the key's name."""
    made_from = (electrode.name, electrode.amplitudes, electrode.baseline, content_hash(vars(task)))
    return Store.of(folder, fit_electrode.__module__, *made_from, codec=ARRAYS)
