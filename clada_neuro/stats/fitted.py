"""A fitted model as data with accessors, and how an engine's estimate becomes one.

Text, comparison, diagnostics and scripts are functions over it, each in its own module; `mixed` offers them as methods.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Self

import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.errors import FitError
from clada_neuro.stats.coding import named
from clada_neuro.stats.design import Design, columns_for, fixed_columns, group_labels
from clada_neuro.stats.engines.base import Engine, Estimate, engine_of
from clada_neuro.stats.model import Model, apply_scales
from clada_neuro.stats.r2 import VarianceShares, moments
from clada_neuro.stats.stimulus import missing_stimulus_warnings
from clada_neuro.stats.uncertainty.base import KENWARD_ROGER, SATTERTHWAITE, Uncertainty, check_df
from clada_neuro.stats.uncertainty.kenward_roger import kenward_roger
from clada_neuro.stats.uncertainty.sandwich import clusters_of, sandwich

_CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class Fitted:
    """A fitted linear mixed model. Estimates are in the data's own units.

    ``warnings`` holds what should be known before it is believed: singular fit, guards of the engine,
    predictors that vary over stimuli without a random effect of stimuli. ``sequences`` names the columns (``a:b``) within whose
    levels residuals may be correlated, where standard errors are by sandwich.
    """

    model: Model
    solver: Engine
    reml: bool
    estimate: Estimate
    warnings: tuple[str, ...]
    df_method: str = SATTERTHWAITE
    family: str = "gaussian"
    sequences: str = ""

    @classmethod
    def of(cls, model: Model, *, reml: bool = True, engine: str = "mixedlm", df: str = SATTERTHWAITE) -> Self:
        """Fit a model that `specify` made; warnings are recorded, not raised."""
        check_df(df, reml, bool(model.design.blocks))
        if df == KENWARD_ROGER and model.design.smooths:
            raise FitError(f"df '{df}' given, and a model with smooths has Satterthwaite's; leave it out")
        solver = engine_of(engine)
        return cls.from_estimate(model, reml, solver, solver.estimate(model.design, reml), df)

    @classmethod
    def from_estimate(
        cls,
        model: Model,
        reml: bool,
        solver: Engine,
        found: Estimate,
        df: str = SATTERTHWAITE,
        family: str = "gaussian",
    ) -> Self:
        """Return what an engine found as a fit, with what should be known before it is believed."""
        messages = [*model.notes, *found.warnings]
        if found.singular:
            messages.append(
                "singular fit: a variance is zero or a correlation ±1; consider a smaller random part"
            )
        if model.design.blocks:
            messages += missing_stimulus_warnings(
                model.design,
                model.data,
                [*model.numeric_predictors(), *model.smoothed()],
                model.factor_predictors(),
            )
        return cls(model, solver, reml, found, tuple(messages), df, family)

    def refit(self, *, reml: bool) -> Self:
        """Return the same model fitted by REML or ML, with Satterthwaite's degrees of freedom."""
        return self if reml == self.reml else self.of(self.model, reml=reml, engine=self.engine)

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.model.name

    @property
    def engine(self) -> str:
        """Return the name of what fitted it."""
        return self.solver.name

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

    @property
    def contrasts(self) -> dict[str, str]:
        """Return how each factor of the fixed part was coded, by its column; by its term where a column has two."""
        return {name: str(coding) for name, coding in named(self.design.spec).items()}

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """Return the covariance of the coefficients and the degrees of freedom of their linear functions."""
        if self.df_method == KENWARD_ROGER:
            return kenward_roger(self.design, self.estimate.covariances, self.sigma)
        model = self.estimate.approximate()
        if not self.sequences:
            return model
        clusters = clusters_of(self.model.data, self.sequences)
        return sandwich(self.design, self.estimate, self.residuals(), clusters, model)

    @cached_property
    def coefficients(self) -> pd.DataFrame:
        """Return one row a fixed effect: term, estimate, se, df, t, p, ci_low, ci_high (95 %)."""
        beta, df = self.estimate.beta, self.uncertainty.df(np.eye(len(self.design.names)))
        se = np.sqrt(np.diag(self.uncertainty.vcov))
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
        smoothness = sum(len(smooth.penalties) for smooth in self.design.smooths)
        return self.design.X.shape[1] + sum(k * (k + 1) // 2 for k in sizes) + smoothness + 1

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
        shares = moments(self.design).shares(self.estimate.beta, self.estimate.covariances, self.sigma)
        return (
            replace(shares, fixed=float(np.var(self.fitted(False), ddof=1)))
            if self.design.smooths
            else shares
        )

    @property
    def all_coefficients(self) -> np.ndarray:
        """Return the fixed effects (p,) and the coefficients of smooths' functions behind them."""
        found = self.estimate.smooths
        return self.estimate.beta if found is None else np.r_[self.estimate.beta, found.coefs]

    def fitted(self, random: bool = True) -> np.ndarray:
        """Return fitted values of the rows used, with or without the random effects."""
        parts = [self.design.X, *(smooth.functions for smooth in self.design.smooths)]
        values = np.column_stack(parts) @ self.all_coefficients
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
        values = fixed_columns(self.design, data) @ self.all_coefficients
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
