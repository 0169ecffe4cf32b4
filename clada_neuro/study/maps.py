"""Mixed-model maps of a trace's words in epochs, on this machine or on the workers of a scheduler, with the same bytes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clada_neuro.artifacts import output_folder
from clada_neuro.cache import made_with
from clada_neuro.errors import DataError, IncompleteError
from clada_neuro.lineage import read_words
from clada_neuro.study.how import Progress

if TYPE_CHECKING:
    from distributed import Client

    from clada_neuro.erp.maps.channel import Electrode, ElectrodeMaps, Task
    from clada_neuro.erp.maps.work import Place


def maps(
    words: str | Path,
    epochs: str | Path,
    out: str | Path,
    *,
    scheduler: str | None = None,
    jobs: int = 1,
    progress: Progress = lambda line: None,
    **choices: Any,
) -> Path:
    """Read words and epochs, map them (see `clada_neuro.erp.maps.stage.MapsStage` for ``choices``) and return the folder.

    Raises
    ------
    CladaNeuroError
        For wrong input; fitted electrodes stay in the folder.
    """
    table = read_words(Path(words))
    if not Path(epochs).exists():
        raise DataError(f"epochs '{epochs}' do not exist")
    from clada_neuro.erp.maps.stage import MapsStage, predictors_of  # loads MNE and the statistics

    if formula := choices.get("formula"):
        predictors_of(formula, table)
    folder = output_folder(out)
    with _placed(scheduler, jobs) as place:
        return MapsStage(Path(epochs), table, place=place, progress=progress, **choices).into(folder)


@contextmanager
def _placed(scheduler: str | None, jobs: int) -> "Iterator[Place]":
    from clada_neuro.erp.maps.work import here

    if scheduler is None:
        yield here(jobs)
        return
    from clada_neuro.scale.schedulers import connected

    with connected(scheduler) as client:
        _check_software(client)
        yield partial(_by_workers, client)


def _check_software(client: "Client") -> None:
    """Refuse workers that would compute with other code or packages.

    Raises
    ------
    DataError
        Naming the first that differs.
    """
    from clada_neuro.erp.maps.channel import fit_electrode

    module = fit_electrode.__module__
    theirs = client.submit(made_with, module, pure=False).result()
    for name, version in made_with(module).items():
        if theirs.get(name) != version:
            raise DataError(
                f"the workers have {name} {theirs.get(name)}, this process has {version}; install the same"
            )


def _by_workers(
    client: "Client", electrodes: "Mapping[str, Electrode]", task: "Task"
) -> "Iterator[tuple[str, ElectrodeMaps]]":
    from clada_neuro.erp.maps.channel import fit_electrode
    from clada_neuro.models.places import Failure
    from clada_neuro.scale.shards import completed

    failed = {}
    for name, maps in completed(client, fit_electrode, electrodes, task):
        if isinstance(maps, Failure):
            failed[name] = maps.reason
        else:
            yield name, maps
    if failed:
        name, reason = next(iter(failed.items()))
        raise IncompleteError(
            f"{len(failed)} of {len(electrodes)} electrodes could not be fitted, such as {name}: {reason}; the others are "
            "kept, and the same command goes on from there"
        )
