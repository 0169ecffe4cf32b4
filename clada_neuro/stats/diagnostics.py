"""Checks of a fit as tables that a report can draw: collinearity, residuals, curvature, partial effects."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.errors import FitError
from clada_neuro.stats.coding import codings
from clada_neuro.stats.compare import Comparison, compare
from clada_neuro.stats.design import INTERCEPT, at_mean_of_smooths, columns_for
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import names_of
from clada_neuro.stats.model import specify
from clada_neuro.stats.notation import quoted


def vif(fit: Fitted) -> pd.Series:
    """Return the variance inflation factor of each fixed term but the intercept."""
    from statsmodels.stats.outliers_influence import variance_inflation_factor  # slow to load

    columns = {
        name: variance_inflation_factor(fit.design.X, at)
        for at, name in enumerate(fit.design.names)
        if name != INTERCEPT
    }
    return pd.Series(columns, name="vif", dtype=float)


def residual_summary(fit: Fitted) -> dict[str, float]:
    """Return moments of the standardized residuals, the share beyond ±3, and their tie to the fitted values.

    ``spread_by_fit`` is Spearman's correlation of absolute residuals and fitted values; 0 when spread is even.
    """
    z = fit.residuals() / fit.sigma
    return {
        "skewness": float(stats.skew(z)),
        "excess_kurtosis": float(stats.kurtosis(z)),
        "share_beyond_3sd": float(np.mean(np.abs(z) > 3)),
        "spread_by_fit": float(stats.spearmanr(np.abs(z), fit.fitted()).statistic),
    }


def curvature(fit: Fitted, predictor: str) -> Comparison:
    """Test the square of a predictor against the model without it (ML, likelihood ratio)."""
    _numeric(fit, predictor)
    model = fit.model
    response, _, right = fit.formula.partition("~")
    larger = specify(
        model.data, f"{response} ~ I({quoted(predictor)} ** 2) + {right}", name=f"{model.name} + {predictor}²",
        contrasts=model.contrasts, weights=model.weights,
    )  # fmt: skip
    return compare(fit, fit.of(larger, reml=False, engine=fit.engine))


def partial_effect(
    fit: Fitted,
    predictor: str,
    points: int = 50,
    confidence: float = 0.95,
    held: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Return the fitted mean over a predictor's range, other numbers at their means, factors at their first level.

    Columns: the predictor in its own unit, estimate, ci_low, ci_high. Random effects are at zero; the interval is
    of the fixed effects only, with the fewest degrees of freedom of the terms that the predictor is in.

    Parameters
    ----------
    held
        Values of other numeric predictors, in their own units, in place of their means.
    """
    values = _numeric(fit, predictor)
    data = fit.model.data
    grid = pd.DataFrame({predictor: np.linspace(values.min(), values.max(), points)})
    numbers = fit.model.numeric_predictors()
    first = {coding.column: coding.levels[0] for coding in codings(fit.design.spec).values()}
    for name in names_of(fit.model.formula.fixed):
        if name != predictor:
            grid[name] = data[name].astype(float).mean() if name in numbers else first[name]
    for name, value in (held or {}).items():
        center, sd = fit.standardized.get(name, (0.0, 1.0))
        grid[name] = (value - center) / sd
    X = at_mean_of_smooths(fit.design, columns_for(fit.design.spec, grid))
    mean = X @ fit.estimate.beta
    varying = np.ptp(X, axis=0) > 0
    df = float(fit.uncertainty.df(np.eye(len(varying))[varying]).min()) if varying.any() else np.inf
    half = stats.t.ppf((1 + confidence) / 2, df) * np.sqrt(
        np.einsum("ij,jk,ik->i", X, fit.uncertainty.vcov, X)
    )
    center, sd = fit.standardized.get(predictor, (0.0, 1.0))
    columns = {predictor: center + sd * grid[predictor], "estimate": mean}
    return pd.DataFrame({**columns, "ci_low": mean - half, "ci_high": mean + half})


def _numeric(fit: Fitted, predictor: str) -> np.ndarray:
    if predictor not in fit.model.numeric_predictors():
        known = ", ".join(fit.model.numeric_predictors())
        raise FitError(f"'{predictor}' is no numeric predictor of '{fit.formula}'; there are {known}")
    return fit.model.data[predictor].to_numpy(float)
