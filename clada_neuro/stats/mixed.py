"""`fit`: a formula and a data frame in, a `MixedFit` with everything a paper reports out."""

import warnings as python_warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.errors import FitError
from clada_neuro.stats import output
from clada_neuro.stats.design import Design, columns_for, group_labels
from clada_neuro.stats.engines.base import Estimate, estimator
from clada_neuro.stats.formula import check_contrasts, parse
from clada_neuro.stats.model import Model, apply_scales, specify
from clada_neuro.stats.r2 import VarianceShares, moments
from clada_neuro.stats.rscript import to_r_script
from clada_neuro.stats.stimulus import missing_stimulus_warnings

if TYPE_CHECKING:
    from clada_neuro.stats.compare import Comparison

_CONFIDENCE = 0.95


class FitWarning(UserWarning):
    """A fit ended, but something about it should be known before it is believed."""


@dataclass(frozen=True, eq=False, repr=False)
class MixedFit:
    """A fitted linear mixed model. Estimates are in the data's own units.

    ``warnings`` holds what should be known before it is believed: singular fit, guards of the engine,
    predictors that vary over stimuli without a random effect of stimuli.
    """

    model: Model
    engine: str
    reml: bool
    estimate: Estimate
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.model.name

    @property
    def formula(self) -> str:
        """Return the formula as written."""
        return self.model.formula.text

    @property
    def design(self) -> Design:
        """Return the arrays that were fitted."""
        return self.model.design

    @property
    def standardized(self) -> Mapping[str, tuple[float, float]]:
        """Return ``{column: (mean, sd)}`` of the predictors that were z-scored before fitting."""
        return self.model.standardized

    @cached_property
    def coefficients(self) -> pd.DataFrame:
        """Return one row a fixed effect: term, estimate, se, df, t, p, ci_low, ci_high (95 %)."""
        beta, df = self.estimate.beta, self.estimate.df
        se = np.sqrt(np.diag(self.estimate.vcov))
        half = stats.t.ppf((1 + _CONFIDENCE) / 2, df) * se
        columns = {
            "term": list(self.design.names),
            "estimate": beta,
            "se": se,
            "df": df,
            "t": beta / se,
            "p": 2 * stats.t.sf(np.abs(beta / se), df),
            "ci_low": beta - half,
            "ci_high": beta + half,
        }
        return pd.DataFrame(columns)

    @cached_property
    def random(self) -> pd.DataFrame:
        """Return variances and covariances as lme4's ``as.data.frame(VarCorr(m))`` does.

        Columns group, term, term2 (empty for a variance), vcov, sdcor (SD, or correlation where term2 is set).
        """
        rows = []
        for block, covariance in zip(self.design.blocks, self.estimate.covariances, strict=True):
            sd = np.sqrt(np.maximum(np.diag(covariance), 0))
            for i, term in enumerate(block.names):
                rows.append((block.group, term, "", covariance[i, i], sd[i]))
            for i, j in combinations(range(len(sd)), 2):
                scale = sd[i] * sd[j]
                correlation = covariance[i, j] / scale if scale > 0 else np.nan
                rows.append((block.group, block.names[i], block.names[j], covariance[i, j], correlation))
        return pd.DataFrame(rows, columns=["group", "term", "term2", "vcov", "sdcor"])

    @property
    def sigma(self) -> float:
        """Return the residual standard deviation."""
        return self.estimate.sigma

    @property
    def loglik(self) -> float:
        """Return the log-likelihood (restricted when ``reml``)."""
        return self.estimate.loglik

    @property
    def n_parameters(self) -> int:
        """Return the number of coefficients, variances and covariances, the residual's included."""
        sizes = [len(block.names) for block in self.design.blocks]
        return self.design.X.shape[1] + sum(k * (k + 1) // 2 for k in sizes) + 1

    @property
    def aic(self) -> float:
        """Return 2 (number of parameters) - 2 log-likelihood."""
        return 2 * self.n_parameters - 2 * self.loglik

    @property
    def n_obs(self) -> int:
        """Return the number of rows fitted."""
        return len(self.design.y)

    @property
    def n_dropped(self) -> int:
        """Return the number of rows left out because a value was missing."""
        return self.design.n_dropped

    @property
    def n_groups(self) -> dict[str, int]:
        """Return the number of levels of each grouping factor."""
        return {block.group: len(block.levels) for block in self.design.blocks}

    @property
    def singular(self) -> bool:
        """Return whether a variance is zero or a correlation ±1 (on the boundary)."""
        return self.estimate.singular

    @property
    def converged(self) -> bool:
        """Return whether the optimizer ended at a stationary point."""
        return self.estimate.converged

    def coefficient(self, term: str) -> dict[str, float]:
        """Return one coefficient's estimate, se, df, t, p, ci_low, ci_high."""
        if term not in self.design.names:
            raise FitError(f"no term '{term}' in '{self.name}'; there are {', '.join(self.design.names)}")
        row = self.coefficients.iloc[self.design.names.index(term)].drop("term")
        return {str(key): float(value) for key, value in row.items()}

    def r2(self) -> VarianceShares:
        """Return the variances of fixed, random and residual part; `.marginal` and `.conditional` are the R²."""
        return moments(self.design).shares(self.estimate.beta, self.estimate.covariances, self.sigma)

    def fitted(self, random: bool = True) -> np.ndarray:
        """Return fitted values of the rows used, with or without the random effects."""
        values = self.design.X @ self.estimate.beta
        if random:
            for block, effects in zip(self.design.blocks, self.estimate.effects, strict=True):
                values = values + np.einsum("ij,ij->i", block.values, effects[block.codes])
        return values

    def residuals(self) -> np.ndarray:
        """Return the response minus the fitted values."""
        return self.design.y - self.fitted()

    def predict(self, data: pd.DataFrame | None = None, random: bool = True) -> np.ndarray:
        """Predict new rows; a level not seen in the fit has a random effect of zero."""
        if data is None:
            return self.fitted(random)
        data = apply_scales(data, self.standardized)
        values = columns_for(self.design.spec, data) @ self.estimate.beta
        if not random:
            return values
        for block, effects in zip(self.design.blocks, self.estimate.effects, strict=True):
            codes = pd.Index(block.levels).get_indexer(pd.Index(group_labels(data, block.factors)))
            known = np.where((codes >= 0)[:, None], effects[codes], 0.0)
            values = values + np.einsum("ij,ij->i", columns_for(block.spec, data), known)
        return values

    def ranef(self) -> dict[str, pd.DataFrame]:
        """Return the random effects of each grouping factor: one row a level, one column a term."""
        tables: dict[str, pd.DataFrame] = {}
        for block, effects in zip(self.design.blocks, self.estimate.effects, strict=True):
            index = pd.Index(block.levels, name=block.group)
            table = pd.DataFrame(effects, index=index, columns=list(block.names))
            tables[block.group] = tables[block.group].join(table) if block.group in tables else table
        return tables

    def anova(self, other: "MixedFit") -> "Comparison":
        """Compare with a nested model on the same rows by a likelihood-ratio test (see `compare.compare`)."""
        from clada_neuro.stats.compare import compare

        return compare(self, other)

    def vif(self) -> pd.Series:
        """Return the variance inflation factor of each fixed term but the intercept."""
        from clada_neuro.stats.diagnostics import vif

        return vif(self)

    def residual_summary(self) -> dict[str, float]:
        """Return moments of the standardized residuals (see `diagnostics.residual_summary`)."""
        from clada_neuro.stats.diagnostics import residual_summary

        return residual_summary(self)

    def partial_effect(self, predictor: str) -> pd.DataFrame:
        """Return the fitted mean over a predictor's range with its interval (see `diagnostics.partial_effect`)."""
        from clada_neuro.stats.diagnostics import partial_effect

        return partial_effect(self, predictor)

    def refit(self, *, reml: bool) -> "MixedFit":
        """Return the same model fitted by REML or ML."""
        return self if reml == self.reml else estimate(self.model, reml=reml, engine=self.engine)

    def apa(self, term: str) -> str:
        """Return one coefficient as a sentence of a results section."""
        return output.apa(self.coefficient(term))

    def to_dict(self) -> dict[str, Any]:
        """Return this fit's entry in fits.json."""
        return output.to_dict(self)

    def to_r_script(self, data_file: str = "trials.csv", weight_mean: float = 1.0) -> str:
        """Return an R script that refits the model with lme4 from a file beside it (see `rscript.to_r_script`)."""
        return to_r_script(self, data_file, weight_mean)

    def summary(self) -> str:
        """Return the fit as text."""
        return output.summary(self)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return output.html(self)


def fit(
    data: pd.DataFrame,
    formula: str,
    *,
    reml: bool = True,
    engine: str = "mixedlm",
    name: str | None = None,
    standardize: bool | Sequence[str] = False,
    contrasts: Mapping[str, str] | None = None,
    weights: str | None = None,
) -> MixedFit:
    """Fit a linear mixed model, and warn (`FitWarning`) of what should be known before it is believed.

    Parameters
    ----------
    data
        One row a trial. Rows with a missing value in any column of the formula are left out and counted.
    formula
        In R's notation, for instance ``n400_uv ~ surprisal * sparsity + (1 | subject) + (1 | stimulus)``.
    reml
        Restricted maximum likelihood: for coefficients and intervals. ML for comparing fixed effects.
    engine
        ``mixedlm``, ``statsmodels`` (no correlated slopes; also ordinary least squares) or ``lme4``.
    standardize
        Columns to z-score over the rows used (SD with n - 1), or True for every numeric predictor (fixed
        or slope) that stands outside functions. Their means and SDs are kept in ``.standardized``.
    contrasts
        ``{column: "treatment" | "sum" | "helmert"}``; treatment when not named.
    weights
        Column of prior weights; the residual variance of a row is sigma² / weight.

    Raises
    ------
    FitError
        When the model cannot be specified on these data, with the term or column to change.
    """
    check_contrasts(parse(formula), contrasts or {})
    model = specify(data, formula, name=name, standardize=standardize, contrasts=contrasts, weights=weights)
    result = estimate(model, reml=reml, engine=engine)
    for message in result.warnings:
        python_warnings.warn(f"{result.name}: {message}", FitWarning, stacklevel=2)
    return result


def estimate(model: Model, *, reml: bool = True, engine: str = "mixedlm") -> MixedFit:
    """Fit a model that `specify` made; warnings are recorded, not raised."""
    return with_warnings(model, reml, engine, estimator(engine)(model.design, reml))


def with_warnings(model: Model, reml: bool, engine: str, found: Estimate) -> MixedFit:
    """Return what an engine found as a fit, with what should be known before it is believed."""
    messages = [*model.notes, *found.warnings]
    if found.singular:
        messages.append(
            "singular fit: a variance is zero or a correlation ±1; consider a smaller random part"
        )
    if model.design.blocks:
        messages += missing_stimulus_warnings(model.design, model.data, model.numeric_predictors())
    return MixedFit(model, engine, reml, found, tuple(messages))
