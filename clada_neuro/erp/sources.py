"""Where epochs come from: MNE objects, FIF files and folders of them, each split by subject."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import mne
import numpy as np
import pandas as pd

from clada_neuro.erp.metadata import with_labels
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import AlignmentError, DataError

Source: TypeAlias = str | Path | mne.BaseEpochs | Mapping[str, mne.BaseEpochs]
_SPLIT = re.compile(r"_split-(\d+)_")


@dataclass(frozen=True)
class Recordings:
    """Epochs by subject, and what was rejected before.

    Attributes
    ----------
    epochs
        Epochs of each subject. Those of files stay on disk until they are used, so that memory holds one
        subject at a time.
    dropped
        Rejected epochs: subject, reason, n. An epoch with several reasons counts under each; where one source
        holds several subjects, ``subject`` is ``all``, because a rejected epoch no longer says whose it was.
    n_events
        Events before rejection; events that were never selected do not count.
    notes
        Columns of the metadata that were taken for ours.
    """

    epochs: dict[str, mne.BaseEpochs]
    dropped: pd.DataFrame
    n_events: int
    notes: tuple[str, ...] = ()


@quiet
def read_epochs(source: Source) -> Recordings:
    """Read epochs and split them by subject.

    A subject's name is the metadata's ``subject``, else the mapping's key, the ``sub-…`` of a file's name, the
    recording's own ``his_id``, or the file's name.

    Raises
    ------
    DataError
        When nothing is there, a file holds no epochs, or two sources hold one subject.
    """
    subjects: dict[str, mne.BaseEpochs] = {}
    origins: dict[str, str] = {}
    dropped, notes, n_events = [], [], 0
    for name, given in _named(source):
        epochs, taken = _labelled(given)
        notes += taken
        parts = _by_subject(name, epochs)
        origin = Path(epochs.filename).name if isinstance(source, str | Path) else name
        for subject in parts:
            if subject in subjects:
                raise DataError(_twice(subject, origins[subject], origin))
            origins[subject] = origin
        subjects.update(parts)
        dropped.append(drop_report(next(iter(parts)) if len(parts) == 1 else "all", epochs))
        n_events += len(_events(epochs))
    return Recordings(subjects, pd.concat(dropped, ignore_index=True), n_events, tuple(dict.fromkeys(notes)))


def baseline_subtracted(source: Source) -> bool:
    """Return whether MNE subtracted a baseline from the epochs already.

    Raises
    ------
    DataError
        When it did so for some subjects only.
    """
    epochs = read_epochs(source).epochs
    subtracted = {subject: part.baseline is not None for subject, part in epochs.items()}
    if len(set(subtracted.values())) > 1:
        yes, no = (
            next(subject for subject in subtracted if subtracted[subject] is state) for state in (True, False)
        )
        raise DataError(
            f"a baseline was subtracted from the epochs of subject '{yes}' but not of '{no}'; treat all alike"
        )
    return any(subtracted.values())


def with_baseline_subtracted(
    epochs: Mapping[str, mne.BaseEpochs], window: tuple[float | None, float]
) -> dict[str, mne.BaseEpochs]:
    """Return epochs with each electrode's mean in a window (seconds) subtracted, unless that was done before."""
    return {
        subject: part.copy().apply_baseline(window) if part.baseline is None else part
        for subject, part in epochs.items()
    }


def files_of(path: str | Path) -> list[Path]:
    """Return the file, or the ``*epo.fif`` files of a folder and its subfolders, in order.

    Of a recording that was saved in parts the first one, from which MNE reads the others.
    """
    path = Path(path)
    if not path.is_dir():
        if first := _first_part(path):
            raise DataError(f"'{path.name}' is a later part of a recording; give its first part, '{first}'")
        return [path]
    files = sorted(file for file in path.rglob("*epo.fif*") if file.is_file())
    if not files:
        raise DataError(f"folder '{path}' holds no *epo.fif file; save epochs there with epochs.save")
    for file in files:
        first = _first_part(file)
        if first and file.with_name(first) not in files:
            raise DataError(f"'{file.name}' is a later part of a recording, but '{first}' is not beside it")
    return [file for file in files if not _first_part(file)]


def parts_of(first: Path) -> list[Path]:
    """Return every file of a recording that was saved in parts, by BIDS's names or MNE's own."""
    stem, fif = first.name.split(".", 1)
    named = [*first.parent.glob(f"{stem}-*.{fif}"), *first.parent.glob(_SPLIT.sub("_split-*_", first.name))]
    return sorted({first, *named})


def drop_report(subject: str, epochs: mne.BaseEpochs) -> pd.DataFrame:
    """Count the rejected epochs by reason; events that were never selected are no rejections."""
    reasons = [reason for number in _events(epochs) for reason in epochs.drop_log[number]]
    counts = pd.Series(reasons, dtype="str").value_counts(sort=False)
    return pd.DataFrame({"subject": subject, "reason": counts.index, "n": counts.to_numpy()})


def with_metadata(epochs: mne.BaseEpochs, table: pd.DataFrame) -> mne.BaseEpochs:
    """Return a copy of the epochs with a table of events as metadata.

    A column ``sample`` (as in BIDS) that has every epoch's sample once finds the rows, of whatever number and order.
    Otherwise the table has one row for each epoch, or for each event before rejection, in order.

    Raises
    ------
    AlignmentError
        When it is neither.
    """
    events = _events(epochs)
    by_sample = _rows_by_sample(epochs, table)
    if by_sample is not None:
        rows = by_sample
    elif len(table) == len(epochs):
        rows = table
    elif len(table) == len(events):
        position = {number: row for row, number in enumerate(events)}
        rows = table.iloc[[position[number] for number in epochs.selection]]
    else:
        raise AlignmentError(
            f"{len(table)} rows of events arrived for {len(epochs)} epochs ({len(events)} events before "
            "rejection); give one row for each epoch or for each event, in order, or a column 'sample' that finds them"
        )
    described = epochs.copy()
    described.metadata = rows.reset_index(drop=True)
    return described


def _rows_by_sample(epochs: mne.BaseEpochs, table: pd.DataFrame) -> pd.DataFrame | None:
    if "sample" not in table:
        return None
    position = pd.Index(pd.to_numeric(table["sample"], errors="coerce"))
    wanted = epochs.events[:, 0]
    if not np.isin(wanted, position).all() or position[np.isin(position, wanted)].has_duplicates:
        return None
    return table.iloc[position.get_indexer_for(wanted)]


def _first_part(file: Path) -> str:
    """Return the name of a recording's first part where the file is a later one, else nothing."""
    split = _SPLIT.search(file.name)
    if split and int(split.group(1)) > 1:
        return _SPLIT.sub(f"_split-{'1'.zfill(len(split.group(1)))}_", file.name)
    later = re.fullmatch(r"(.*epo)-\d+(\.fif(?:\.gz)?)", file.name)
    return "".join(later.groups()) if later else ""


def _twice(subject: str, first: str, second: str) -> str:
    """Say what to do with two recordings of one subject, by the BIDS entities in which their names differ."""
    one, two = (dict(re.findall(r"(?:^|_)([a-z]+)-([A-Za-z0-9]+)", name)) for name in (first, second))
    differing = {key for key in {*one, *two} if one.get(key) != two.get(key)}
    said = f"subject '{subject}' occurs twice, in '{first}' and in '{second}'"
    if differing and differing <= {"run", "ses"}:
        return (
            f"{said}; join a subject's runs or sessions with mne.concatenate_epochs and save them as one file"
        )
    if differing and differing.isdisjoint({"sub"}):
        return (
            f"{said}: variants that differ in {', '.join(f'{key}-' for key in sorted(differing))}; give a folder "
            "that holds one of them for each subject"
        )
    return (
        f"{said}; name the subjects apart (sub-… in the files' names, or a column subject in the metadata), or join "
        "one subject's recordings with mne.concatenate_epochs"
    )


def _events(epochs: mne.BaseEpochs) -> list[int]:
    return [number for number, log in enumerate(epochs.drop_log) if "IGNORED" not in log]


def _named(source: Source) -> list[tuple[str, mne.BaseEpochs]]:
    if isinstance(source, mne.BaseEpochs):
        return [(_his_id(source) or "1", _settled(source))]
    if isinstance(source, Mapping):
        return [(str(subject), _settled(epochs)) for subject, epochs in source.items()]
    return [_read_file(file) for file in files_of(source)]


def _read_file(path: Path) -> tuple[str, mne.BaseEpochs]:
    if not path.is_file():
        raise DataError(f"epochs file '{path}' does not exist")
    if not re.search(r"\.fif(\.gz)?$", path.name):
        raise DataError(
            f"'{path.name}' is no FIF file; read it with MNE (for instance mne.read_epochs_eeglab) and save it "
            "as *-epo.fif"
        )
    try:
        found = {part: part.stat() for part in parts_of(path)}
        epochs = _header(
            path.absolute(), tuple((p, one.st_size, one.st_mtime_ns) for p, one in found.items())
        ).copy()
    except (ValueError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"'{path}' holds no readable epochs ({reason}); an *-epo.fif file was expected"
        ) from error
    entity = re.search(r"sub-([A-Za-z0-9]+)", path.name)
    stem = re.sub(r"(_split-\d+)?[-_]?epo\.fif(\.gz)?$", "", path.name)
    return (entity.group(1) if entity else _his_id(epochs) or stem), epochs


@lru_cache(maxsize=256)
def _header(path: Path, parts: tuple[tuple[Path, int, int], ...]) -> mne.BaseEpochs:
    """Return epochs whose samples stay on disk; a study asks five times for those of the same files, of these sizes and times."""
    return mne.read_epochs(path, preload=False)


def _labelled(epochs: mne.BaseEpochs) -> tuple[mne.BaseEpochs, list[str]]:
    """Return epochs whose metadata have our names beside theirs; the caller's object stays as it is."""
    if epochs.metadata is None:
        return epochs, []
    metadata, notes = with_labels(epochs.metadata)
    if notes:
        epochs = epochs.copy()
        epochs.metadata = metadata
    return epochs, notes


def _settled(epochs: mne.BaseEpochs) -> mne.BaseEpochs:
    """Return epochs of which it is known which are rejected; the caller's object stays as it is."""
    try:
        len(epochs)
    except RuntimeError:  # not until the data are read
        return epochs.copy().load_data()
    return epochs


def _his_id(epochs: mne.BaseEpochs) -> str | None:
    return (epochs.info.get("subject_info") or {}).get("his_id")


def _by_subject(name: str, epochs: mne.BaseEpochs) -> dict[str, mne.BaseEpochs]:
    metadata = epochs.metadata
    if metadata is None or "subject" not in metadata:
        return {name: epochs}
    labels = _labels(name, metadata["subject"])
    if labels.nunique() == 1:
        return {labels.iloc[0]: epochs}
    return {subject: epochs[(labels == subject).to_numpy()] for subject in dict.fromkeys(labels)}


def _labels(name: str, subjects: pd.Series) -> pd.Series:
    """Return the metadata's subjects as text, 7.0 as "7"; a row without one belongs to nobody."""
    missing = subjects.isna() | (subjects.astype("string").str.strip() == "")
    if missing.any():
        raise DataError(
            f"the metadata of '{name}' name no subject in {int(missing.sum())} of {len(subjects)} rows, the first is "
            f"row {subjects.index[int(missing.to_numpy().argmax())]}; fill the column in, or drop these epochs"
        )
    if pd.api.types.is_float_dtype(subjects) and subjects.mod(1).eq(0).all():
        subjects = subjects.astype("int64")
    return subjects.astype(str).str.strip()
