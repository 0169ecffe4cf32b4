"""Epochs around every word of continuous recordings, cut once and kept in a folder."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import mne
import numpy as np
import pandas as pd

from clada_neuro.artifacts import output_folder
from clada_neuro.cache import DOCUMENT, Store
from clada_neuro.erp.codes import WORD
from clada_neuro.erp.kept_epochs import KeptSubject, keep_epochs
from clada_neuro.erp.notes import together
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.raw_sources import EegSession, read_recordings, sessions_in_words, stamp
from clada_neuro.erp.triggers import check_intervals, tie
from clada_neuro.errors import AlignmentError, DataError

TMIN, TMAX = -0.2, 1.0


@quiet
def cut_epochs(
    source: str | Path,
    folder: str | Path,
    *,
    table: pd.DataFrame | None = None,
    delay: float = 0.0,
    soa: float | None = None,
    task: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Cut every subject's words from −200 to 1000 ms and write them as ``sub-<name>_epo.fif``.

    Epochs in spans annotated as bad are dropped. The baseline is left as it is. Where the folder holds the epochs of the same
    files, table and choices, they are not cut again.

    Parameters
    ----------
    source, task
        Recordings (see `raw_sources.read_recordings`).
    folder
        Where epochs go, and ``cut.json``, what became of every event and word.
    table, delay
        How words are found (see `triggers.tie`).
    soa
        Seconds from word to word, as stated; checked where given.
    progress
        Receives a line a subject.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CladaNeuroError
        For recordings and events that cannot be used.
    """
    place = output_folder(folder)
    recordings = read_recordings(source, task)
    files = [stamp(session) for sessions in recordings.values() for session in sessions]
    origin = str(Path(source).resolve())
    store = Store.of(place, __name__, origin, files, table, delay, soa, task, codec=DOCUMENT)
    keep_epochs(store, "cut", _subjects(recordings, table, delay, soa, progress))
    return place


def _subjects(
    recordings: Mapping[str, list[EegSession]],
    table: pd.DataFrame | None,
    delay: float,
    soa: float | None,
    progress: Callable[[str], None],
) -> Iterator[KeptSubject]:
    notes = []
    for line in sessions_in_words(recordings):
        progress(line)
    for name, sessions in recordings.items():
        tied = tie(name, sessions, table, delay=delay)
        progress(f"subject '{name}': {tied.in_words()}")
        if soa:
            check_intervals(name, tied.events, soa)
        epochs = [_cut(*both) for both in zip(sessions, tied.events, strict=True)]
        if not any(map(len, epochs)):
            raise DataError(
                f"subject '{name}': every word lies in a span annotated as bad or at the recording's border; leave the subject out"
            )
        yield name, epochs, tied
        notes += [(name, note) for note in tied.notes]
    for line in together(notes, "subject", len(recordings)):
        progress(line)


def _spans(annotations: mne.Annotations) -> mne.Annotations:
    """Return what epochs are dropped for; of the events, which the metadata describe, every copy of the epochs would carry all."""
    rejecting = [
        n for n, said in enumerate(annotations.description) if said.lower().startswith(("bad", "edge"))
    ]
    return annotations[rejecting]


def _cut(session: EegSession, events: pd.DataFrame) -> mne.BaseEpochs:
    raw = session.raw.copy().set_annotations(_spans(session.raw.annotations))
    words = events[events["event"] == WORD]
    samples = raw.first_samp + np.round(words["onset"].to_numpy(float) * raw.info["sfreq"]).astype(int)
    if (same := pd.Series(samples).duplicated()).any():
        raise AlignmentError(
            f"'{session.name}': two words at {words['onset'].to_numpy()[same.to_numpy()][0]:g} s; one epoch can have one word only"
        )
    array = np.column_stack([samples, np.zeros_like(samples), np.ones_like(samples)])
    metadata = words.drop(columns="event").reset_index(drop=True)
    return mne.Epochs(raw, array, {WORD: 1}, TMIN, TMAX, baseline=None, metadata=metadata, preload=True)
