"""Type II and III tests of the terms of a fixed part, in SAS's sense, as lmerTest has them.

A term holds another when it has all its factors and more, and the same covariates: ``a:b`` holds ``a``, ``a:x`` does not. Type
III tests a term in the presence of all others, at equal weights of the levels of every factor, whatever the coding; what
interacts with a covariate is tested where the covariate is 0, so covariates are best centered. Type II tests a term after
all terms that do not hold it.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats.coding import codings
from clada_neuro.stats.design import at_mean_of_smooths, fixed_part, term_name
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import coded_factor, expression, written
from clada_neuro.stats.uncertainty.base import f_test

TYPES = (2, 3)


@dataclass(frozen=True)
class Named:
    """A term of the fixed part: its name by columns, its factors and covariates, and its columns of X."""

    name: str
    factors: frozenset[str]
    covariates: frozenset[str]
    columns: list[int]

    def holds(self, other: "Named") -> bool:
        """Return whether a term has all factors of another and more, and the same covariates."""
        return other.factors < self.factors and other.covariates == self.covariates


def anova(fit: Fitted, type: int = 3) -> pd.DataFrame:
    """Return F tests of the terms of the fixed part.

    Returns
    -------
    DataFrame
        Columns term, F, df1, df2, p; degrees of freedom as the fit was asked for.

    Raises
    ------
    FitError
        For another type.
    """
    if type not in TYPES:
        raise FitError(f"F tests of type {type!r} given, 2 or 3 expected")
    functions = _type_3(fit) if type == 3 else _type_2(fit)
    functions = {name: at_mean_of_smooths(fit.design, rows) for name, rows in functions.items()}
    tests = [
        {"term": name, **asdict(f_test(fit.uncertainty, fit.estimate.beta, rows))}
        for name, rows in functions.items()
    ]
    return pd.DataFrame(tests, columns=["term", "F", "df1", "df2", "p"])


def _type_3(fit: Fitted) -> dict[str, np.ndarray]:
    """Return the coefficients that sum coding would give, as functions of the fit's.

    Within a term they are put as differences from the first level, which is lmerTest's choice among equal sets.
    """
    if not codings(fit.design.spec):
        return {
            one.name: np.eye(_without_lines(fit).shape[1])[one.columns] for one in terms_of(fit) if one.name
        }
    centered, columns = _recoded(fit, "contr.sum")
    differences, _ = _recoded(fit, "contr.treatment")
    change, reference = (np.linalg.lstsq(centered, X)[0] for X in (_without_lines(fit), differences))
    return {
        one.name: np.linalg.solve(reference[np.ix_(at, at)], change[at])
        for one, at in zip(terms_of(fit), columns, strict=True)
        if one.name
    }


def _recoded(fit: Fitted, coding: str) -> tuple[np.ndarray, list[list[int]]]:
    """Return X with all factors coded in one way, and the columns of each term."""
    coded = codings(fit.design.spec)
    side = written(
        [
            coded_factor(coded[factor.expr].column, coding) if factor.expr in coded else expression(factor)
            for factor in term.factors
        ]
        for term in fit.design.spec.formula
    )
    X, _, spec, _ = fixed_part(fit.model.data, replace(fit.model.formula, fixed=side, random=(), smooths=()))
    return X, [list(columns) for columns in spec.term_indices.values()]


def _without_lines(fit: Fitted) -> np.ndarray:
    """Return X without the lines of smooths, which no term of the fixed part has."""
    lines = sum(len(smooth.line_names) for smooth in fit.design.smooths)
    return fit.design.X[:, : fit.design.X.shape[1] - lines]


def _type_2(fit: Fitted) -> dict[str, np.ndarray]:
    """Return, for each term, its rows of the triangular factor when all terms that do not hold it come first."""
    X, terms, found = fit.design.X, terms_of(fit), {}
    for one in (term for term in terms if term.name):
        above = [at for other in terms if other.holds(one) for at in other.columns]
        before = [at for at in range(X.shape[1]) if at not in {*one.columns, *above}]
        order, own = [*before, *one.columns, *above], slice(len(before), len(before) + len(one.columns))
        rows = np.linalg.qr(X[:, order], mode="r")[own] if above else np.eye(len(order))[own]
        functions = np.zeros((len(one.columns), X.shape[1]))
        functions[:, order] = rows / np.diag(rows[:, own])[:, None]
        found[one.name] = functions
    return found


def terms_of(fit: Fitted) -> list[Named]:
    """Return the terms of the fixed part; the intercept has no name."""
    coded = codings(fit.design.spec)
    found = []
    for term, columns in fit.design.spec.term_indices.items():
        parts = [factor.expr for factor in term.factors if factor.expr != "1"]
        names = [coded[part].column if part in coded else term_name(part, {}) for part in parts]
        factors = frozenset(coded[part].column for part in parts if part in coded)
        found.append(Named(":".join(names), factors, frozenset(parts) - set(coded), list(columns)))
    return found
