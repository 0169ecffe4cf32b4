"""The EEG of a study: as epochs that were given, or as continuous recordings, whose words are cut and whose overlap is taken apart."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from clada_neuro.errors import CladaNeuroError, DataError
from clada_neuro.parts import Jobs
from clada_neuro.responses.trials import read_columns
from clada_neuro.stage import Stage
from clada_neuro.study.how import Progress

if TYPE_CHECKING:
    from clada_neuro.erp.measurement import Measurement

_PREDICTORS = ("surprisal_bits", "pseudo_surprisal_bits")
_OVERLAP = Path("overlap", "overlap.json")


@dataclass(frozen=True, eq=False)
class Continuous:
    """Recordings and how their words are found: ``source``, table of triggers, delay and SOA in seconds, BIDS task."""

    source: Path
    table: pd.DataFrame | None = None
    delay: float = 0.0
    soa: float | None = None
    task: str | None = None


def eeg_of(
    eeg: str | Path,
    place: Path,
    *,
    triggers: str | Path | None,
    delay_ms: float,
    soa_ms: float | None,
    task: str | None,
    progress: Progress,
) -> tuple[Continuous | None, Path]:
    """Return the continuous recordings at ``eeg``, None where it holds epochs, and the epochs, in ``place`` where they were made.

    Raises
    ------
    CladaNeuroError
        For paths that are not there, options of continuous recordings given to epochs, and events that find no words.
    """
    source = Path(eeg)
    found = recordings_of(source, triggers=triggers, delay_ms=delay_ms, soa_ms=soa_ms, task=task)
    if found is not None:
        return found, cut(found, place, progress)
    from clada_neuro.erp.epoched import tie_epochs
    from clada_neuro.erp.raw_sources import epoched_files

    table = read_triggers(triggers)
    if table is not None:
        return None, tie_epochs(source, place, table, progress)
    if any(file.suffix.lower() == ".set" for file in epoched_files(source)):
        raise DataError(
            f"'{source}' holds epochs without words; declare the words of their codes: --triggers TABLE with a column 'trigger'"
        )
    return None, source


def recordings_of(
    eeg: str | Path, *, triggers: str | Path | None, delay_ms: float, soa_ms: float | None, task: str | None
) -> Continuous | None:
    """Return the continuous recordings at ``eeg``, None where it holds epochs.

    Raises
    ------
    DataError
        For paths that are not there, and options of continuous recordings given to epochs.
    """
    source = Path(eeg)
    if not source.exists():
        raise DataError(f"recording '{source}' does not exist")
    table = read_triggers(triggers)
    from clada_neuro.erp.raw_sources import is_epoched  # loads MNE

    if not is_epoched(source):
        return Continuous(source, table, 1e-3 * delay_ms, 1e-3 * soa_ms if soa_ms else None, task)
    if delay_ms or task:
        raise DataError(f"'{source}' holds epochs; --delay and --task are for continuous recordings")
    return None


def cut(found: Continuous, folder: Path, progress: Progress) -> Path:
    """Cut the recordings' words into epochs and return their folder."""
    from clada_neuro.erp.cut import cut_epochs

    progress(f"epochs from {found.source}")
    return cut_epochs(
        found.source, folder, table=found.table, delay=found.delay, soa=found.soa, task=found.task, progress=progress
    )  # fmt: skip


@dataclass(frozen=True)
class DescriptionStage(Stage[None]):
    """What the files say of recording and processing, and its gaps, beside the epochs' analyses (see `clada_neuro.erp.described`)."""

    name = "recording"
    files = ("erp/recording.json",)

    epochs: Path
    measurement: "Measurement"
    recordings: Continuous | None

    def make(self, folder: Path) -> None:
        """Read the headers, and write what they say."""
        from clada_neuro.artifacts import read_json, write_json
        from clada_neuro.erp.described import described
        from clada_neuro.erp.raw_sources import read_recordings
        from clada_neuro.erp.sources import read_epochs

        found = self.recordings
        recordings = None if found is None else read_recordings(found.source, found.task)
        facts = read_json(folder / "erp" / "erp.json")
        channels = {part["name"]: part["channels"] for part in facts["components"]}
        said = described(read_epochs(self.epochs), self.measurement, facts["baseline"], recordings, channels)
        write_json(folder / "erp" / "recording.json", said)


def take_apart(
    found: Continuous | None, words: pd.DataFrame, folder: Path, seed: int, jobs: Jobs, progress: Progress
) -> None:
    """Take the recordings' overlapping responses apart; where they do not allow it, write why.

    Nobody asked for it by name, so the rest of a study stands without it.
    """
    if found is None:
        (folder / _OVERLAP).unlink(missing_ok=True)  # of another run: without it the report shows none
        return
    from clada_neuro.erp.overlap.events import EventModel
    from clada_neuro.erp.overlap.stage import OverlapOptions, OverlapStage, Reading
    from clada_neuro.records.overlap import OverlapRecord

    progress("      overlapping responses")
    predictor = explaining(words)
    model = EventModel("word", f"1 + center({predictor})" if predictor else "1")
    reading = Reading(found.table, found.delay, found.soa, found.task)
    stage = OverlapStage(
        found.source,
        words,
        [model],
        reading,
        OverlapOptions(seed=seed),
        lambda line: progress(f"      {line}"),
        jobs,
    )
    try:
        stage.into((folder / _OVERLAP).parent)
    except CladaNeuroError as error:
        progress(f"      note: overlapping responses were not taken apart: {error}")
        OverlapRecord.write(folder / _OVERLAP, {"left_out": str(error)})


def explaining(words: pd.DataFrame) -> str | None:
    """Return the measure of words that their responses are explained by where nobody says which."""
    return next((name for name in _PREDICTORS if name in words and words[name].notna().any()), None)


def counted_from(words: pd.DataFrame, base: int | None) -> pd.DataFrame:
    """Return the words with the indices that metadata counting from `base` give them."""
    return words.assign(word_index=words["word_index"] + (base or 0))


def read_triggers(path: str | Path | None) -> pd.DataFrame | None:
    """Read the table that ties triggers to words; None without one."""
    return None if path is None else read_columns(path, numbers=["onset"])
