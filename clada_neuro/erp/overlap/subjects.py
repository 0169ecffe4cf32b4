"""Subjects as parts of an overlap correction: those that are finished are read, the others fitted where they are sent."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clada_neuro.erp.overlap.events import EventCoding, Impulses
from clada_neuro.erp.overlap.fit import estimated
from clada_neuro.erp.overlap.kept import Arrays, arrays_of, fit_of, fits_of
from clada_neuro.erp.overlap.result import OverlapRerp
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.raw_sources import EegSession
from clada_neuro.parts import Place


@dataclass(frozen=True, eq=False)
class Subject:
    """What one subject's fit is made from: recordings, their tables of events, and what these are in the regression."""

    name: str
    sessions: Sequence[EegSession]
    tables: Sequence[pd.DataFrame]
    impulses: Sequence[Sequence[Impulses]]

    @property
    def raws(self) -> list:
        """The recordings alone; they stay on disk, also where they are sent."""
        return [session.raw for session in self.sessions]


@quiet
def fitted(subject: Subject, codings: Sequence[EventCoding], ridge: bool) -> Arrays:
    """Return one subject's fit, as it is kept."""
    who = f"subject '{subject.name}'"
    return arrays_of(estimated(who, subject.raws, subject.tables, codings, subject.impulses, ridge))


def finished(
    subjects: Mapping[str, Subject], codings: Sequence[EventCoding], ridge: bool, place: Place, folder: Path
) -> Iterator[tuple[str, OverlapRerp, bool]]:
    """Yield every subject's name, fit, and whether it was in the folder already, made from the same data by the same code."""
    models = [coding.model for coding in codings]
    stores = {
        name: fits_of(folder, subject.sessions, subject.impulses, models, ridge) for name, subject in subjects.items()
    }  # fmt: skip
    waiting = {}
    for name, subject in subjects.items():
        arrays = stores[name].read(f"sub-{name}")
        if arrays is None:
            waiting[name] = subject
        else:
            yield name, fit_of(arrays, subject.raws[0], codings), True
    for name, arrays in place.each(fitted, waiting, codings, ridge):
        stores[name].write(f"sub-{name}", arrays)
        yield name, fit_of(arrays, subjects[name].raws[0], codings), False
