"""Which trials a regression used: those with a value in every column of its formula."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from clada_neuro.reporting.effects import primary, response
from clada_neuro.reporting.results import Results

GROUPS = (("subject", "subject"), ("item", "item"), ("stimulus", "unique text"))


@dataclass(frozen=True)
class Analyzed:
    """Counts behind one or more regressions that used the same rows.

    `of` names their responses; `missing` gives for each column without a value in some rows how many those are.
    """

    of: tuple[str, ...]
    n: int
    given: int
    groups: Mapping[str, int]
    missing: Mapping[str, int]


def analyzed(results: Results) -> list[Analyzed]:
    """Return what the regressions used, those with the same rows together; every trial when there are none."""
    trials = results.tables.get("trials", pd.DataFrame())
    found: dict[tuple[Any, ...], Analyzed] = {}
    for fit in primary(results.fits):
        one = _of(fit, trials)
        same = found.get(key := (one.n, one.given, tuple(one.groups.items())))
        names = dict.fromkeys([*(same.of if same else ()), *one.of])
        missing = {**(same.missing if same else {}), **one.missing}
        found[key] = Analyzed(tuple(names), one.n, one.given, one.groups, missing)
    return list(found.values()) or [Analyzed((), len(trials), len(trials), _groups(trials), {})]


def _of(fit: Mapping[str, Any], trials: pd.DataFrame) -> Analyzed:
    columns = [
        name for name in map(str, trials) if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", fit["formula"])
    ]
    used = trials[trials[columns].notna().all(axis=1)]
    gaps = trials[columns].isna().sum()
    known = len(used) == fit["n_obs"]  # otherwise the entry alone says what was used
    return Analyzed(
        (response(fit).plural,),
        fit["n_obs"],
        fit["n_obs"] + (fit.get("n_dropped") or 0),
        _groups(used) if known else {name: n for name, n in (fit.get("n_groups") or {}).items()},
        {name: int(count) for name, count in gaps[gaps > 0].items()} if known else {},
    )


def _groups(rows: pd.DataFrame) -> dict[str, int]:
    return {column: rows[column].nunique() for column, _ in GROUPS if column in rows}
