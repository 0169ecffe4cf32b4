"""A finished subject's fit on disk, so that it is not fitted again where nothing that it was made from has changed."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import mne
import numpy as np
import pandas as pd

from clada_neuro.artifacts import content_hash, read_json, write_atomic, write_json
from clada_neuro.cache import cache_key
from clada_neuro.erp.overlap.events import Coding, EventModel, Impulses
from clada_neuro.erp.overlap.fit import estimated
from clada_neuro.erp.overlap.result import OverlapRerp
from clada_neuro.erp.raw_sources import Session, stamp
from clada_neuro.errors import DataError

_PLAIN = ("names", "seconds", "condition", "inflation", "penalty", "n_blocks", "notes")


def fit_key(
    sessions: Sequence[Session],
    impulses: Sequence[Sequence[Impulses]],
    models: Sequence[EventModel],
    ridge: bool,
) -> str:
    """Return the hash of what one subject's fit comes from: its files, its events' predictors, the models, the code."""
    files = [stamp(session) for session in sessions]
    events = [[(part.onsets, part.values, part.lost) for part in own] for own in impulses]
    return cache_key(
        estimated.__module__, content_hash(files, events, [asdict(model) for model in models], ridge)
    )


def write_fit(path: Path, fit: OverlapRerp, key: str) -> None:
    """Write a fit as ``path`` (npz) and its account beside it; the account last."""
    place = path.with_suffix(".json")
    place.unlink(missing_ok=True)
    arrays = {f"estimate {n}": fit._estimates[name] for n, name in enumerate(fit.names)}
    arrays |= {f"error {n}": fit._errors[name] for n, name in enumerate(fit.names)}

    def write(part: Path) -> None:
        with part.open("wb") as file:  # given a name, numpy would add its own ending
            np.savez(file, **arrays)  # type: ignore[arg-type]

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, write)
    facts: dict[str, Any] = {name: getattr(fit, name) for name in _PLAIN}
    facts |= {"events": fit.events.to_dict("list"), "tmin": fit._tmin, "channels": fit._info["ch_names"]}
    write_json(place, facts | {"inputs": key})


def read_fit(path: Path, key: str, raw: mne.io.BaseRaw, codings: Sequence[Coding]) -> OverlapRerp | None:
    """Return the fit that stands at ``path`` if it was made from the same; None otherwise."""
    try:
        facts = read_json(path.with_suffix(".json"))
        if facts.get("inputs") != key:
            return None
        names = tuple(facts["names"])
        with np.load(path) as arrays:
            estimates = {name: arrays[f"estimate {n}"] for n, name in enumerate(names)}
            errors = {name: arrays[f"error {n}"] for n, name in enumerate(names)}
        info = mne.pick_info(raw.info, [raw.ch_names.index(name) for name in facts["channels"]])
    except (DataError, OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None  # not there, or damaged
    plain = {name: facts[name] for name in _PLAIN if name != "names"}
    return OverlapRerp(
        names=names, events=pd.DataFrame(facts["events"]), codings=tuple(codings), _info=info, _tmin=facts["tmin"],
        _estimates=estimates, _errors=errors, **plain,
    )  # fmt: skip
