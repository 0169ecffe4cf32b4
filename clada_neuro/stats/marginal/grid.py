"""The reference grid: every combination of a model's factors, with covariates at their means (Searle et al. 1980; emmeans).

A covariate with two values counts as a factor, as a condition coded -0.5 and 0.5 is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.coding import codings
from clada_neuro.stats.design import at_mean_of_smooths, columns_for
from clada_neuro.stats.factors import as_factor, labels
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import names_of

At = Mapping[str, Any]
MOST_CELLS = 20_000


@dataclass(frozen=True, eq=False)
class Grid:
    """Values of each variable of the fixed part; a combination of them is a cell.

    ``levels`` holds factors and covariates by column, in the data's units, in order; ``rows`` one row a cell, as the
    fit's formula reads them.
    """

    levels: Mapping[str, Sequence[Any]]
    rows: pd.DataFrame

    def averaged(self, matrix: np.ndarray, names: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
        """Average rows of a matrix (one a cell) over all variables but ``names``; the first one varies fastest."""
        shape = [len(values) for values in self.levels.values()]
        order = [list(self.levels).index(name) for name in names]
        others = tuple(at for at in range(len(shape)) if at not in order)
        cube = matrix.reshape(*shape, -1).mean(axis=others)
        kept = sorted(order)
        cube = np.transpose(cube, [*(kept.index(at) for at in reversed(order)), len(kept)])
        cells = product(*(self.levels[name] for name in reversed(names)))
        frame = pd.DataFrame([cell[::-1] for cell in cells], columns=list(names))
        return frame, cube.reshape(len(frame), -1)


def reference_grid(fit: Fitted, at: At | None = None) -> Grid:
    """Return the grid of a fit.

    Parameters
    ----------
    at
        Values of covariates, or levels of factors, in place of the means and of all levels.

    Raises
    ------
    FitError
        For a variable that is not in the fixed part, or a level that the fit has not seen.
    """
    names = list(dict.fromkeys(names_of(fit.model.formula.fixed)))
    for name in at or {}:
        if name not in names:
            raise FitError(
                f"'{name}' is no variable of the fixed part of '{fit.formula}'{did_you_mean(name, names)}; "
                f"there are {', '.join(names)}"
            )
    known = {name: _values(fit, name) for name in names}
    levels = {name: _chosen(name, known[name], (at or {}).get(name)) for name in names}
    if (size := prod(map(len, levels.values()))) > MOST_CELLS:
        raise FitError(
            f"the factors and two-valued predictors of '{fit.formula}' have {size:,} combinations, {MOST_CELLS:,} at most can be "
            "averaged over; fix some by at={…}"
        )
    cells = list(product(*levels.values()))
    rows = pd.DataFrame(
        {name: [cell[j] for cell in cells] for j, name in enumerate(names)}, index=range(len(cells))
    )
    for name in names:
        if name in fit.standardized:
            center, sd = fit.standardized[name]
            rows[name] = (rows[name].astype(float) - center) / sd
    return Grid(levels, rows)


def design_of(fit: Fitted, rows: pd.DataFrame) -> np.ndarray:
    """Return the columns of the fixed part for rows of a grid."""
    return at_mean_of_smooths(fit.design, columns_for(fit.design.spec, rows))


def factors_of(fit: Fitted) -> dict[str, tuple[str, ...]]:
    """Return the levels of each factor of the fixed part, in the order of its coding."""
    return {coding.column: coding.levels for coding in codings(fit.design.spec).values()}


def _values(fit: Fitted, name: str) -> list[Any]:
    """Return the levels of a factor, both values of a variable with two, or the mean of any other."""
    column = fit.model.data[name]
    coded = factors_of(fit)
    if name in coded:
        seen = dict(zip(labels(column), column, strict=True))
        return [seen[level] for level in coded[name] if level in seen]
    if types.is_bool_dtype(column) or not types.is_numeric_dtype(column):
        factor = as_factor(column)
        seen = dict(zip(factor.astype(str), column, strict=True))
        return [seen[level] for level in sorted(seen)]
    center, sd = fit.standardized.get(name, (0.0, 1.0))
    found = np.unique(column.to_numpy(float))
    return [
        float(center + sd * value) for value in (found if len(found) == 2 else [column.astype(float).mean()])
    ]


def _chosen(name: str, known: list[Any], given: Any) -> list[Any]:
    if given is None:
        return known
    values = (
        list(given) if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str) else [given]
    )
    if not values:
        raise FitError(f"at: no value given for '{name}'")
    if all(isinstance(value, float) for value in known):
        if not all(isinstance(value, int | float | np.number) for value in values):
            raise FitError(f"at: {given!r} given for '{name}', numbers expected")
        return [float(value) for value in values]
    by_label = dict(zip(labels(pd.Series(known)), known, strict=True))
    for value in map(str, values):
        if value not in by_label:
            raise FitError(
                f"at: '{name}' has no level '{value}'{did_you_mean(value, list(by_label))}; there are {', '.join(by_label)}"
            )
    return [by_label[str(value)] for value in values]
