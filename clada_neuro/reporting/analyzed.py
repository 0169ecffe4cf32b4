"""Which trials a regression used: those with a value in every column of its formula."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clada_neuro.records.fits import FitRecord
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
    overview = results.overview
    found: dict[tuple[Any, ...], Analyzed] = {}
    for fit in primary(results.fits):
        one = _of(fit)
        same = found.get(key := (one.n, one.given, tuple(one.groups.items())))
        names = dict.fromkeys([*(same.of if same else ()), *one.of])
        missing = {**(same.missing if same else {}), **one.missing}
        found[key] = Analyzed(tuple(names), one.n, one.given, one.groups, missing)
    return list(found.values()) or [Analyzed((), overview.n_trials, overview.n_trials, overview.groups, {})]


def _of(fit: FitRecord) -> Analyzed:
    groups, missing = (fit.used.groups, fit.used.missing) if fit.used else (fit.n_groups, {})
    return Analyzed((response(fit).plural,), fit.n_obs, fit.n_obs + fit.n_dropped, groups, missing)
