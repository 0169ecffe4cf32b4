"""Where continuous EEG comes from: files and folders as amplifiers and EEGLAB write them, and BIDS folders.

Read by MNE and left on disk until samples are needed. Whose a file is `people` says; several files of one subject are sessions, in
the order of their names, with numbers as numbers.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import mne
import pandas as pd

from clada_neuro.erp.bids import bids_paths, mne_bids, read_events
from clada_neuro.erp.caps import described_channels
from clada_neuro.erp.people import SESSION, subjects_of
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import DataError

ENDINGS = (".fif", ".fif.gz", ".vhdr", ".set", ".edf", ".bdf")
_EPOCHS = re.compile(r"epo(-\d+)?\.fif(\.gz)?$")
_NOT_CONTINUOUS = re.compile(r"(epo|ave|evo)(-\d+)?\.fif(\.gz)?$")
_LATER_PART = re.compile(r"_split-(?!0*1_)\d+_|-\d+\.fif")


@dataclass(frozen=True, eq=False)
class EegSession:
    """One continuous recording.

    Attributes
    ----------
    name
        Of its file, with its folders where several have a file of that name.
    raw
        The recording; samples are read when they are needed.
    events
        The rows of its BIDS events file, None elsewhere.
    notes
        What was done to its channels.
    """

    name: str
    raw: mne.io.BaseRaw
    events: pd.DataFrame | None = None
    notes: tuple[str, ...] = field(default=())


def is_bids(path: str | Path) -> bool:
    """Return whether a folder is the root of a BIDS data set."""
    return (Path(path) / "dataset_description.json").is_file()


@quiet
def is_epoched(path: str | Path) -> bool:
    """Return whether a file, or a folder of no continuous recording, holds epochs, MNE's or EEGLAB's."""
    path = Path(path)
    if not path.is_dir():
        return _EPOCHS.search(path.name) is not None or _is_epoched_set(path)
    if not is_bids(path) and any(map(_is_epoched_set, sorted(path.rglob("*.set"))[:1])):
        return True
    names = [file.name for file in path.rglob("*") if file.name.lower().endswith(ENDINGS)]
    return not is_bids(path) and any(map(_EPOCHS.search, names)) and all(map(_NOT_CONTINUOUS.search, names))


def epoched_files(path: Path) -> list[Path]:
    """Return the file, or the files of epochs in a folder, in the order of their names."""
    if not path.is_dir():
        return [path]
    found = [file for file in path.rglob("*") if _EPOCHS.search(file.name) or file.suffix.lower() == ".set"]
    return in_order(file for file in found if not _LATER_PART.search(file.name))


def in_order(files: Iterable[Path]) -> list[Path]:
    """Return files in the order of their names, run-2 before run-10."""

    def parts(file: Path) -> list[tuple[bool, int, str]]:
        return [
            (not part.isdecimal(), int(part) if part.isdecimal() else 0, part)
            for part in re.split(r"(\d+)", file.as_posix())
        ]

    return sorted(files, key=parts)


def _is_epoched_set(path: Path) -> bool:
    if path.suffix.lower() != ".set":
        return False
    try:
        mne.io.read_raw_eeglab(path, preload=False)
    except TypeError:  # so MNE says that there is more than one trial
        return True
    except Exception:  # whatever is wrong with it is said where it is read
        return False
    return False


def stamp(session: EegSession) -> list[object]:
    """Return what tells a recording's files from changed ones without reading an hour of EEG."""
    files = [Path(file) for file in session.raw.filenames if file]
    return [
        session.name,
        [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files],
        session.events,
    ]


@quiet
def read_recordings(path: str | Path, task: str | None = None) -> dict[str, list[EegSession]]:
    """Read continuous recordings of one or more subjects.

    Parameters
    ----------
    path
        A recording (FIF, BrainVision ``.vhdr``, EEGLAB ``.set``, EDF or BDF), a folder of them, or a BIDS folder.
    task
        The ``task-`` label of a BIDS folder that holds several.

    Returns
    -------
    dict
        Sessions by subject.

    Raises
    ------
    DataError
        When nothing is there or can be read, when it is not clear whose recordings are, and when they differ in their sampling
        rates.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"recording '{path}' does not exist")
    found: dict[str, list[EegSession]] = {}
    if is_bids(path):
        for subject, session in _of_bids(path, task):
            found.setdefault(subject, []).append(session)
    else:
        raws = {file: _read(file) for file in _files(path)}
        people, names = (
            subjects_of({file: raw.info for file, raw in raws.items()}),
            names_of(list(raws), path),
        )
        for file, raw in raws.items():
            found.setdefault(people[file], []).append(_session(names[file], raw))
    _check_rates(found)
    return {subject: _alike(subject, sessions) for subject, sessions in found.items()}


def _alike(subject: str, sessions: list[EegSession]) -> list[EegSession]:
    """Return a subject's recordings with the channels in one order, and bad in all where bad in one."""
    first = sessions[0].raw.ch_names
    bads = sorted({name for session in sessions for name in session.raw.info["bads"]})
    made = []
    for session in sessions:
        raw, notes = session.raw, session.notes
        also = [name for name in bads if name in raw.ch_names and name not in raw.info["bads"]]
        if also:
            raw = raw.copy()
            raw.info["bads"] = [*raw.info["bads"], *also]
            notes = (
                *notes,
                f"bad in another recording of subject '{subject}', and so here: {', '.join(also)}",
            )
        if raw.ch_names != first and set(raw.ch_names) == set(first):
            raw = raw.copy().reorder_channels(first)
        made.append(replace(session, raw=raw, notes=notes))
    return made


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if not path.name.lower().endswith(ENDINGS):
            raise DataError(
                f"'{path.name}' is no recording that is read here; known are {', '.join(ENDINGS)}, and BIDS folders"
            )
        return [path]
    files = in_order(
        file
        for file in path.rglob("*")
        if file.is_file() and file.name.lower().endswith(ENDINGS) and not _LATER_PART.search(file.name)
    )
    continuous = [file for file in files if not _NOT_CONTINUOUS.search(file.name)]
    if not continuous:
        what = f"{len(files)} files of epochs or averages, but no" if files else "no"
        raise DataError(f"folder '{path}' holds {what} continuous recording ({', '.join(ENDINGS)})")
    return continuous


def _read(file: Path) -> mne.io.BaseRaw:
    try:
        return mne.io.read_raw(file, preload=False)
    except Exception as error:  # readers raise all kinds for files that are damaged or of another kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"'{file.name}' cannot be read as a continuous recording: {reason}") from error


def _session(name: str, raw: mne.io.BaseRaw, events: pd.DataFrame | None = None) -> EegSession:
    described, notes = described_channels(raw)
    return EegSession(name, described, events, tuple(notes))


def sessions_in_words(recordings: Mapping[str, Sequence[EegSession]]) -> list[str]:
    """Return a line for each subject of several recordings: which they are, and in which order."""
    return recordings_in_words({who: [one.name for one in sessions] for who, sessions in recordings.items()})


def recordings_in_words(names: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for each subject of several recordings, of which their names are given in order."""
    return [
        f"subject '{subject}' has {len(files)} recordings, in this order: {', '.join(files)}"
        for subject, files in names.items()
        if len(files) > 1
    ]


def names_of(files: Sequence[Path], source: Path) -> dict[Path, str]:
    """Return what recordings are called: the file's name, with the folders in the source where names repeat or a folder is a session's."""
    counts = Counter(file.name for file in files)
    inside = {file: file.relative_to(source) if file != source else Path(file.name) for file in files}
    return {
        file: place.as_posix()
        if counts[file.name] > 1 or any(map(SESSION.fullmatch, place.parent.parts))
        else file.name
        for file, place in inside.items()
    }


def _of_bids(root: Path, task: str | None) -> list[tuple[str, EegSession]]:
    bids = mne_bids()
    tasks = bids.get_entity_vals(root, "task")
    if task is None and len(tasks) > 1:
        raise DataError(
            f"'{root}' holds the tasks {', '.join(tasks)}; choose one: --task {tasks[0]} (in Python task=)"
        )
    paths = bids_paths(root, task or (tasks[0] if tasks else None), None)
    sessions = []
    by_file = {Path(path.basename): path for path in paths}
    for path in (by_file[name] for name in in_order(by_file)):
        file = path.copy().update(suffix="events", extension=".tsv").fpath
        events = read_events(file, types=False) if file.is_file() else None
        sessions.append((path.subject, _session(path.basename, _plain(bids.read_raw_bids(path)), events)))
    return sessions


def _plain(raw: mne.io.BaseRaw) -> mne.io.BaseRaw:
    """Return a recording whose annotations are without the events' columns, which stand in their table and make copies slow."""
    found = raw.annotations
    bare = mne.Annotations(found.onset, found.duration, found.description, found.orig_time, found.ch_names)
    return raw.set_annotations(bare)


def _check_rates(found: dict[str, list[EegSession]]) -> None:
    sessions = [
        (f"subject '{subject}', {one.name}", one.raw) for subject, many in found.items() for one in many
    ]
    (first, raw), *others = sessions
    for who, other in others:
        if abs(other.info["sfreq"] - raw.info["sfreq"]) > 1e-6:
            raise DataError(
                f"{who} has {other.info['sfreq']:g} samples a second and {first} {raw.info['sfreq']:g}; resample all to one rate "
                "(raw.resample)"
            )
