"""`fit`: a formula and a data frame in, a `MixedFit` with everything a paper reports out."""

import warnings as python_warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, TypedDict, Unpack, overload

import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats import diagnostics, output
from clada_neuro.stats.allfit import allfit
from clada_neuro.stats.alternatives import alternatives
from clada_neuro.stats.anova import anova
from clada_neuro.stats.bayes.bayes_fit import BayesFit, bayes
from clada_neuro.stats.bootstrap import likelihood_ratio_p
from clada_neuro.stats.compare import Comparison, compare, nested
from clada_neuro.stats.contrasts import Contrasts
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import check_contrasts, parse, refuse_smooths
from clada_neuro.stats.generalized.family import GAUSSIAN, refuse_linear
from clada_neuro.stats.generalized.fit_counts import GeneralizedFit, specify_counts
from clada_neuro.stats.marginal.offered import Marginal
from clada_neuro.stats.model import Model, specify
from clada_neuro.stats.rscript import to_r_script
from clada_neuro.stats.sequences import Lag1, lag1
from clada_neuro.stats.smooths.curve import At, curve
from clada_neuro.stats.smooths.table import smooth_table
from clada_neuro.stats.tidy import glance, tidy
from clada_neuro.stats.uncertainty.base import KENWARD_ROGER, SATTERTHWAITE, check_df


class FitWarning(UserWarning):
    """A fit ended, but something about it should be known before it is believed."""


class MixedFit(Marginal):
    """A fitted model that offers as methods what other modules make of it; the data are in `Fitted`."""

    @overload
    def anova(self, /, *, type: int = 3) -> pd.DataFrame: ...
    @overload
    def anova(self, other: Fitted, /, *, bootstrap: int = 0, seed: int = 0) -> Comparison: ...
    @overload
    def anova(self, other: Fitted, another: Fitted, /, *more: Fitted) -> pd.DataFrame: ...
    def anova(
        self, *others: Fitted, type: int = 3, bootstrap: int = 0, seed: int = 0
    ) -> pd.DataFrame | Comparison:
        """Test the terms by F tests (see `anova.anova`), or compare with other models on the same rows.

        One other model is compared by a likelihood-ratio test (see `compare.compare`), several make a table in which each
        is compared with the one before (see `alternatives.alternatives`). ``bootstrap`` counts the responses drawn from the
        smaller of two models for a p value beside chi-square's, with ``seed``.
        """
        if not others:
            return anova(self, type)
        if len(others) > 1:
            return alternatives([self, *others])
        found = compare(self, *others)
        if not bootstrap:
            return found
        smaller, _, larger = nested(self, *others)
        p, n = likelihood_ratio_p(smaller, larger, bootstrap, seed=seed)
        return replace(found, p_bootstrap=p, n_bootstrap=n)

    def bayes(self, focal: str | list[str] | None = None, **how: Any) -> BayesFit:
        """Return draws of the posterior with Bayes factors of the focal terms (see `bayes.bayes_fit.bayes`)."""
        return bayes(self, focal, **how)

    def robust(self, sequences: str) -> "MixedFit":
        """Return the fit with standard errors by sandwich: residuals may be correlated within sequences of rows.

        Parameters
        ----------
        sequences
            The column that names them, or several: ``subject:stimulus_id``.

        Raises
        ------
        FitError
            For an unknown column, fewer than 10 levels, and Kenward and Roger's degrees of freedom.
        """
        refuse_smooths(self.model.formula, "sandwich standard errors")
        if self.df_method == KENWARD_ROGER:
            raise FitError(
                f"Kenward and Roger's method rests on independent residuals; with a sandwich by '{sequences}' use df "
                f"'{SATTERTHWAITE}'"
            )
        lag = self.autocorrelation()
        others = tuple(line for line in self.warnings if lag is None or line != lag.text())
        found = replace(self, sequences=sequences, warnings=others)
        _ = found.uncertainty  # what cannot be estimated is told here
        return found

    def allfit(self, terms: Sequence[str] | None = None) -> pd.DataFrame:
        """Return log-likelihood and estimates by every optimizer (see `allfit.allfit`)."""
        return allfit(self, terms)

    def autocorrelation(self) -> Lag1 | None:
        """Return the correlation of residuals of neighbouring words (see `sequences.lag1`)."""
        return lag1(self.model.data, self.residuals())

    def tidy(self, names: str = "broom") -> pd.DataFrame:
        """Return all parameters with broom.mixed's names (see `tidy.tidy`)."""
        return tidy(self, names)

    def glance(self) -> pd.DataFrame:
        """Return sizes and criteria in one row with broom.mixed's names (see `tidy.glance`)."""
        return glance(self)

    def smooth(self, name: str, at: At | None = None) -> pd.DataFrame:
        """Return a smooth's curve with intervals and a simultaneous band (see `smooths.curve.curve`)."""
        return curve(self, name, at)

    def smooths(self) -> pd.DataFrame:
        """Return the smooths' effective degrees of freedom and tests (see `smooths.table.smooth_table`)."""
        return smooth_table(self)

    def vif(self) -> pd.Series:
        """Return the variance inflation factor of each fixed term but the intercept."""
        return diagnostics.vif(self)

    def residual_summary(self) -> dict[str, float]:
        """Return moments of the standardized residuals (see `diagnostics.residual_summary`)."""
        return diagnostics.residual_summary(self)

    def partial_effect(self, predictor: str) -> pd.DataFrame:
        """Return the fitted mean over a predictor's range with its interval (see `diagnostics.partial_effect`)."""
        return diagnostics.partial_effect(self, predictor)

    def apa(self, term: str) -> str:
        """Return one coefficient as a sentence of a results section."""
        return output.apa(self.coefficient(term))

    def to_dict(self) -> dict[str, Any]:
        """Return this fit's entry in fits.json."""
        return output.to_dict(self)

    def to_r_script(
        self, data_file: str = "trials.csv", weight_mean: float = 1.0, package: str = "lme4"
    ) -> str:
        """Return an R script that refits the model from a file beside it (see `rscript.to_r_script`)."""
        return to_r_script(self, data_file, weight_mean, package)

    def summary(self) -> str:
        """Return the fit as text."""
        return output.summary(self)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return output.html(self)


class Choices(TypedDict, total=False):
    """What may be said of a fit, whatever its family; see `fit`."""

    reml: bool
    engine: str
    name: str | None
    standardize: bool | Sequence[str]
    contrasts: Contrasts | None
    weights: str | None
    df: str
    robust: str | None


@overload
def fit(
    data: pd.DataFrame, formula: str, *, family: Literal["gaussian"] = ..., **choices: Unpack[Choices]
) -> MixedFit: ...
@overload
def fit(
    data: pd.DataFrame, formula: str, *, family: str, **choices: Unpack[Choices]
) -> MixedFit | GeneralizedFit: ...
def fit(
    data: pd.DataFrame,
    formula: str,
    *,
    reml: bool = True,
    engine: str = "mixedlm",
    name: str | None = None,
    standardize: bool | Sequence[str] = False,
    contrasts: Contrasts | None = None,
    weights: str | None = None,
    df: str = SATTERTHWAITE,
    family: str = GAUSSIAN,
    robust: str | None = None,
) -> MixedFit | GeneralizedFit:
    """Fit a mixed model, and warn (`FitWarning`) of what should be known before it is believed.

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
        ``{column: contrast}``: ``treatment``, ``treatment(low)``, ``sum``, ``helmert``, ``successive``, ``polynomial``,
        or codes, ``{"low": -0.5, "high": 0.5}`` (see `contrasts`); treatment when not named.
    weights
        Column of prior weights; the residual variance of a row is sigma² / weight.
    df
        ``satterthwaite``, or ``kenward-roger`` (REML only), which also adjusts standard errors for few groups.
    family
        ``gaussian``, ``binomial`` (logit link; 0 and 1, or ``hits/(hits + misses) ~ …``) or ``poisson`` (log link). The
        last two are fitted by Laplace's approximation and have Wald z tests and odds or rate ratios; engine, weights
        and df are those of linear models.
    robust
        Column, or columns as in ``subject:stimulus_id``, whose levels are sequences of rows, such as the words that one
        person reads in a text, within which residuals may be correlated: standard errors are by sandwich (see `uncertainty.sandwich`).

    Raises
    ------
    FitError
        When the model cannot be specified on these data, with the term or column to change.
    """
    result = fitted(
        data, formula, reml=reml, engine=engine, name=name, standardize=standardize, contrasts=contrasts,
        weights=weights, df=df, family=family, robust=robust,
    )  # fmt: skip
    for message in result.warnings:  # shown at the user's line, above the check of the arguments
        python_warnings.warn(f"{result.name}: {message}", FitWarning, stacklevel=3)
    return result


def fitted(
    data: pd.DataFrame,
    formula: str,
    *,
    reml: bool = True,
    engine: str = "mixedlm",
    name: str | None = None,
    standardize: bool | Sequence[str] = False,
    contrasts: Contrasts | None = None,
    weights: str | None = None,
    df: str = SATTERTHWAITE,
    family: str = GAUSSIAN,
    robust: str | None = None,
) -> MixedFit | GeneralizedFit:
    """Fit a model as `fit` does; warnings are recorded, not raised."""
    linear = family == GAUSSIAN
    if linear:
        check_df(df, reml)
    else:
        refuse_linear(family, engine=engine, weights=weights, df=df, robust=robust)
    check_contrasts(parse(formula), contrasts or {})
    if not linear:
        counts = specify_counts(
            data, formula, family, name=name, standardize=standardize, contrasts=contrasts
        )
        return GeneralizedFit.of_counts(counts, family)
    model = specify(data, formula, name=name, standardize=standardize, contrasts=contrasts, weights=weights)
    return estimate(model, reml=reml, engine=engine, df=df, robust=robust)


def estimate(
    model: Model,
    *,
    reml: bool = True,
    engine: str = "mixedlm",
    df: str = SATTERTHWAITE,
    robust: str | None = None,
) -> MixedFit:
    """Fit a model that `specify` made; warnings are recorded, not raised."""
    found = MixedFit.of(model, reml=reml, engine=engine, df=df)
    lag = found.autocorrelation()
    if lag and lag.beyond_chance:
        found = replace(found, warnings=(*found.warnings, lag.text()))
    return found.robust(robust) if robust else found
