"""Linear functions of a fit's coefficients as tables: marginal means, slopes, and contrasts of them.

A table is a pandas DataFrame that remembers its functions, so that contrasts of its rows can be made; what is cut out of
it or joined to it is a plain DataFrame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from clada_neuro.stats.marginal.scales import LINK, Scale, needed, scale_of
from clada_neuro.stats.uncertainty.base import FTest, f_test

CONFIDENCE = 0.95

_Crossed = tuple[dict[str, str], np.ndarray]  # the contrast of each factor, and the weights of cells


@dataclass(frozen=True, eq=False)
class Functions:
    """Rows of ``weights`` (m, p) are functions of the fit's coefficients; ``cells`` (m rows) says what each one is.

    ``by`` names the columns of ``cells`` whose combinations are families of their own; ``slope`` the predictor when the
    functions are slopes. ``type`` says on which scale they are told, and ``bias`` what a back-transformed mean is multiplied by.
    """

    fit: Fitted
    weights: np.ndarray
    cells: pd.DataFrame
    by: tuple[str, ...]
    slope: str = ""
    type: str = LINK
    bias: float = 1.0

    @property
    def scale(self) -> Scale | None:
        """Return the scale that estimates are turned to, None where they stay on the model's own."""
        return needed(self.fit, self.type)

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
        if self.scale:
            return "" if self.slope else self.scale.unit
        known = scale_of(self.fit)
        own = replace(self.response, unit=known.link) if known and not known.unit else self.response
        return own.per(self.slope in self.fit.standardized) if self.slope else own.unit

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
        table = table.assign(ci_low=table["estimate"] - half, ci_high=table["estimate"] + half)
        return _with(cls(_told(table, functions, ratio=bool(functions.slope))), functions)

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
        sign = "/" if known.scale else "-"
        what = " and ".join(f"'{name}'" for name in known.factors)
        for rows in known.families():
            names = row_names(known.cells.iloc[rows][known.factors])
            found = weights_of(method, names, reference, what, sign)
            parts += [weights @ known.weights[rows] for weights in found.values()]
            family = dict(known.cells.iloc[rows[0]][list(known.by)])
            cells += [{"contrast": name, **family} for name in found]
        made = replace(known, weights=np.array(parts), cells=pd.DataFrame(cells))
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
            sign = "/" if known.scale else "-"
            found = {
                name: weights_of(methods[name], levels[name], None, f"'{name}'", sign) for name in levels
            }
            grid: list[_Crossed] = reduce(_product, found.items(), [({}, np.ones(1))])
            parts += [weights @ known.weights[rows] for _, weights in grid]
            named = dict(family.iloc[0][list(known.by)])
            cells += [{**{name: label[name] for name in known.factors}, **named} for label, _ in grid]
        return Contrasts.of(replace(known, weights=np.array(parts), cells=pd.DataFrame(cells)), adjust)

    def apa(self, row: int = 0) -> str:
        """Return one row as ``condition high: M = −1.12 µV, SE = 0.30, 95 % CI [−1.73, −0.51]``."""
        values, digits = self.iloc[row], decimals(self.iloc[row]["se"])
        scale, slope = self.functions.scale, self.functions.slope
        symbol = "b" if slope else "M"
        if scale:
            symbol = scale.symbol if slope else scale.estimated if self.functions.bias == 1 else "mean"
        return (
            f"{_named(self.functions.cells.iloc[row])}: {symbol} = {fixed(values['estimate'], digits)} {self.unit}".rstrip()
            + f", SE = {fixed(values['se'], digits)}, 95 % CI {interval(values['ci_low'], values['ci_high'], digits)}"
        )


class Contrasts(pd.DataFrame):
    """Contrasts with estimate, se, df, ci_low, ci_high, t, p: intervals and p values adjusted as ``adjust`` says.

    On the scale of the response they are ratios, and ``t`` and ``p`` test their logarithm, as emmeans does.
    """

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
        table = table.assign(ci_low=table["estimate"] - half, ci_high=table["estimate"] + half, t=t, p=p)
        made = _with(cls(_told(table, functions, ratio=True)), functions)
        object.__setattr__(made, "adjust", adjust)
        return made

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    @property
    def unit(self) -> str:
        """Return the unit of the estimates, empty when none is known, and of ratios."""
        return "" if self.functions.scale else self.functions.unit

    def joint(self) -> FTest:
        """Test that all contrasts are zero at once."""
        return f_test(
            self.functions.fit.uncertainty, self.functions.fit.estimate.beta, self.functions.weights
        )

    def apa(self, row: int = 0) -> str:
        """Return one row as ``high - low: b = −0.89 µV, SE = 0.09, t(82.8) = −9.84, p < .001, 95 % CI [−1.07, −0.71]``."""
        values, digits = self.iloc[row], decimals(self.iloc[row]["se"])
        t = "z" if np.isinf(values["df"]) else f"t({values['df']:.1f})"
        symbol = self.functions.scale.symbol if self.functions.scale else "b"
        return (
            f"{_named(self.functions.cells.iloc[row])}: {symbol} = {fixed(values['estimate'], digits)} {self.unit}".rstrip()
            + f", SE = {fixed(values['se'], digits)}, {t} = {fixed(values['t'], 2)}, {p_text(values['p'])}, "
            f"95 % CI {interval(values['ci_low'], values['ci_high'], digits)}"
        )


def _told(table: pd.DataFrame, functions: Functions, *, ratio: bool) -> pd.DataFrame:
    """Return estimates, standard errors (by the delta method) and limits on the scale on which they are told."""
    scale = functions.scale
    if scale is None:
        return table
    own = table["estimate"].to_numpy()
    value = scale.as_ratio if ratio else lambda given: functions.bias * scale.inverse(given)
    slope = np.log(scale.base) * value(own) if ratio else functions.bias * scale.derivative(own)
    turned = {name: value(table[name].to_numpy()) for name in ("estimate", "ci_low", "ci_high")}
    return table.assign(**turned, se=table["se"] * np.abs(slope))


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
