"""Fits of counts: a model and the name of a family in, a `GeneralizedFit` out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.errors import FitError
from clada_neuro.stats.alternatives import alternatives
from clada_neuro.stats.bayes.bayes_fit import BayesFit, bayes
from clada_neuro.stats.compare import Comparison, compare
from clada_neuro.stats.contrasts import Contrasts
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import parse, refuse_smooths
from clada_neuro.stats.generalized import text
from clada_neuro.stats.generalized.counts import counts_of, with_numbers
from clada_neuro.stats.generalized.estimate import check_random, laplace
from clada_neuro.stats.generalized.family import family_of
from clada_neuro.stats.generalized.profile import profile_intervals
from clada_neuro.stats.marginal.offered import Marginal
from clada_neuro.stats.model import Model, specify
from clada_neuro.stats.r2 import VarianceShares, moments
from clada_neuro.stats.rscript import to_r_script
from clada_neuro.stats.tidy import glance, tidy

_OFFSET = re.compile(r"\boffset\s*\(")
_NORMAL_95 = stats.norm.ppf(0.975)


@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedFit(Marginal):
    """A fitted generalised mixed model. Estimates are on the scale of the link: log odds or log rates.

    ``fitted``, ``predict`` and ``residuals`` are on the scale of the response: shares, or events.
    """

    @classmethod
    def of_counts(cls, model: Model, family: str) -> "GeneralizedFit":
        """Fit a model that `specify` made; warnings are recorded, not raised."""
        solver = laplace(family_of(family), *counts_of(model, family))
        return cls.from_estimate(model, False, solver, solver.estimate(model.design, False), family=family)

    def refit(self, *, reml: bool) -> "GeneralizedFit":
        """Return the fit itself: there is no restricted likelihood of counts."""
        return self

    @property
    def coefficients(self) -> pd.DataFrame:
        """Return one row a fixed effect: term, estimate, se, z, p, ci_low, ci_high (Wald, 95 %), and its ratio.

        The ratio is exp(estimate) with its interval: ``odds_ratio`` or ``rate_ratio``, ``…_low``, ``…_high``.
        """
        beta, se = self.estimate.beta, np.sqrt(np.diag(self.uncertainty.vcov))
        low, high = beta - _NORMAL_95 * se, beta + _NORMAL_95 * se
        name = family_of(self.family).ratio.replace(" ", "_")
        with np.errstate(over="ignore"):
            ratios = {name: np.exp(beta), f"{name}_low": np.exp(low), f"{name}_high": np.exp(high)}
        columns = {
            "term": list(self.design.names),
            "estimate": beta,
            "se": se,
            "z": beta / se,
            "p": 2 * stats.norm.sf(np.abs(beta / se)),
            "ci_low": low,
            "ci_high": high,
        }
        return pd.DataFrame(columns | ratios)

    @property
    def n_parameters(self) -> int:
        """Return the number of coefficients, variances and covariances; the family has no residual variance."""
        return super().n_parameters - 1

    def r2(self) -> VarianceShares:
        """Return the variances on the latent scale (Nakagawa, Johnson & Schielzeth 2017).

        The residual's is that of the logistic distribution, π²/3, or for counts ln(1 + 1/λ) with λ their mean.
        """
        latent = np.pi**2 / 3 if self.family == "binomial" else np.log1p(1 / self.design.y.mean())
        return moments(self.design).shares(
            self.estimate.beta, self.estimate.covariances, float(np.sqrt(latent))
        )

    def fitted(self, random: bool = True) -> np.ndarray:
        """Return the fitted shares or events of the rows used, with or without the random effects."""
        return family_of(self.family).mean(super().fitted(random))

    def predict(self, data: pd.DataFrame | None = None, random: bool = True) -> np.ndarray:
        """Predict the shares or events of new rows; a level not seen in the fit has a random effect of zero."""
        return (
            self.fitted(random)
            if data is None
            else family_of(self.family).mean(super().predict(data, random))
        )

    def anova(self, *others: Fitted, type: int = 3) -> pd.DataFrame | Comparison:
        """Compare with other models of the same family by likelihood ratio, as `MixedFit.anova` does."""
        if not others:
            self._refuse(
                "F tests of the terms", "smaller.anova(larger), the likelihood-ratio test of two models"
            )
        return compare(self, *others) if len(others) == 1 else alternatives([self, *others])

    def bayes(self, focal: str | list[str] | None = None, **how: Any) -> BayesFit:
        """Return draws of the posterior with Bayes factors of the focal terms (see `bayes.bayes_fit.bayes`)."""
        return bayes(self, focal, **how)

    def tidy(self, names: str = "broom") -> pd.DataFrame:
        """Return all parameters with broom.mixed's names (see `tidy.tidy`)."""
        return tidy(self, names)

    def glance(self) -> pd.DataFrame:
        """Return sizes and criteria in one row with broom.mixed's names (see `tidy.glance`)."""
        return glance(self)

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise FitError(
            f"{what} are offered for linear models only, and '{self.name}' is {self.family}; use {instead}"
        )

    def confint(self, terms: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the 95 % profile intervals of coefficients (see `profile.profile_intervals`), of all where none is named."""
        return profile_intervals(self, list(self.design.names if terms is None else terms))

    def apa(self, term: str) -> str:
        """Return one coefficient as a sentence of a results section, with its odds or rate ratio."""
        return text.apa(self.coefficient(term), family_of(self.family).ratio)

    def to_dict(self) -> dict[str, Any]:
        """Return this fit's entry in fits.json."""
        return text.to_dict(self) | {"lme4_script": self.to_r_script()}

    def to_r_script(self, data_file: str = "trials.csv", package: str = "lme4") -> str:
        """Return an R script that refits the model with glmer from a file beside it (see `rscript.to_r_script`)."""
        return to_r_script(self, data_file, package=package)

    def summary(self) -> str:
        """Return the fit as text."""
        return text.summary(self)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return text.html(self)


def specify_counts(
    data: pd.DataFrame,
    formula: str,
    family: str,
    *,
    name: str | None = None,
    standardize: bool | Sequence[str] = False,
    contrasts: Contrasts | None = None,
) -> Model:
    """Bring a formula and the counts of a data frame together, as `model.specify` does, and check that they are counts.

    Raises
    ------
    FitError
        When the model cannot be specified on these data, or the response is not what the family generates.
    """
    if _OFFSET.search(formula.partition("~")[2]):
        raise FitError(f"offset() in '{formula}' is not offered for a {family} model; leave it out")
    refuse_smooths(parse(formula), f"{family} models")
    data = with_numbers(data, parse(formula), family)
    model = specify(data, formula, name=name, standardize=standardize, contrasts=contrasts)
    check_random(model.design, family)
    counts_of(model, family)
    return model
