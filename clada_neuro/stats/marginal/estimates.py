"""Linear functions of a fit's coefficients as tables: marginal means, slopes, and contrasts of them.

A table is a pandas DataFrame that remembers its functions, so that contrasts of its rows can be made; what is cut out of
it or joined to it is a plain DataFrame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.numerals import decimals, fixed, interval, p_text
from clada_neuro.responses.response import Response, response_of
from clada_neuro.stats.factors import labels
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.marginal.adjust import adjusted, check_adjustment
from clada_neuro.stats.marginal.methods import Custom, Weights, weights_of
from clada_neuro.stats.uncertainty.base import FTest, f_test

CONFIDENCE = 0.95

_Crossed = tuple[dict[str, str], np.ndarray]  # the contrast of each factor, and the weights of cells


@dataclass(frozen=True, eq=False)
class Functions:
    """Rows of ``weights`` (m, p) are functions of the fit's coefficients; ``cells`` (m rows) says what each one is.

    ``by`` names the columns of ``cells`` whose combinations are families of their own; ``slope`` the predictor when the
    functions are slopes.
    """

    fit: Fitted
    weights: np.ndarray
    cells: pd.DataFrame
    by: tuple[str, ...]
    slope: str = ""

    @property
    def factors(self) -> list[str]:
        """Return the columns that tell the functions of one family apart."""
        return [name for name in self.cells if name not in self.by]

    @property
    def response(self) -> Response:
        """Return what the fit explains."""
        return response_of(self.fit.model.formula.text.partition("~")[0])

    @property
    def unit(self) -> str:
        """Return the unit of the estimates, empty when none is known."""
        if not self.slope:
            return self.response.unit
        return self.response.per(self.slope in self.fit.standardized)

    def families(self) -> list[np.ndarray]:
        """Return the positions of each family's rows."""
        if not self.by:
            return [np.arange(len(self.cells))]
        return list(self.cells.groupby(list(self.by), sort=False, observed=True).indices.values())

    def table(self) -> pd.DataFrame:
        """Return cells, estimate, se and df."""
        known = self.fit.uncertainty
        se = np.sqrt(np.einsum("ij,jk,ik->i", self.weights, known.vcov, self.weights))
        estimate = self.weights @ self.fit.estimate.beta
        return self.cells.assign(estimate=estimate, se=se, df=known.df(self.weights))


class Estimates(pd.DataFrame):
    """Marginal means or slopes: columns of factors, estimate, se, df, ci_low, ci_high (95 %, each on its own)."""

    _metadata: ClassVar[list[str]] = ["functions"]
    functions: Functions

    @classmethod
    def of(cls, functions: Functions) -> "Estimates":
        """Estimate functions with their intervals."""
        table = functions.table()
        half = stats.t.ppf((1 + CONFIDENCE) / 2, table["df"]) * table["se"]
        return _with(
            cls(table.assign(ci_low=table["estimate"] - half, ci_high=table["estimate"] + half)), functions
        )

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    @property
    def unit(self) -> str:
        """Return the unit of the estimates, empty when none is known."""
        return self.functions.unit

    def pairs(self, adjust: str = "holm") -> "Contrasts":
        """Return all differences of two rows of a family (see `contrasts`)."""
        return self.contrasts("pairwise", adjust=adjust)

    def contrasts(
        self, method: str | Custom = "pairwise", *, reference: str | None = None, adjust: str = "holm"
    ) -> "Contrasts":
        """Return contrasts of the rows within each family.

        Parameters
        ----------
        method
            ``pairwise``, ``control``, ``consecutive``, ``polynomial``, ``effects``, or weights by name (see
            `methods.weights_of`). Rows of several factors are named by their levels with a blank between.
        reference
            Level that ``control`` compares with.
        adjust
            ``holm``, ``tukey`` (of pairwise only), ``sidak``, ``mvt`` (exact, from the estimates' correlation) or
            ``none``; within each family.
        """
        known, parts, cells = self.functions, [], []
        what = " and ".join(f"'{name}'" for name in known.factors)
        for rows in known.families():
            names = row_names(known.cells.iloc[rows][known.factors])
            found = weights_of(method, names, reference, what)
            parts += [weights @ known.weights[rows] for weights in found.values()]
            family = dict(known.cells.iloc[rows[0]][list(known.by)])
            cells += [{"contrast": name, **family} for name in found]
        made = Functions(known.fit, np.array(parts), pd.DataFrame(cells), known.by, known.slope)
        n_means = len(known.families()[0]) if method == "pairwise" else 0
        return Contrasts.of(made, adjust, n_means)

    def interaction(self, methods: Mapping[str, str | Custom], adjust: str = "holm") -> "Contrasts":
        """Return contrasts of contrasts: for ``{"a": "pairwise", "b": "polynomial"}`` each of b's of each of a's.

        The methods name every factor of the table that is not behind its bar.
        """
        known = self.functions
        if set(methods) != set(known.factors):
            raise FitError(
                f"contrasts given for {', '.join(methods) or 'no factor'}, one for each of {', '.join(known.factors)} expected"
            )
        parts, cells = [], []
        for rows in known.families():
            family = known.cells.iloc[rows]
            levels = {name: list(dict.fromkeys(labels(family[name]))) for name in reversed(known.factors)}
            found = {name: weights_of(methods[name], levels[name], None, f"'{name}'") for name in levels}
            grid: list[_Crossed] = reduce(_product, found.items(), [({}, np.ones(1))])
            parts += [weights @ known.weights[rows] for _, weights in grid]
            named = dict(family.iloc[0][list(known.by)])
            cells += [{**{name: label[name] for name in known.factors}, **named} for label, _ in grid]
        return Contrasts.of(
            Functions(known.fit, np.array(parts), pd.DataFrame(cells), known.by, known.slope), adjust
        )

    def apa(self, row: int = 0) -> str:
        """Return one row as ``condition high: M = −1.12 µV, SE = 0.30, 95 % CI [−1.73, −0.51]``."""
        values, digits = self.iloc[row], decimals(self.iloc[row]["se"])
        symbol = "b" if self.functions.slope else "M"
        return (
            f"{_named(self.functions.cells.iloc[row])}: {symbol} = {fixed(values['estimate'], digits)} {self.unit}".rstrip()
            + f", SE = {fixed(values['se'], digits)}, 95 % CI {interval(values['ci_low'], values['ci_high'], digits)}"
        )


class Contrasts(pd.DataFrame):
    """Contrasts with estimate, se, df, ci_low, ci_high, t, p: intervals and p values adjusted as ``adjust`` says."""

    _metadata: ClassVar[list[str]] = ["functions", "adjust"]
    functions: Functions
    adjust: str

    @classmethod
    def of(cls, functions: Functions, adjust: str, n_means: int = 0) -> "Contrasts":
        """Estimate and test functions, adjusted within families; ``n_means`` counts the means of pairwise ones."""
        check_adjustment(adjust, n_means > 0)
        table = functions.table()
        t, df = (table["estimate"] / table["se"]).to_numpy(), table["df"].to_numpy()
        p, critical = np.empty(len(t)), np.empty(len(t))
        covariance = functions.weights @ functions.fit.uncertainty.vcov @ functions.weights.T
        scale = np.sqrt(np.diag(covariance))
        for rows in functions.families():
            correlation = (covariance / np.outer(scale, scale))[np.ix_(rows, rows)]
            p[rows], critical[rows] = adjusted(t[rows], df[rows], correlation, adjust, n_means, CONFIDENCE)
        half = critical * table["se"]
        low, high = table["estimate"] - half, table["estimate"] + half
        made = _with(cls(table.assign(ci_low=low, ci_high=high, t=t, p=p)), functions)
        object.__setattr__(made, "adjust", adjust)
        return made

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    @property
    def unit(self) -> str:
        """Return the unit of the estimates, empty when none is known."""
        return self.functions.unit

    def joint(self) -> FTest:
        """Test that all contrasts are zero at once."""
        return f_test(
            self.functions.fit.uncertainty, self.functions.fit.estimate.beta, self.functions.weights
        )

    def apa(self, row: int = 0) -> str:
        """Return one row as ``high - low: b = −0.89 µV, SE = 0.09, t(82.8) = −9.84, p < .001, 95 % CI [−1.07, −0.71]``."""
        values, digits = self.iloc[row], decimals(self.iloc[row]["se"])
        t = "z" if np.isinf(values["df"]) else f"t({values['df']:.1f})"
        return (
            f"{_named(self.functions.cells.iloc[row])}: b = {fixed(values['estimate'], digits)} {self.unit}".rstrip()
            + f", SE = {fixed(values['se'], digits)}, {t} = {fixed(values['t'], 2)}, {p_text(values['p'])}, "
            f"95 % CI {interval(values['ci_low'], values['ci_high'], digits)}"
        )


def row_names(cells: pd.DataFrame) -> list[str]:
    """Return the levels of each row with a blank between; ``all`` where there are no columns."""
    columns = [labels(cells[name]) for name in cells]
    return [" ".join(parts) for parts in zip(*columns, strict=True)] if columns else ["all"] * len(cells)


def _product(so_far: list[_Crossed], one: tuple[str, Weights]) -> list[_Crossed]:
    """Cross contrasts of cells with those of one more factor, which varies faster."""
    name, found = one
    return [
        ({**label, name: contrast}, np.kron(weights, inner))
        for label, weights in so_far
        for contrast, inner in found.items()
    ]


def _named(cell: Mapping[str, Any]) -> str:
    return ", ".join(
        str(value) if name == "contrast" else f"{name} {value}" for name, value in dict(cell).items()
    )


def _with(table: Any, functions: Functions) -> Any:
    object.__setattr__(table, "functions", functions)
    return table


def known_names(names: Sequence[str], known: Sequence[str], fit: Fitted) -> None:
    """Raise `FitError` for a name that is no variable of the fixed part, or one that stands twice."""
    for at, name in enumerate(names):
        if name not in known:
            raise FitError(
                f"'{name}' is no variable of the fixed part of '{fit.formula}'{did_you_mean(name, list(known))}; "
                f"there are {', '.join(known)}"
            )
        if name in names[:at]:
            raise FitError(f"'{name}' is named twice; name each variable once")
