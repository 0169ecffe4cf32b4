"""Epochs from a BIDS folder: each row of ``events.tsv`` becomes the metadata of its epoch.

Needs the extra ``bids`` (mne-bids). In BIDS only ``n/a`` is a missing value, so words such as "None" or "null"
stay words.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import AlignmentError, DataError

Array = NDArray[np.float64]
_EXTENSIONS = [".vhdr", ".edf", ".bdf", ".set"]


@quiet
def read_bids_epochs(
    root: str | Path,
    *,
    task: str,
    event: str,
    subjects: Sequence[str] | None = None,
    tmin: float = -0.2,
    tmax: float = 1.0,
    reject_uv: float | None = None,
) -> dict[str, mne.BaseEpochs]:
    """Cut epochs around one type of event.

    Parameters
    ----------
    root
        BIDS folder.
    task
        Its ``task-`` label.
    event
        The ``trial_type`` that marks the words' onsets.
    subjects
        Labels without ``sub-``; all by default.
    tmin, tmax
        Seconds around the onset. The baseline is left as it is.
    reject_uv
        Epochs whose peak-to-peak amplitude exceeds this at any EEG channel are dropped, µV; none by default.

    Returns
    -------
    dict
        Epochs by subject, sessions and runs joined; metadata hold every column of the events file, ``subject``, and
        ``session`` and ``run`` where the files' names do.

    Raises
    ------
    DataError
        When mne-bids, recordings or the event are missing.
    AlignmentError
        When an events file does not fit its recording.
    """
    bids = mne_bids()
    paths = bids_paths(root, task, subjects)
    runs: dict[str, list[mne.BaseEpochs]] = {}
    for path in paths:
        runs.setdefault(path.subject, []).append(_epochs(bids, path, event, tmin, tmax, reject_uv))
    return {subject: joined_runs(subject, parts) for subject, parts in runs.items()}


def bids_paths(root: str | Path, task: str | None, subjects: Sequence[str] | None) -> list[Any]:
    """Return the recordings of a task, one a session and run.

    Raises
    ------
    DataError
        When mne-bids, the folder or recordings are missing, or a recording is there twice.
    """
    bids = mne_bids()
    if not Path(root).is_dir():
        raise DataError(f"BIDS folder '{root}' does not exist")
    paths: list[Any] = bids.find_matching_paths(
        root, tasks=task, subjects=subjects, suffixes="eeg", datatypes="eeg", extensions=_EXTENSIONS
    )
    if not paths:
        raise DataError(
            f"'{root}' holds no EEG recording of task '{task}'; known tasks: {_tasks(bids, root)}"
        )
    _refuse_variants(paths)
    return paths


def read_events(path: Path, *, types: bool = True) -> pd.DataFrame:
    """Read a BIDS events file; only ``n/a`` is missing. With `types`, a column ``trial_type`` must be there."""
    if not path.is_file():
        raise DataError(f"'{path}' does not exist; a BIDS recording needs its events file")
    events = pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["n/a"])
    for name in ("onset", *(["trial_type"] if types else [])):
        if name not in events:
            raise DataError(f"'{path}' has no column '{name}'; it has {', '.join(events.columns)}")
    onsets = pd.to_numeric(events["onset"], errors="coerce")
    text = onsets.isna() & events["onset"].notna()
    if text.any():
        row = events.index[text][0]
        raise DataError(
            f"'{path.name}', row {row + 2}: onset '{events.at[row, 'onset']}' given, seconds expected"
        )
    return events.assign(onset=onsets)


def _epochs(
    bids: Any, path: Any, event: str, tmin: float, tmax: float, reject_uv: float | None
) -> mne.BaseEpochs:
    file = path.copy().update(suffix="events", extension=".tsv").fpath
    events = read_events(file)
    raw = bids.read_raw_bids(path)
    rows = events[events["trial_type"].astype("string").str.strip() == str(event)].assign(
        subject=path.subject
    )
    for name in ("session", "run"):
        if getattr(path, name) is not None and name not in rows:
            rows[name] = getattr(path, name)
    if rows.empty:
        known = ", ".join(sorted(map(str, events["trial_type"].dropna().unique())))
        raise DataError(f"'{file.name}' has no event '{event}'; its trial types: {known}")
    onsets = _onsets(file, rows["onset"], raw.times[-1])
    samples = raw.first_samp + np.round(onsets * raw.info["sfreq"]).astype(int)
    same = pd.Series(samples, index=rows.index).duplicated()
    if same.any():
        raise AlignmentError(
            f"'{file.name}', row {rows.index[same][0] + 2}: a second event '{event}' at "
            f"{onsets[same.to_numpy()][0]:g} s; one epoch can have one word only"
        )
    array = np.column_stack([samples, np.zeros_like(samples), np.ones_like(samples)])
    return mne.Epochs(
        raw,
        array,
        {event: 1},
        tmin,
        tmax,
        baseline=None,
        metadata=rows.reset_index(drop=True),
        reject=None if reject_uv is None else {"eeg": reject_uv * 1e-6},
        preload=True,
    )


def _onsets(file: Path, onsets: pd.Series, end: float) -> Array:
    """Return the onsets in seconds, all of which are there and inside the recording."""
    outside = ~onsets.between(0, end)
    if outside.any():
        row = onsets.index[outside][0]
        when = "without an onset" if np.isnan(onsets[row]) else f"at {onsets[row]:g} s"
        raise AlignmentError(
            f"'{file.name}', row {row + 2}: an event {when}, but the recording goes from 0 to {end:g} s; do the two "
            "files belong together?"
        )
    return onsets.to_numpy(float)


def _refuse_variants(paths: list[Any]) -> None:
    """Refuse two files of one session and run: the same recording in two formats, or two versions of it."""
    known: dict[tuple[Any, ...], Any] = {}
    for path in paths:
        place = (path.subject, path.session, path.run)
        if place in known:
            raise DataError(
                f"subject '{path.subject}': '{known[place].basename}' and '{path.basename}' are the same session and "
                "run; keep one of them in the folder"
            )
        known[place] = path


def joined_runs(subject: str, runs: list[mne.BaseEpochs]) -> mne.BaseEpochs:
    """Return the epochs of a subject's runs as one, channels in the order of the first.

    Raises
    ------
    DataError
        For runs without epochs, and runs that differ in channels or rate.
    """
    if len(runs) == 1:
        return runs[0]
    empty = [number for number, run in enumerate(runs, start=1) if not len(run)]
    if empty:
        raise DataError(
            f"subject '{subject}': no epoch of run {empty[0]} survives rejection; raise reject_uv or leave the "
            "subject out"
        )
    first = runs[0]
    bads = sorted({bad for run in runs for bad in run.info["bads"]})  # bad in one run, bad for the subject
    for number, run in enumerate(runs, start=1):
        if odd := sorted(set(run.ch_names) ^ set(first.ch_names)):
            raise DataError(
                f"subject '{subject}': runs 1 and {number} differ in channel {', '.join(odd[:5])}"
            )
        if run.info["sfreq"] != first.info["sfreq"]:
            rates = f"{first.info['sfreq']:g} and {run.info['sfreq']:g}"
            raise DataError(f"subject '{subject}': runs 1 and {number} have {rates} samples a second")
        run.reorder_channels(first.ch_names).info["bads"] = bads
    return mne.concatenate_epochs(runs)


def mne_bids() -> Any:
    """Return mne-bids, which an extra installs.

    Raises
    ------
    DataError
        When it is not installed.
    """
    try:
        import mne_bids
    except ImportError:
        raise DataError(
            "reading BIDS needs mne-bids, which is not installed: pip install 'clada-neuro[bids]'"
        ) from None
    return mne_bids


def _tasks(bids: Any, root: str | Path) -> str:
    return ", ".join(bids.get_entity_vals(root, "task")) or "none"
