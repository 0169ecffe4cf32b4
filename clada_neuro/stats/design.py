"""From a data frame and a formula to the arrays an engine fits: y, X, and one block per random term."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulaic import ModelSpec
from formulaic.errors import FormulaicError
from formulaic.parser.types import Term
from pandas.api import types

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.cells import check_factors, empty_cell
from clada_neuro.stats.factors import as_factor, labels
from clada_neuro.stats.formula import (
    ModelFormula,
    RandomTerm,
    coded_factor,
    names_in,
    names_of,
    refuse_smooths,
    side_of,
    with_contrasts,
)
from clada_neuro.stats.functions import CONTEXT
from clada_neuro.stats.notation import each_call, from_r
from clada_neuro.stats.smooths.columns import Smooth, smooths_of

INTERCEPT = "(Intercept)"
# Below this share of a column's norm, what the earlier columns leave of it is rounding error.
_RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class Block:
    """Random effects of one grouping factor with one covariance matrix.

    ``values`` has shape (n_obs, n_terms); ``codes`` gives each row's position in ``levels``.
    """

    group: str
    names: tuple[str, ...]
    values: np.ndarray
    codes: np.ndarray
    levels: tuple[str, ...]
    spec: ModelSpec
    factors: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Design:
    """Arrays of one model: ``y`` (n,), ``X`` (n, p), blocks, optional prior weights, and the rows used.

    The last columns of ``X`` are the lines of ``smooths``; ``spec`` makes those before them.
    """

    y: np.ndarray
    X: np.ndarray
    names: tuple[str, ...]
    blocks: tuple[Block, ...]
    weights: np.ndarray | None
    spec: ModelSpec
    response_spec: ModelSpec
    rows: np.ndarray
    n_dropped: int
    smooths: tuple[Smooth, ...] = ()


def complete_rows(data: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Return the positions of rows without a missing value in ``columns``."""
    return np.flatnonzero(data[list(columns)].notna().all(axis=1).to_numpy())


def build(
    data: pd.DataFrame,
    formula: ModelFormula,
    *,
    contrasts: Mapping[str, str] | None = None,
    weights: str | None = None,
) -> Design:
    """Evaluate a formula on the complete rows of ``data``; contrasts are those of `contrasts.canonical`.

    Raises
    ------
    FitError
        For unknown columns, no complete rows, constant or linearly dependent predictors, infinite values,
        and grouping factors with one level or one row a level.
    """
    contrasts = dict(contrasts or {})
    columns = [*formula.variables(), *([weights] if weights else [])]
    check_columns(data, columns, contrasts)
    rows = complete_rows(data, columns)
    if not len(rows):
        raise FitError(f"no row of {len(data)} has values in all of {', '.join(columns)}")
    frame = _plain_columns(data.iloc[rows], columns)
    response, response_spec = _evaluate(formula.response_side, frame, {}, formula.text)
    y = response.to_numpy(float).ravel()
    if len(y) != len(rows):
        raise FitError(f"the response '{formula.response}' is not one numeric column")
    matrix, spec = _evaluate(formula.fixed, frame, contrasts, formula.text)
    X = matrix.to_numpy(float)
    names = tuple(term_name(name, contrasts) for name in matrix.columns)
    check_factors(spec, frame)
    used = data.iloc[rows]
    made = [pair for term in formula.smooths for pair in smooths_of(term, used, formula.text)]
    smooths = tuple(smooth for smooth, _ in made)
    X = np.column_stack([X, *(lines for _, lines in made)])
    names += tuple(name for smooth in smooths for name in smooth.line_names)
    _check_values(formula.response, y, used.index)
    _check_columns(X, names, formula, used.index, empty_cell(spec, frame))
    blocks = tuple(
        _block(term, group_labels(used, term.factors), frame, contrasts) for term in formula.random
    )
    given = None if weights is None else frame[weights].to_numpy(float)
    if given is not None and not (given > 0).all():
        raise FitError(
            f"weights in '{weights}' must be positive; row {used.index[np.argmin(given)]} has {given.min()}"
        )
    dropped = len(data) - len(rows)
    return Design(y, X, names, blocks, given, spec, response_spec, rows, dropped, smooths)


def fixed_part(
    data: pd.DataFrame, formula: ModelFormula
) -> tuple[np.ndarray, tuple[str, ...], ModelSpec, np.ndarray]:
    """Evaluate the fixed part alone, whatever the response is: columns, their names, the evaluated side, the rows used.

    Raises
    ------
    FitError
        For unknown columns, random terms, no complete rows, infinite values and columns that depend on each other.
    """
    if formula.random:
        raise FitError(f"'{formula.text}' has random terms, and this model takes none; leave them out")
    refuse_smooths(formula, "models without random terms")
    columns = names_of(formula.fixed)
    check_columns(data, columns)
    rows = complete_rows(data, columns)
    if not len(rows):
        raise FitError(f"no row of {len(data)} has values in all of {', '.join(columns)}")
    frame = _plain_columns(data.iloc[rows], columns)
    matrix, spec = _evaluate(formula.fixed, frame, {}, formula.text)
    X, names = matrix.to_numpy(float), tuple(term_name(name, {}) for name in matrix.columns)
    check_factors(spec, frame)
    _check_columns(X, names, formula, data.index[rows], empty_cell(spec, frame))
    return X, names, spec, rows


def columns_for(spec: ModelSpec, data: pd.DataFrame) -> np.ndarray:
    """Evaluate a fitted formula side on new rows, with the levels, centers and scales of the fit."""
    names = names_in(spec.formula)
    check_columns(data, names)
    frame = _plain_columns(data, names)
    for factor, state in spec.factor_contrasts.items():
        known = set(map(str, state.levels))
        new = next((v for n in names_in([Term([factor])]) for v in labels(frame[n]) if v not in known), None)
        if new is not None:
            raise FitError(
                f"'{factor}' has the level '{new}', which the fit has not seen; it knows {sorted(known)}"
            )
    return np.asarray(spec.get_model_matrix(frame, context=CONTEXT, na_action="raise"), dtype=float)


def fixed_columns(design: Design, data: pd.DataFrame) -> np.ndarray:
    """Return the columns of X, and after them the functions of all smooths, for new rows."""
    made = [smooth.at(data) for smooth in design.smooths]
    parts = [columns_for(design.spec, data), *(lines for lines, _ in made), *(found for _, found in made)]
    return np.column_stack(parts)


def at_mean_of_smooths(design: Design, columns: np.ndarray) -> np.ndarray:
    """Return columns that a design's ``spec`` made with those of its smooths' lines at their mean, zero."""
    return np.pad(columns, ((0, 0), (0, design.X.shape[1] - columns.shape[1])))


def evaluated(expression: str, data: pd.DataFrame) -> np.ndarray:
    """Return an expression of columns, such as ``hits + misses``, on rows without missing values."""
    side = f"0 + I({expression})"
    matrix, _ = _evaluate(side, _plain_columns(data, names_of(side)), {}, expression)
    return matrix.to_numpy(float).ravel()


def group_labels(data: pd.DataFrame, factors: tuple[str, ...]) -> pd.Series:
    """Return each row's level of a grouping factor as text; interacting factors are joined by a colon."""
    first, *others = [labels(data[name]) for name in factors]
    return first.str.cat(others, sep=":") if others else first


def check_columns(
    data: pd.DataFrame, columns: Sequence[str], contrasts: Mapping[str, str] | None = None
) -> None:
    """Raise `FitError` for a column that is not there."""
    known = [str(name) for name in data.columns]
    for name in [*columns, *(contrasts or {})]:
        if name not in data:
            raise FitError(
                f"no column '{name}'{did_you_mean(name, known)}; there are {', '.join(known[:30])}"
            )


def _plain_columns(data: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Turn nullable numbers into floats and all else into factors: formulaic sees two kinds only."""
    frame = {}
    for name in dict.fromkeys(columns):
        values = data[name]
        if isinstance(values.dtype, pd.CategoricalDtype):
            frame[name] = as_factor(values.cat.remove_unused_categories())
        elif types.is_bool_dtype(values) or not types.is_numeric_dtype(values):
            frame[name] = as_factor(values)
        else:
            frame[name] = values.astype(float)
    return pd.DataFrame(frame, index=data.index).reset_index(drop=True)


def _evaluate(
    side: str, frame: pd.DataFrame, contrasts: Mapping[str, str], text: str
) -> tuple[pd.DataFrame, ModelSpec]:
    used = with_contrasts(side, contrasts) if contrasts else side
    try:
        with np.errstate(all="ignore"):
            matrix: Any = side_of(used).get_model_matrix(frame, context=CONTEXT, na_action="ignore")
    except (FormulaicError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FitError(f"cannot evaluate '{side.strip()}' of '{text}': {reason}") from error
    return pd.DataFrame(matrix), matrix.model_spec


def written_term(term: str) -> str:
    """Return the name of the coefficient that is meant by a term as R users write it, such as ``I(x^2)``."""
    try:
        return term_name(each_call(term, from_r, lambda token: token.strip("`")), {})
    except FitError:  # what looks like a call is the text of a level
        return term


def term_name(name: str, contrasts: Mapping[str, str]) -> str:
    """Return the name of a coefficient from formulaic's: as R has it, without the wrapping of `contrasts`."""
    for factor, coding in contrasts.items():
        name = name.replace(coded_factor(factor, coding), factor)
    name = re.sub(r"\bnumeric\(", "as.numeric(", name)
    name = re.sub(r"`([A-Za-z][\w.]*)`", r"\1", name)
    return INTERCEPT if name == "Intercept" else name


def _check_columns(
    X: np.ndarray, names: Sequence[str], formula: ModelFormula, rows: pd.Index, empty: str
) -> None:
    for name, values in zip(names, X.T, strict=True):
        if values.any() or not empty:
            _check_values(name, values, rows)
    if X.shape[1] >= len(X):
        raise FitError(f"{X.shape[1]} coefficients cannot be estimated from {len(X)} rows")
    norms = np.maximum(np.linalg.norm(X, axis=0), np.finfo(float).tiny)
    left = np.abs(np.diag(np.linalg.qr(X, mode="r"))) / norms
    if (left < _RANK_TOLERANCE).any():
        if empty:
            raise FitError(f"{empty}; leave the interaction or one of the levels out of '{formula.text}'")
        name = names[int(np.argmax(left < _RANK_TOLERANCE))]
        raise FitError(
            f"'{name}' is a linear combination of the other predictors of '{formula.text}'; leave one out"
        )


def _check_values(name: str, values: np.ndarray, rows: pd.Index) -> None:
    if not np.isfinite(values).all():
        bad = rows[np.flatnonzero(~np.isfinite(values))[0]]
        raise FitError(f"'{name}' is not finite in row {bad}; check its values and transformation")
    if name != INTERCEPT and np.ptp(values) == 0:
        raise FitError(f"'{name}' has the same value ({values[0]:g}) in all {len(values)} rows; leave it out")


def _block(term: RandomTerm, labels: pd.Series, frame: pd.DataFrame, contrasts: Mapping[str, str]) -> Block:
    written = str(term)
    matrix, spec = _evaluate(term.columns, frame, contrasts, written)
    values = matrix.to_numpy(float)
    names = tuple(term_name(name, contrasts) for name in matrix.columns)
    codes, levels = pd.factorize(labels.to_numpy(dtype=object), sort=True)
    if len(levels) < 2:
        raise FitError(f"grouping factor '{term.group}' has one level ('{levels[0]}'); leave {written} out")
    if len(levels) * values.shape[1] >= len(frame):
        raise FitError(
            f"{written} has {len(levels) * values.shape[1]} effects for {len(frame)} rows; "
            "they cannot be told from the residual"
        )
    if not np.isfinite(values).all():
        raise FitError(f"{written} has values that are not finite; check its transformation")
    if np.linalg.matrix_rank(values) < values.shape[1]:
        raise FitError(f"the columns of {written} are linearly dependent; leave one out")
    return Block(term.group, names, values, codes, tuple(map(str, levels)), spec, term.factors)
