"""`fit.bayes()`: the model of a fit by Bayes' rule, with its priors, Bayes factors, LOO and a line on convergence."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.bayes import sampler, savage_dickey
from clada_neuro.stats.bayes.priors import Priors, priors_of
from clada_neuro.stats.bayes.savage_dickey import BayesFactor
from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import refuse_smooths

DRAWS, TUNE, CHAINS = 2000, 1000, 4
# Beyond these the draws are not yet those of the posterior (Vehtari et al., 2021).
MOST_RHAT, LEAST_EFFECTIVE, MOST_PARETO = 1.01, 400, 0.7


@dataclass(frozen=True, eq=False, repr=False)
class BayesFit:
    """Draws of the posterior of a fit's model; ``fit`` is the fit beside it, ``draws`` arviz's InferenceData.

    In ``draws`` columns are called x0, x1 … in the order of the coefficients, groups g0, g1 … in that of the random terms.
    """

    fit: Fitted
    priors: Priors
    draws: Any
    focal: tuple[str, ...]

    @cached_property
    def coefficients(self) -> pd.DataFrame:
        """Return one row a fixed effect: term, mean, sd, ci_low, ci_high (95 %, equal tails), rhat, ess, mcse."""
        return self._table(list(self.fit.design.names), np.moveaxis(self._fixed, -1, 0)).rename(
            columns={"name": "term"}
        )

    @cached_property
    def random(self) -> pd.DataFrame:
        """Return one row an SD, group and term, the residual's last; columns as in ``coefficients``."""
        found = sampler.spread_draws(self.fit, self.draws)
        residual = sampler.residual_draws(self.fit, self.draws)
        names = [*found, *([("residual", "")] if residual is not None else [])]
        values = [*found.values(), *([residual] if residual is not None else [])]
        table = self._table(names, np.array(values))
        table.insert(0, "group", [group for group, _ in names])
        return table.assign(name=[term for _, term in names]).rename(columns={"name": "term"})

    @cached_property
    def bayes_factors(self) -> tuple[BayesFactor, ...]:
        """Return the Bayes factor against zero of each focal term (Savage and Dickey's density ratio)."""
        if self.fit.family == "gaussian":
            spreads = sampler.spread_draws(self.fit, self.draws)
            residual = sampler.residual_draws(self.fit, self.draws)
            assert residual is not None
            return tuple(
                savage_dickey.linear(self.fit, self.priors, term, spreads, residual) for term in self.focal
            )
        rows = self.coefficients.set_index("term")
        names = list(self.fit.design.names)
        return tuple(
            savage_dickey.normal(self.priors, term, self._fixed[..., names.index(term)], rows["ess"][term])
            for term in self.focal
        )

    @cached_property
    def loo(self) -> dict[str, float]:
        """Return the expected log predictive density by leave-one-out: elpd, se, p_loo, n_bad (Pareto k above 0.7)."""
        import arviz

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # n_bad says the same
            found = arviz.loo(self.draws, pointwise=True)
        return {
            "elpd": float(found.elpd_loo),
            "se": float(found.se),
            "p_loo": float(found.p_loo),
            "n_bad": int((found.pareto_k > MOST_PARETO).sum()),
        }

    @property
    def n_draws(self) -> int:
        """Return the number of draws of all chains."""
        return int(self._fixed.shape[0] * self._fixed.shape[1])

    @property
    def divergences(self) -> int:
        """Return how many draws ended a trajectory that left the posterior."""
        return int(self.draws.sample_stats["diverging"].to_numpy().sum())

    @property
    def converged(self) -> bool:
        """Return whether R-hat, effective draws and divergences let the draws be believed."""
        both = pd.concat([self.coefficients, self.random])
        fine = both["rhat"].max() <= MOST_RHAT and both["ess"].min() >= LEAST_EFFECTIVE
        return bool(fine and self.divergences == 0)

    def convergence(self) -> str:
        """Return one line: draws, largest R-hat, fewest effective draws, divergences."""
        both = pd.concat([self.coefficients, self.random])
        chains = self._fixed.shape[0]
        line = (
            f"{self.n_draws:,} draws of {chains} chains: R-hat at most {both['rhat'].max():.3f}, effective draws at least "
            f"{both['ess'].min():,.0f}, {self.divergences} divergences"
        )
        return line if self.converged else f"{line}; draw more before this is believed"

    def summary(self) -> str:
        """Return the fit as text: priors, coefficients, SDs, Bayes factors, LOO beside AIC, convergence."""
        aic = self.fit.refit(reml=False).aic
        notes = [
            f"note: {term} is sampled without correlations, which bambi does not have"
            for term in sampler.uncorrelated(self.fit)
        ]
        return "\n".join(
            [
                f"Bayesian mixed model (bambi): {self.fit.formula}",
                self.priors.text(),
                "",
                _text(self.random),
                "",
                _text(self.coefficients),
                "",
                *(_factor(one) for one in self.bayes_factors),
                f"LOO: elpd {self.loo['elpd']:.2f} (SE {self.loo['se']:.2f}), -2 elpd {-2 * self.loo['elpd']:.2f}, beside AIC {aic:.2f} "
                f"by maximum likelihood; {self.loo['n_bad']} rows with Pareto k above {MOST_PARETO}",
                self.convergence(),
                *notes,
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what stands under ``bayes`` in the fit's entry of fits.json."""
        return {
            "priors": self.priors.to_dict(),
            "coefficients": self.coefficients.to_dict("records"),
            "random": self.random.to_dict("records"),
            "bayes_factors": [
                {"term": one.term, "log_bf10": one.log_bf10, "mcse": one.mcse} for one in self.bayes_factors
            ],
            "loo": self.loo,
            "n_draws": self.n_draws,
            "divergences": self.divergences,
            "converged": self.converged,
        }

    def __repr__(self) -> str:
        return self.summary()

    @cached_property
    def _fixed(self) -> np.ndarray:
        return sampler.fixed_draws(self.fit, self.draws)

    def _table(self, names: list[Any], values: np.ndarray) -> pd.DataFrame:
        """Return a row a quantity of values (m, chains, draws)."""
        import arviz

        rows = []
        for name, draws in zip(names, values, strict=True):
            low, high = np.quantile(draws, [0.025, 0.975])
            ess = min(float(arviz.ess(draws, method=kind)) for kind in ("bulk", "tail"))
            rows.append(
                {
                    "name": name,
                    "mean": float(draws.mean()),
                    "sd": float(draws.std(ddof=1)),
                    "ci_low": float(low),
                    "ci_high": float(high),
                    "rhat": float(arviz.rhat(draws)),
                    "ess": ess,
                    "mcse": float(draws.std(ddof=1) / np.sqrt(arviz.ess(draws, method="mean"))),
                }
            )
        return pd.DataFrame(rows)


def bayes(
    fit: Fitted,
    focal: str | list[str] | None = None,
    *,
    effect: float | None = None,
    draws: int = DRAWS,
    tune: int = TUNE,
    chains: int = CHAINS,
    seed: int = 0,
    progress: bool = False,
) -> BayesFit:
    """Sample the posterior of a fit's model: its formula, rows, contrasts and z-scores, with weakly informative priors.

    Parameters
    ----------
    focal
        Terms to have Bayes factors; every coefficient but the intercept without.
    effect
        SD of the prior of effects, in the response's unit, in place of the default (see `priors`).
    draws
        Of all chains together.
    tune
        Of each chain, before its draws.

    Raises
    ------
    FitError
        Without bambi, for a model that it cannot take, an unknown term and numbers that are not positive.
    """
    refuse_smooths(fit.model.formula, "Bayesian models")
    terms = [name for name in fit.design.names if name != INTERCEPT]
    asked = [focal] if isinstance(focal, str) else terms if focal is None else list(focal)
    for term in asked:
        if term not in terms:
            raise FitError(
                f"no term '{term}' in '{fit.name}'{did_you_mean(term, terms)}; there are {', '.join(terms) or 'none'}"
            )
    for name, value in {"draws": draws, "tune": tune, "chains": chains}.items():
        if value < 1:
            raise FitError(f"{name} = {value} given, a whole number from 1 on expected")
    priors = priors_of(fit, effect)
    found = sampler.sample(
        fit, priors, draws=-(-draws // chains), tune=tune, chains=chains, seed=seed, progress=progress
    )
    return BayesFit(fit, priors, found, tuple(asked))


def _text(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format="{:.4f}".format)


def _factor(one: BayesFactor) -> str:
    """Return ``cloze: BF10 = 12.3 (log 2.51 ± 0.02)``, or the other way round where zero is likelier."""
    name, value = ("BF10", one.bf10) if one.log_bf10 >= 0 else ("BF01", 1 / one.bf10)
    sign = "for an effect" if one.log_bf10 >= 0 else "for none"
    return f"{one.term}: {name} = {value:.3g} {sign} (log BF10 {one.log_bf10:.2f} ± {one.mcse:.2f}, Monte Carlo error)"
