"""The EEG of a study as epochs: as they were given, or cut from continuous recordings."""

from pathlib import Path

import pandas as pd

from clada_neuro.errors import DataError
from clada_neuro.responses.trials import read_columns
from clada_neuro.study.how import Progress


def epochs_of(
    eeg: str | Path,
    folder: Path,
    *,
    triggers: str | Path | None,
    delay_ms: float,
    soa_ms: float | None,
    task: str | None,
    progress: Progress,
) -> Path:
    """Return where the epochs of a study are: ``eeg`` itself, or ``folder``, into which they are cut.

    Raises
    ------
    DataError
        For paths that are not there, and options of continuous recordings given to epochs.
    """
    source = Path(eeg)
    if not source.exists():
        raise DataError(f"recording '{source}' does not exist")
    table = read_triggers(triggers)
    from clada_neuro.erp.cut import cut_epochs  # loads MNE
    from clada_neuro.erp.raw_sources import is_epoched

    if is_epoched(source):
        if triggers is not None or delay_ms or task:
            raise DataError(
                f"'{source}' holds epochs, whose metadata name their words; --triggers, --delay and --task are for continuous "
                "recordings"
            )
        return source
    progress(f"epochs from {source}")
    return cut_epochs(
        source,
        folder,
        table=table,
        delay=1e-3 * delay_ms,
        soa=1e-3 * soa_ms if soa_ms else None,
        task=task,
        progress=progress,
    )


def read_triggers(path: str | Path | None) -> pd.DataFrame | None:
    """Read the table that ties triggers to words; None without one."""
    return None if path is None else read_columns(path, numbers=["onset"])
