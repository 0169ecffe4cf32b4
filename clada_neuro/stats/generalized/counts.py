"""What a generalised model counts: successes of trials, or events; and whether a response is that."""

import ast

import numpy as np
import pandas as pd
from pandas.api import types

from clada_neuro.errors import FitError
from clada_neuro.stats.design import check_columns, evaluated
from clada_neuro.stats.formula import ModelFormula, names_of, parse
from clada_neuro.stats.model import Model
from clada_neuro.stats.notation import read, write

_EXPECTED = {
    "binomial": "a binomial response is 0 or 1, or successes/trials, as in hits/(hits + misses) ~ …",
    "poisson": "a Poisson response is a whole number of events, 0 or more",
}
_TRUTHS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}
_WHOLE = 1e-6


def with_numbers(data: pd.DataFrame, formula: ModelFormula, family: str) -> pd.DataFrame:
    """Return ``data`` with true and false of the response as 1 and 0.

    Raises
    ------
    FitError
        When a column of the response is text, with column, value and row.
    """
    names = list(dict.fromkeys(names_of(formula.response_side)))
    check_columns(data, names)
    if any(isinstance(node, ast.Compare) for node in ast.walk(read(formula.response)[0])):
        return data
    for name in names:
        values = data[name]
        if types.is_numeric_dtype(values) and not types.is_bool_dtype(values):
            continue
        numbers = data[name].astype("object").map(lambda value: _TRUTHS.get(str(value).lower()))
        wrong = data[name][numbers.isna() & data[name].notna()]
        if len(wrong):
            raise FitError(f"'{name}' is '{wrong.iloc[0]}' in row {wrong.index[0]}; {_EXPECTED[family]}")
        data = data.assign(**{name: numbers.astype(float)})
    return data


def with_share(data: pd.DataFrame, response: str, family: str) -> pd.DataFrame:
    """Return ``data`` with the response, an expression, as a column of numbers that is named as it is written."""
    formula = parse(f"{response} ~ 1")
    data = with_numbers(data, formula, family)
    return data.assign(**{response: evaluated(formula.response, data)})


def trials_of(formula: ModelFormula) -> str:
    """Return what the response is a share of, ``hits + misses`` of ``hits/(hits + misses)``; nothing where it is none."""
    tree, names = read(formula.response)
    if isinstance(tree.body, ast.BinOp) and isinstance(tree.body.op, ast.Div):
        return write(tree.body.right, names)
    return ""


def counts_of(model: Model, family: str) -> tuple[np.ndarray, np.ndarray]:
    """Return counts (n,) and the trials they are out of (n,), infinite where a count has no upper end.

    Raises
    ------
    FitError
        For a response that the family does not generate, with its value and row.
    """
    y, trials = model.design.y, np.full(len(model.design.y), np.inf)
    below = trials_of(model.formula) if family == "binomial" else ""
    if family == "binomial":
        trials = evaluated(below, model.data) if below else np.ones(len(y))
        y = y * trials
    counts = np.round(y)
    wrong = (np.abs(y - counts) > _WHOLE) | (counts < 0) | (counts > trials)
    if family == "binomial":
        wrong |= (trials != np.round(trials)) | (trials <= 0)
    if wrong.any():
        at = int(np.argmax(wrong))
        found = f"{y[at]:g} of {trials[at]:g}" if below else f"{y[at]:g}"
        raise FitError(
            f"'{model.formula.text.partition('~')[0].strip()}' is {found} in row {model.data.index[at]}; {_EXPECTED[family]}"
        )
    return counts, trials
