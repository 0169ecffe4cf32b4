"""Mixed-model maps of a trace's words in epochs, on this machine or on the workers of a scheduler, with the same bytes.

`maps` makes them of files, `map_study` of a study that was asked for them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clada_neuro.artifacts import output_folder
from clada_neuro.cache import made_with
from clada_neuro.errors import CladaNeuroError, DataError, IncompleteError
from clada_neuro.lineage import read_words
from clada_neuro.study.how import How, Progress
from clada_neuro.study.recordings import explaining

if TYPE_CHECKING:
    from distributed import Client

    from clada_neuro.erp.maps.channel import Electrode, ElectrodeMaps, Task
    from clada_neuro.erp.maps.work import Place
    from clada_neuro.erp.measurement import Measurement

_MADE = Path("maps", "maps.json")


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


def map_study(
    epochs: Path | None, words: pd.DataFrame, measurement: "Measurement", folder: Path, how: How
) -> None:
    """Map what the words of a study do at every electrode and moment of its epochs, into ``maps/``, where that was asked for.

    Where the data do not allow it, why is said and written: the rest of the study stands.
    """
    if not how.maps or epochs is None:
        (folder / _MADE).unlink(missing_ok=True)  # of another run: without it the report shows none
        return
    from clada_neuro.erp.maps.stage import FORMULA, MapsStage
    from clada_neuro.records.maps import MapsRecord

    how.progress("      mixed models at every electrode and moment")
    try:
        if (predictor := explaining(words)) is None:
            raise DataError("the words have no surprisal")
        formula = FORMULA.replace("surprisal_bits", predictor)
        with _placed(how.scheduler, how.jobs) as place:
            stage = MapsStage(
                epochs, words, formula, measurement.baseline, measurement.baseline_window, seed=how.seed, place=place,
                progress=lambda line: how.progress(f"      {line}"),
            )  # fmt: skip
            stage.into((folder / _MADE).parent)
    except CladaNeuroError as error:
        how.progress(f"      note: no maps were made: {error}")
        output_folder((folder / _MADE).parent)
        MapsRecord.write(folder / _MADE, {"left_out": str(error)})


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
