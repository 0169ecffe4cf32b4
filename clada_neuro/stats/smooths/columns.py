"""A smooth as columns of a design: lines without penalty, and functions whose coefficients are random effects.

    f(x) = lines(x) b + functions(x) u      u_j ~ N(0, sigma² / sum_r penalties[r, j] / size_r²)

which is mgcv's penalized smooth written as a mixed model (Wood 2017, §5.8). All columns have mean zero over the rows of the
fit, and the functions are orthogonal to the lines, so that b is the straight line through the curve.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from pandas.api import types

from clada_neuro.errors import FitError
from clada_neuro.stats.factors import labels
from clada_neuro.stats.notation import quoted
from clada_neuro.stats.smooths.bases import Basis, CubicRegression, ThinPlate
from clada_neuro.stats.smooths.terms import SmoothTerm


@dataclass(frozen=True, eq=False)
class Shape:
    """The functions of a smooth, whatever rows they are evaluated at; ``penalties`` has shape (r, m)."""

    term: SmoothTerm
    functions: Callable[[np.ndarray], np.ndarray]
    penalties: np.ndarray
    means: np.ndarray  # of the raw lines
    slopes: np.ndarray  # (1 + n_lines, m): what of the functions the intercept and the lines hold
    scale: float

    def at(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lines (n, l) and the functions (n, m) at ``values`` (n, number of variables)."""
        lines = _lines(values) - self.means
        apart = self.functions(values) - np.column_stack([np.ones(len(lines)), lines]) @ self.slopes
        return lines, apart / self.scale


@dataclass(frozen=True, eq=False)
class Smooth:
    """One smooth of a design: its shape, the level of its ``by`` factor, and its functions (n, m) at the rows used.

    ``line_names`` are the names of its lines among the columns of X.
    """

    shape: Shape
    level: str
    line_names: tuple[str, ...]
    functions: np.ndarray

    @property
    def label(self) -> str:
        """Return its name: ``s(x)``, or ``s(x):conditionhigh`` for one level."""
        term = self.shape.term
        return f"{term.label}:{term.by}{self.level}" if term.by else term.label

    @property
    def penalties(self) -> np.ndarray:
        """Return the penalties (r, m)."""
        return self.shape.penalties

    def at(self, data: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return lines and functions at the rows of ``data``, zero outside the smooth's level."""
        term = self.shape.term
        lines, functions = self.shape.at(data[list(term.variables)].to_numpy(float))
        if not term.by:
            return lines, functions
        inside = (labels(data[term.by]) == self.level).to_numpy()[:, None]
        return lines * inside, functions * inside


def smooths_of(term: SmoothTerm, data: pd.DataFrame, text: str) -> list[tuple[Smooth, np.ndarray]]:
    """Return a term's smooths, one for each level of its factor, with their lines at the rows of ``data``.

    Raises
    ------
    FitError
        For a column that is no number or has too few distinct values, and a ``by`` that is no factor.
    """
    for name in term.variables:
        if types.is_bool_dtype(data[name]) or not types.is_numeric_dtype(data[name]):
            raise FitError(
                f"{term.label} in '{text}': '{name}' holds {data[name].dtype}, not numbers; write it without {term.kind}()"
            )
    values = data[list(term.variables)].to_numpy(float)
    if not np.isfinite(values).all():
        row, at = np.argwhere(~np.isfinite(values))[0]
        raise FitError(f"'{term.variables[at]}' is not finite in row {data.index[row]}; check its values")
    for name, k, column in zip(term.variables, term.k, values.T, strict=True):
        if (n := len(np.unique(column))) < k:
            raise FitError(
                f"{term.label} in '{text}' has k = {k}, but '{name}' has {n} distinct values; "
                + (f"write k = {n}" if n > 2 else f"write {quoted(name)} without {term.kind}()")
            )
    shape = _shape(term, values)
    return [_smooth(shape, level, data) for level in (_levels(term, data, text) if term.by else [""])]


def _smooth(shape: Shape, level: str, data: pd.DataFrame) -> tuple[Smooth, np.ndarray]:
    smooth = Smooth(shape, level, (), np.empty((0, 0)))
    lines, functions = smooth.at(data)
    a, *others = shape.term.variables
    named = ["line"] if not others else [a, others[0], f"{a}:{others[0]}"]
    return Smooth(shape, level, tuple(f"{smooth.label}.{name}" for name in named), functions), lines


def _levels(term: SmoothTerm, data: pd.DataFrame, text: str) -> list[str]:
    if types.is_numeric_dtype(data[term.by]) and not types.is_bool_dtype(data[term.by]):
        raise FitError(
            f"by = {term.by} of {term.label} in '{text}' holds numbers; a smooth for each level of a factor is offered"
        )
    used = labels(data[term.by])
    known = (
        data[term.by].cat.categories
        if isinstance(data[term.by].dtype, pd.CategoricalDtype)
        else sorted(set(used))
    )
    return [level for level in map(str, known) if (used == level).any()]


def _shape(term: SmoothTerm, values: np.ndarray) -> Shape:
    functions = _functions(term, values)
    means = _lines(values).mean(axis=0)
    lines = np.column_stack([np.ones(len(values)), _lines(values) - means])
    raw = functions(values)
    slopes = np.linalg.lstsq(lines, raw, rcond=None)[0]
    scale = float(np.sqrt(np.mean((raw - lines @ slopes) ** 2)))
    return Shape(term, functions, functions.penalties, means, slopes, scale)


def _lines(values: np.ndarray) -> np.ndarray:
    return values if values.shape[1] == 1 else np.column_stack([values, values.prod(axis=1)])


@dataclass(frozen=True, eq=False)
class _Single:
    """The functions of one basis, scaled so that their penalty is the sum of squared coefficients."""

    basis: Basis

    @property
    def penalties(self) -> np.ndarray:
        return np.ones((1, len(self.basis.penalties)))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return self.basis.penalized(values[:, 0]) / np.sqrt(self.basis.penalties)


@dataclass(frozen=True, eq=False)
class _Products:
    """The products of two bases' functions but those of two lines; each basis' penalty has a parameter of its own."""

    a: CubicRegression
    b: CubicRegression

    @property
    def _pairs(self) -> np.ndarray:
        sizes = [2 + len(basis.penalties) for basis in (self.a, self.b)]
        return np.array([pair for pair in product(*map(range, sizes)) if max(pair) > 1]).T

    @property
    def _raw(self) -> np.ndarray:
        margins = [np.r_[0, 0, basis.penalties / basis.penalties.mean()] for basis in (self.a, self.b)]
        return np.stack([margin[at] for margin, at in zip(margins, self._pairs, strict=True)])

    @property
    def penalties(self) -> np.ndarray:
        return self._raw / self._raw.sum(axis=0)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        first, second = self._pairs
        a, b = (_all(basis, x) for basis, x in zip((self.a, self.b), values.T, strict=True))
        return a[:, first] * b[:, second] / np.sqrt(self._raw.sum(axis=0))


def _functions(term: SmoothTerm, values: np.ndarray) -> _Single | _Products:
    if term.kind == "te":
        return _Products(*(CubicRegression.of(x, k) for x, k in zip(values.T, term.k, strict=True)))
    made = ThinPlate.of if term.basis == "tp" else CubicRegression.of
    return _Single(made(values[:, 0], term.k[0]))


def _all(basis: CubicRegression, x: np.ndarray) -> np.ndarray:
    """Return the two lines of a basis, then its penalized functions; all of them orthonormal in the values at the knots."""
    constant = np.full(len(x), len(basis.knots) ** -0.5)
    return np.column_stack([constant, basis.line(x), basis.penalized(x)])
