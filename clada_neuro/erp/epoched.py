"""Epochs that know their triggers but not their words, as EEGLAB saves them: tied by a table, and kept as MNE's with metadata."""

from collections.abc import Callable, Iterator
from pathlib import Path

import mne
import pandas as pd

from clada_neuro.artifacts import output_folder
from clada_neuro.cache import DOCUMENT, Store
from clada_neuro.erp.caps import described_channels
from clada_neuro.erp.codes import WORD, code_of
from clada_neuro.erp.eeglab import names_at_zero
from clada_neuro.erp.kept_epochs import KeptSubject, keep_epochs
from clada_neuro.erp.notes import together
from clada_neuro.erp.people import subjects_of
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.raw_sources import epoched_files, names_of, recordings_in_words
from clada_neuro.erp.triggers import tie_codes
from clada_neuro.errors import DataError


@quiet
def tie_epochs(
    source: str | Path,
    folder: str | Path,
    table: pd.DataFrame,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Find the word of every epoch by the code of its event, and write epochs with words as ``sub-<name>_epo.fif``.

    Parameters
    ----------
    source
        EEGLAB's ``.set`` with epochs or MNE's ``*-epo.fif``, or a folder of them; several of one subject are sessions, in the order
        of their names.
    folder
        Where epochs go, and ``tied.json``, what became of every epoch and word. Those of the same files and table are kept.
    table
        Words with a column ``trigger``, as in `triggers.tie`.
    progress
        Receives lines on what is done.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CladaNeuroError
        For epochs that cannot be read or already name their words, and codes that find none.
    """
    place, files = output_folder(folder), epoched_files(Path(source))
    stamps = [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    store = Store.of(place, __name__, stamps, table, codec=DOCUMENT)
    keep_epochs(store, "tied", _tied(files, names_of(files, Path(source)), table, progress))
    return place


def _tied(
    files: list[Path], called: dict[Path, str], table: pd.DataFrame, progress: Callable[[str], None]
) -> Iterator[KeptSubject]:
    sessions: dict[str, list[tuple[mne.BaseEpochs, pd.DataFrame]]] = {}
    channels = []
    given = {file: _read(file) for file in files}
    names = subjects_of({file: epochs.info for file, epochs in given.items()})
    by_subject: dict[str, list[str]] = {}
    for file, name in names.items():
        by_subject.setdefault(name, []).append(called[file])
    for line in recordings_in_words(by_subject):
        progress(line)
    for file in files:
        epochs, notes = described_channels(given.pop(file))
        sessions.setdefault(names[file], []).append((epochs, _codes(file, epochs)))
        channels += [(called[file], note) for note in notes]
    for line in together(channels, "recording", len(files)):
        progress(line)
    for name, parts in sessions.items():
        tied = tie_codes(name, [codes for _, codes in parts], table)
        progress(f"subject '{name}': {tied.in_words()}")
        described = [
            _with_words(epochs, events) for (epochs, _), events in zip(parts, tied.events, strict=True)
        ]
        yield name, described, tied


def _read(file: Path) -> mne.BaseEpochs:
    try:
        epochs = mne.read_epochs_eeglab(file) if file.suffix.lower() == ".set" else mne.read_epochs(file)
    except Exception as error:  # readers raise all kinds for files that are damaged or of another kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"'{file.name}' holds no readable epochs: {reason}") from error
    if epochs.metadata is not None:
        raise DataError(f"the metadata of '{file.name}' name its words; leave --triggers out")
    return epochs


def _codes(file: Path, epochs: mne.BaseEpochs) -> pd.DataFrame:
    """Return the place and the code of every epoch's event."""
    onsets = epochs.events[:, 0] / epochs.info["sfreq"]
    names = {number: name for name, number in epochs.event_id.items()}
    own = [names[number] for number in epochs.events[:, 2]]
    if file.suffix.lower() == ".set" and any("/" in name for name in own):  # so MNE joins several
        own = names_at_zero(file, epochs.info["sfreq"])
    return pd.DataFrame({"onset": onsets, "code": list(map(code_of, own))})


def _with_words(epochs: mne.BaseEpochs, events: pd.DataFrame) -> mne.BaseEpochs:
    words = (events["event"] == WORD).to_numpy()
    found = epochs[words]
    found.metadata = events[words].drop(columns=["event", "onset"]).reset_index(drop=True)
    return found
