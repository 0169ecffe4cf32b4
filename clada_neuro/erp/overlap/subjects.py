"""Subjects as parts of an overlap correction: those that are finished are read, the others fitted where they are sent.

A finished subject's fit is kept as arrays, and not fitted again where nothing that it was made from has changed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.artifacts import content_hash, plain
from clada_neuro.cache import ARRAYS, Store, kept_or_made
from clada_neuro.erp.overlap.events import EventCoding, EventModel, Impulses
from clada_neuro.erp.overlap.fit import estimated
from clada_neuro.erp.overlap.result import OverlapRerp
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.raw_sources import EegSession, stamp
from clada_neuro.parts import Place

Arrays = dict[str, NDArray[Any]]
_PLAIN = ("seconds", "condition", "inflation", "penalty", "n_blocks", "notes")
_ACCOUNT = "account"


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
    return _arrays_of(estimated(who, subject.raws, subject.tables, codings, subject.impulses, ridge))


def finished(
    subjects: Mapping[str, Subject], codings: Sequence[EventCoding], ridge: bool, place: Place, folder: Path
) -> Iterator[tuple[str, OverlapRerp, bool]]:
    """Yield every subject's name, fit, and whether it was in the folder already, made from the same data by the same code."""
    models = [coding.model for coding in codings]
    kept = {
        name: (_fits_of(folder, subject.sessions, subject.impulses, models, ridge), f"sub-{name}")
        for name, subject in subjects.items()
    }

    def make(names: list[str]) -> Iterator[tuple[str, Arrays]]:
        return place.each(fitted, {name: subjects[name] for name in names}, codings, ridge)

    for name, arrays, before in kept_or_made(kept, make):
        yield name, _fit_of(arrays, subjects[name].raws[0], codings), before


def _fits_of(
    folder: Path,
    sessions: Sequence[EegSession],
    impulses: Sequence[Sequence[Impulses]],
    models: Sequence[EventModel],
    ridge: bool,
) -> Store[Arrays]:
    """Return where one subject's fit is kept; it holds for these files, events' predictors, models and code."""
    files = [stamp(session) for session in sessions]
    events = [[(part.onsets, part.values, part.lost) for part in own] for own in impulses]
    made_from = content_hash(files, events, [asdict(model) for model in models], ridge)
    return Store.of(folder, estimated.__module__, made_from, codec=ARRAYS)


def _arrays_of(fit: OverlapRerp) -> Arrays:
    """Return a fit as arrays: estimates, errors, and the rest as text."""
    account: dict[str, Any] = {name: getattr(fit, name) for name in ("names", *_PLAIN)}
    account |= {"events": fit.events.to_dict("list"), "tmin": fit._tmin, "channels": fit._info["ch_names"]}
    arrays = {f"estimate {n}": fit._estimates[name] for n, name in enumerate(fit.names)}
    arrays |= {f"error {n}": fit._errors[name] for n, name in enumerate(fit.names)}
    return arrays | {_ACCOUNT: np.array(json.dumps(plain(account)))}


def _fit_of(arrays: Arrays, raw: mne.io.BaseRaw, codings: Sequence[EventCoding]) -> OverlapRerp:
    """Return the fit that `_arrays_of` took apart, of a recording and formulas that are at hand."""
    account = json.loads(str(arrays[_ACCOUNT]))
    names = tuple(account["names"])
    info = mne.pick_info(raw.info, [raw.ch_names.index(name) for name in account["channels"]])
    return OverlapRerp(
        names=names, events=pd.DataFrame(account["events"]), codings=tuple(codings), _info=info, _tmin=account["tmin"],
        _estimates={name: arrays[f"estimate {n}"] for n, name in enumerate(names)},
        _errors={name: arrays[f"error {n}"] for n, name in enumerate(names)},
        **{name: account[name] for name in _PLAIN},
    )  # fmt: skip
