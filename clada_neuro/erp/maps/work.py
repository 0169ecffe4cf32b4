"""Electrodes as parts of a map: how finished ones are kept."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from clada_neuro.artifacts import content_hash
from clada_neuro.cache import ARRAYS, Store, kept_or_made
from clada_neuro.erp.maps.channel import ChannelTask, Electrode, ElectrodeMaps, fit_electrode
from clada_neuro.parts import Place

_ARRAYS = ("b", "se", "df", "null", "sds", "singular")


def finished(
    electrodes: Mapping[str, Electrode], task: ChannelTask, place: Place, folder: Path | None
) -> Iterator[tuple[str, ElectrodeMaps]]:
    """Yield every electrode's maps; those in ``folder`` that were made from the same data by the same code are not fitted again."""
    if folder is None:
        yield from place.each(fit_electrode, electrodes, task)
        return
    stores = {name: _store(folder, electrode, task) for name, electrode in electrodes.items()}

    def make(names: list[str]) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
        for name, maps in place.each(fit_electrode, {name: electrodes[name] for name in names}, task):
            yield name, {array: getattr(maps, array) for array in _ARRAYS}

    for name, arrays, _ in kept_or_made({name: (store, store.key) for name, store in stores.items()}, make):
        yield name, ElectrodeMaps(**arrays)


def _store(folder: Path, electrode: Electrode, task: ChannelTask) -> Store[dict[str, NDArray[Any]]]:
    """Return where an electrode's maps are kept, in a file of the key's name."""
    made_from = (electrode.name, electrode.amplitudes, electrode.baseline, content_hash(vars(task)))
    return Store.of(folder, fit_electrode.__module__, *made_from, codec=ARRAYS)
