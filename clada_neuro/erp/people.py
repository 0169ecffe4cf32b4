"""Whose a recording is, where files and folders carry names of people, of sessions, or of both."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import mne

from clada_neuro.errors import DataError

# A folder of that name is a session of somebody, never somebody.
SESSION = re.compile(r"(?:ses|sess|session|visit|day|run|block)(?:-([a-z0-9]+)|[_ ]?(\d+))", re.IGNORECASE)
_NOTHING_SAID = re.compile(r"([-_]?(raw|eeg|epo))*[-_]?\.\w+(\.gz)?$")


def subjects_of(infos: Mapping[Path, mne.Info]) -> dict[Path, str]:
    """Return whose each recording is: the ``sub-…`` of the file's name or folder, else the recording's own name for it, else the file's.

    Where several folders have a file of one name (``P01/eeg.vhdr``, ``P02/eeg.vhdr``), and where it says nothing
    (``raw.fif``), it is the folder's name; folders of sessions (``ses-1``, ``day2``) are nobody's.

    Raises
    ------
    DataError
        Where both folders and names of files differ and repeat, so that either may be people.
    """
    return {file: _subject_of(file, info, list(infos)) for file, info in infos.items()}


def _subject_of(file: Path, info: mne.Info, files: Sequence[Path]) -> str:
    entity = re.search(r"sub-([A-Za-z0-9]+)", file.name) or re.search(
        r"sub-([A-Za-z0-9]+)", file.parent.as_posix()
    )
    own = (info.get("subject_info") or {}).get("his_id")
    own = None if own in ("X", "x", "0") else own  # what EDF writes for nobody
    if entity or own:
        return entity.group(1) if entity else str(own)
    folders = _folders(file)
    alike = [_folders(other) for other in files if other.name == file.name]
    differing = next((number for number in range(len(folders)) if _differ(alike, number)), None)
    if differing is None:
        return _named(file) or folders[-1]
    _check_not_crossed(folders[: differing + 1], files)
    return folders[differing]


def _check_not_crossed(folder: tuple[str, ...], files: Sequence[Path]) -> None:
    """Refuse a folder as a person's where its files have further names that tell them apart."""
    inside = [file for file in files if _folders(file)[: len(folder)] == folder]
    said = list(dict.fromkeys((*_folders(file)[len(folder) :], _named(file)) for file in inside))
    if len(said) > 1:
        first, second = ("/".join(filter(None, names)) or "no name" for names in said[:2])
        raise DataError(
            f"whose recordings are in '{folder[-1]}'? Its files are named {first}, {second}{' and others' if len(said) > 2 else ''}, and "
            f"another folder has such names, too: either may be people; write sub-… into names of files or folders (sub-{folder[-1]}, "
            f"or sub-{first})"
        )


def _folders(file: Path) -> tuple[str, ...]:
    """Return the folders of a file, without those of sessions."""
    return tuple(part for part in file.absolute().parent.parts if not SESSION.fullmatch(part))


def _named(file: Path) -> str:
    """Return what a file's name says beside that it is a recording; empty for ``eeg_raw.fif``."""
    return _NOTHING_SAID.sub("", file.name)


def _differ(folders: Sequence[tuple[str, ...]], number: int) -> bool:
    return len({parts[number : number + 1] for parts in folders}) > 1
