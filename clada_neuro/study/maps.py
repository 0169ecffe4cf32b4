"""Mixed-model maps of a trace's words in epochs, on this machine or on the workers of a scheduler, with the same bytes.

`maps` makes them of files, `map_study` of a study that was asked for them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clada_neuro.artifacts import output_folder
from clada_neuro.errors import CladaNeuroError, DataError
from clada_neuro.lineage import read_words
from clada_neuro.scale.parts import placed
from clada_neuro.study.how import How, Progress
from clada_neuro.study.recordings import counted_from, explaining

if TYPE_CHECKING:
    from clada_neuro.study.target import Target

_MADE = Path("maps", "maps.json")


def maps(
    words: str | Path,
    epochs: str | Path,
    out: str | Path,
    *,
    index_base: int | None = None,
    scheduler: str | None = None,
    jobs: int = 1,
    progress: Progress = lambda line: None,
    **choices: Any,
) -> Path:
    """Read words and epochs, map them (see `clada_neuro.erp.maps.stage.MapsStage` for ``choices``) and return the folder.

    ``index_base`` is what the ``word_index`` of the epochs' metadata counts from, 0 where nothing is said.

    Raises
    ------
    CladaNeuroError
        For wrong input; fitted electrodes stay in the folder.
    """
    table = counted_from(read_words(Path(words)), index_base)
    if not Path(epochs).exists():
        raise DataError(f"epochs '{epochs}' do not exist")
    from clada_neuro.erp.maps.stage import MapsStage, predictors_of  # loads MNE and the statistics

    if formula := choices.get("formula"):
        predictors_of(formula, table)
    folder = output_folder(out)
    with placed(scheduler, jobs) as place:
        return MapsStage(Path(epochs), table, jobs=place, progress=progress, **choices).into(folder)


def map_study(plan: "Target", words: pd.DataFrame, folder: Path, how: How) -> None:
    """Map what the words of a study do at every electrode and moment of its epochs, into ``maps/``, where that was asked for.

    Where the data do not allow it, why is said and written: the rest of the study stands.
    """
    if not how.maps or plan.epochs is None:
        (folder / _MADE).unlink(missing_ok=True)  # of another run: without it the report shows none
        return
    from clada_neuro.erp.maps.stage import FORMULA, MapsStage
    from clada_neuro.records.maps import MapsRecord

    measurement = plan.measurement  # of epochs: responses that a table brings need no window
    how.progress("      mixed models at every electrode and moment")
    try:
        if (predictor := explaining(words)) is None:
            raise DataError("the words have no surprisal")
        formula = FORMULA.replace("surprisal_bits", predictor)
        MapsStage(
            plan.epochs, words, formula, measurement.baseline, measurement.baseline_window, seed=how.seed, jobs=how.jobs,
            progress=lambda line: how.progress(f"      {line}"),
        ).into((folder / _MADE).parent)  # fmt: skip
    except CladaNeuroError as error:
        how.progress(f"      note: no maps were made: {error}")
        output_folder((folder / _MADE).parent)
        MapsRecord.write(folder / _MADE, {"left_out": str(error)})
