"""Rows that are left out or kept: which rows meet a condition, and what a missing value means.

As in R's ``subset``, a condition that a missing value leaves undecided is not true: the row is kept, and counted.
"""

import ast
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from clada_neuro.errors import FitError
from clada_neuro.losses import step
from clada_neuro.stats.expressions import check_condition
from clada_neuro.stats.notation import read


def exclude(trials: pd.DataFrame, conditions: Sequence[str]) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Leave out the rows that meet any condition.

    Returns
    -------
    The rows kept, and a step for each condition, in order: `rows_before`, `rows_removed`, `rows_after`, and a `reason`
    that says how many rows were kept because a value is missing.

    Raises
    ------
    FitError
        When a condition cannot be evaluated on the trials, or compares text with a number.
    """
    steps = []
    for condition in conditions:
        true, undecided, named = _met(trials, condition, "exclusion")
        kept = f" ({undecided:,} rows kept that have no value in {', '.join(named)})" if undecided else ""
        steps.append(step("pre-specified exclusion", len(trials), true.sum(), condition + kept))
        trials = trials[~true]
    return trials, steps


def keep(trials: pd.DataFrame, conditions: Sequence[str]) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Keep the rows that meet every condition; those that a missing value leaves undecided do not.

    Returns
    -------
    The rows kept, and a step for each condition as of `exclude`.

    Raises
    ------
    FitError
        As `exclude`, and when no row is left.
    """
    steps = []
    for condition in conditions:
        true, undecided, named = _met(trials, condition, "condition")
        if not true.any():
            raise FitError(f"no row is left where '{condition}': 0 of {len(trials):,} rows meet it")
        gone = (
            f" ({undecided:,} of the rows removed have no value in {', '.join(named)})" if undecided else ""
        )
        steps.append(step("rows asked for", len(trials), (~true).sum(), f"not where {condition}{gone}"))
        trials = trials[true]
    return trials, steps


def columns_of(condition: str) -> list[str]:
    """Return the columns that a condition names.

    Raises
    ------
    FitError
        When it is more than comparisons of columns.
    """
    check_condition(condition, "condition")
    tree, quoted = read(condition)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]
    return [quoted.get(name, name) for name in dict.fromkeys(names)]


def _met(trials: pd.DataFrame, condition: str, what: str) -> tuple[np.ndarray, int, list[str]]:
    """Return where a condition is true, how many other rows lack a value that it names, and the columns it names."""
    check_condition(condition, what)
    frame, named = _comparable(trials, condition, what)
    try:
        met = frame.eval(condition)
    except Exception as error:  # pandas raises a dozen kinds for a condition it cannot read
        raise FitError(f"{what} '{condition}' cannot be evaluated on the trials: {error}") from error
    if not isinstance(met, pd.Series) or not types.is_bool_dtype(met):
        raise FitError(f"{what} '{condition}' is not a condition; write for instance \"item == 29\"")
    true = met.fillna(False).to_numpy(bool)
    return true, int((frame[named].isna().any(axis=1).to_numpy() & ~true).sum()), named


def _comparable(trials: pd.DataFrame, condition: str, what: str) -> tuple[pd.DataFrame, list[str]]:
    """Return the trials with types that know missing values, and the columns that the condition names.

    Labels are text, also where they are numbers: compared with a number, they are compared as numbers.
    """
    tree, quoted = read(condition)
    named = [name for name in columns_of(condition) if name in trials]
    frame = trials.assign(**{name: trials[name].convert_dtypes() for name in named})
    compared = list(_comparisons(tree, quoted))
    for name in set(named) - {column for column, _ in compared}:  # a condition by itself, text in a CSV file
        truths = (
            frame[name].astype("string").str.lower().map({"true": True, "false": False}).astype("boolean")
        )
        if truths.notna().any() and truths.notna().equals(frame[name].notna()):
            frame[name] = truths
    for column, value in compared:
        if column not in frame:
            continue
        number, text = not isinstance(value, str), not types.is_numeric_dtype(frame[column])
        if number and text:
            values = pd.to_numeric(frame[column], errors="coerce")
            if (values.isna() & frame[column].notna()).any():
                raise FitError(
                    f"{what} '{condition}' compares '{column}', which holds text, with a number; write '{value}'"
                )
            frame[column] = values
        elif not number and not text:
            raise FitError(f"{what} '{condition}' compares '{column}', which holds numbers, with text")
    return frame, named


def _comparisons(tree: ast.Expression, quoted: dict[str, str]) -> Iterator[tuple[str, str | float]]:
    """Yield each column that stands in a comparison with a constant, and the constant."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        columns = [quoted.get(side.id, side.id) for side in sides if isinstance(side, ast.Name)]
        constants = [
            part
            for side in sides
            for part in (side.elts if isinstance(side, ast.List | ast.Tuple) else [side])
        ]
        for part in constants:
            if isinstance(part, ast.Constant) and isinstance(part.value, str | int | float):
                yield from ((column, part.value) for column in columns if not isinstance(part.value, bool))
