"""Events of a recording and what is said of each: the predictors of one event type as columns of numbers.

A formula is evaluated once over all recordings and people that are analyzed together, so that the knots of splines, the
centers of `scale(x)` and the coding of factors are the same in every one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from formulaic import ModelSpec
from numpy.typing import NDArray

from clada_neuro.erp.codes import NO_WORD
from clada_neuro.errors import DataError, did_you_mean
from clada_neuro.stats.design import INTERCEPT, columns_for, complete_rows, fixed_part
from clada_neuro.stats.formula import names_of, parse

Array = NDArray[np.float64]
NOT_A_WORD = "not in the table of words"


@dataclass(frozen=True)
class EventModel:
    """What is estimated for one type of event.

    Attributes
    ----------
    event
        Type of the events, as in the column ``event`` of their table.
    formula
        Right-hand side over the table's columns: ``1 + surprisal_bits + ns(zipf_frequency, 3)``. Columns of the previous
        word (``surprisal_bits_lag1``) enter like any other.
    tmin, tmax
        Seconds around the event in which it has a response, both ends included.
    splines
        Number of cubic B-splines over time that the response is made of; None estimates every sample on its own (FIR).
    """

    event: str
    formula: str = "1"
    tmin: float = -0.1
    tmax: float = 1.0
    splines: int | None = None

    def __post_init__(self) -> None:
        if not self.tmin < self.tmax:
            raise DataError(
                f"event '{self.event}': a response from {1e3 * self.tmin:g} to {1e3 * self.tmax:g} ms; give tmin < tmax"
            )
        if self.tmax - self.tmin > 20:
            raise DataError(
                f"event '{self.event}': a response of {self.tmax - self.tmin:g} s; give tmin and tmax in seconds"
            )
        if self.splines is not None and self.splines < 4:
            raise DataError(
                f"event '{self.event}': {self.splines} splines over time; cubic ones are 4 or more"
            )


@dataclass(frozen=True, eq=False)
class Impulses:
    """One type's events in one recording, by onset.

    Attributes
    ----------
    onsets
        Seconds, shape (n,).
    values
        Predictors, shape (n, n_predictors).
    rows
        Positions in the recording's table of events, shape (n,).
    lost
        The events without a value of every predictor: onset, reason.
    """

    onsets: Array
    values: Array
    rows: NDArray[np.int64]
    lost: pd.DataFrame


@dataclass(frozen=True, eq=False)
class EventCoding:
    """What a formula became: its columns' names, and the mean of each number among its variables."""

    model: EventModel
    names: tuple[str, ...]
    spec: ModelSpec
    variables: tuple[str, ...]
    typical: pd.Series


def variables_of(models: Sequence[EventModel]) -> list[str]:
    """Return the columns that the models' formulas need."""
    sides = [parse(f"onset ~ {model.formula}").fixed for model in models]
    return list(dict.fromkeys(name for side in sides for name in names_of(side)))


def coded(
    tables: Sequence[pd.DataFrame], models: Sequence[EventModel]
) -> tuple[list[EventCoding], list[list[Impulses]]]:
    """Evaluate every model's formula over the events of all recordings.

    Parameters
    ----------
    tables
        One for each recording: ``onset`` (seconds from its first sample), ``event`` (type; not needed where there is one
        model), and the columns of the formulas.
    models
        One for each type of event.

    Returns
    -------
    codings, impulses
        By model; and by recording, by model.

    Raises
    ------
    DataError
        For missing columns, types without events, a type with two models.
    FitError
        Where a formula cannot be evaluated.
    """
    _check_tables(tables, models)
    codings, by_model = [], []
    whole = pd.concat(tables, ignore_index=True)
    edges = np.cumsum([0, *map(len, tables)])
    for model in models:
        of_type = _of_type(whole, model)
        rows = whole[of_type].reset_index(drop=True)
        parsed = parse(f"onset ~ {model.formula}")
        values, names, spec, used = fixed_part(rows, parsed)
        variables = tuple(dict.fromkeys(names_of(parsed.fixed)))
        numbers = [
            name
            for name in variables
            if pd.api.types.is_numeric_dtype(rows[name]) and not pd.api.types.is_bool_dtype(rows[name])
        ]
        typical = rows.iloc[used][numbers].astype(float).mean()
        named = tuple("intercept" if name == INTERCEPT else name for name in names)
        codings.append(EventCoding(model, named, spec, variables, typical))
        by_model.append(_impulses(rows, np.flatnonzero(of_type), edges, values, used, variables))
    return codings, [list(parts) for parts in zip(*by_model, strict=True)]


def coded_alike(table: pd.DataFrame, codings: Sequence[EventCoding]) -> list[Impulses]:
    """Evaluate formulas over the events of one recording with the knots, centers and levels of an earlier evaluation."""
    parts = []
    for coding in codings:
        of_type = _of_type(table, coding.model)
        rows = table[of_type].reset_index(drop=True)
        used = complete_rows(rows, coding.variables)
        values = columns_for(coding.spec, rows.iloc[used])
        edges = np.array([0, len(table)])
        parts += _impulses(rows, np.flatnonzero(of_type), edges, values, used, coding.variables)
    return parts


def _check_tables(tables: Sequence[pd.DataFrame], models: Sequence[EventModel]) -> None:
    if not models:
        raise DataError("no event model arrived; give one for each type of event (EventModel)")
    types = [model.event for model in models]
    if twice := [name for name in types if types.count(name) > 1]:
        raise DataError(f"event type '{twice[0]}' has two models; write one formula with all its predictors")
    for table in tables:
        for name in ("onset", *(["event"] if len(models) > 1 else [])):
            if name not in table:
                raise DataError(
                    f"the events have no column '{name}'; they have {', '.join(map(str, table.columns))}"
                )
        if not np.isfinite(pd.to_numeric(table["onset"], errors="coerce")).all():
            row = int((~np.isfinite(pd.to_numeric(table["onset"], errors="coerce"))).to_numpy().argmax())
            raise DataError(
                f"event {row} (from 0) has the onset '{table['onset'].iloc[row]}'; seconds expected"
            )


def _of_type(events: pd.DataFrame, model: EventModel) -> NDArray[np.bool_]:
    if "event" not in events:
        return np.ones(len(events), bool)
    found = (events["event"].astype("string") == model.event).fillna(False).to_numpy(bool)
    if not found.any():
        known = sorted(map(str, events["event"].dropna().unique()))
        raise DataError(
            f"no event is of type '{model.event}'{did_you_mean(model.event, known)}; there are {', '.join(known[:12])}"
        )
    return found


def _impulses(
    rows: pd.DataFrame,
    positions: NDArray[np.int64],
    edges: NDArray[np.int64],
    values: Array,
    used: NDArray[np.int64],
    variables: Sequence[str],
) -> list[Impulses]:
    """Deal the events of a type, ``positions`` in the joined tables, to the recordings, whose tables begin at ``edges``."""
    onsets = rows["onset"].to_numpy(float)
    missing = rows[list(variables)].isna()
    without = np.flatnonzero(missing.any(axis=1))
    reason = [f"{missing.columns[missing.iloc[row].to_numpy().argmax()]} is missing" for row in without]
    if NO_WORD in rows:
        unknown = rows[NO_WORD].iloc[without].notna()
        reason = [NOT_A_WORD if none else why for none, why in zip(unknown, reason, strict=True)]
    lost = pd.DataFrame({"onset": onsets[without], "reason": reason})
    parts = []
    for start, stop in pairwise(edges):
        mine = (positions[used] >= start) & (positions[used] < stop)
        order = np.argsort(onsets[used[mine]], kind="stable")
        gone = (positions[without] >= start) & (positions[without] < stop)
        kept = used[mine][order]
        parts.append(Impulses(onsets[kept], values[mine][order], positions[kept] - start, lost[gone]))
    return parts
