"""The posterior of a regression beside its estimates, where it was sampled: priors, coefficients, Bayes factors, prediction."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from clada_neuro.numerals import decimals, fixed, interval
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.posterior import PosteriorRecord
from clada_neuro.reporting.blocks import Block, Headed, Paragraph, Table
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.page_tables import slug
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import number, plural


def blocks(results: Results) -> Iterator[Block]:
    """Yield a part for each regression whose posterior was sampled."""
    for fit in results.fits:
        if fit.bayes:
            yield Headed(fit.name, [*map(Paragraph, lines(fit.bayes)), coefficients(fit, fit.bayes)])


def lines(found: PosteriorRecord) -> list[str]:
    """Return the priors, what prediction says and whether the draws can be believed."""
    priors, loo = found.priors, found.loo
    unit = f" {priors.unit}" if priors.unit else ""
    mean, spread = priors.center
    every = [*found.coefficients, *found.random]
    rhat = max((one.rhat for one in every if one.rhat is not None), default=float("nan"))
    least = min((one.ess for one in every if one.ess is not None), default=float("nan"))
    believed = "" if found.converged else " Draw more before this is believed."
    return [
        f"Priors: mean response normal({number(mean)}, {number(spread)}){unit}; an effect, which is a difference of two standard "
        f"deviations of its predictor, normal(0, {number(priors.effect)}){unit}; standard deviations half-normal.",
        f"{plural(found.n_draws, 'draw')}: R-hat at most {number(rhat, 3)}, effective draws at least {number(least, 0)}, "
        f"{plural(found.divergences, 'divergence')}.{believed}",
        f"Leave-one-out prediction: elpd {number(loo.elpd)} (SE {number(loo.se)}), −2 elpd {number(-2 * loo.elpd)}; "
        f"{plural(loo.n_bad, 'row')} with Pareto k above 0.7.",
    ]


def coefficients(fit: FitRecord, found: PosteriorRecord) -> Table:
    """Return each coefficient's posterior beside its estimate, and its Bayes factor for an effect."""
    factors = {one.term: one.log_bf10 for one in found.bayes_factors}
    frame = pd.DataFrame(
        [
            {
                "term": one.term,
                "estimate": fit.coefficients[one.term].estimate,
                **{name: value for name, value in one.row().items() if name not in ("term", "group")},
                "log_bf10": factors.get(one.term),
            }
            for one in found.coefficients
        ]
    )
    digits = [decimals(sd) for sd in frame["sd"]]
    shown = pd.DataFrame(
        {
            "term": [words(term) for term in frame["term"]],
            "b": [fixed(value, n) for value, n in zip(frame["estimate"], digits, strict=True)],
            "posterior mean": [fixed(value, n) for value, n in zip(frame["mean"], digits, strict=True)],
            "SD": [fixed(value, n) for value, n in zip(frame["sd"], digits, strict=True)],
            "95 % interval": [
                interval(one.ci_low, one.ci_high, n)
                for one, n in zip(found.coefficients, digits, strict=True)
            ],
            "BF10": [_factor(factors.get(term)) for term in frame["term"]],
        }
    )
    caption = (
        f"Posterior of {fit.name}: the estimate, the mean and standard deviation of the draws, their 95 % interval of equal tails, and "
        "the Bayes factor for an effect over none, which depends on the prior of effects."
    )
    return Table(f"posterior_{slug(fit.name)}", caption, frame, shown)


def sampled(results: Results) -> bool:
    """Return whether a regression of the run has a posterior."""
    return any(fit.bayes for fit in results.fits)


def _factor(logarithm: float | None) -> str:
    """Return a Bayes factor, or its reciprocal's words for one far below 1: ``1/35.2``."""
    if logarithm is None:
        return ""
    if logarithm > np.log(1e6):
        return "> 1,000,000"
    return number(float(np.exp(logarithm))) if logarithm >= 0 else f"1/{number(float(np.exp(-logarithm)))}"


SECTION = Declared("posterior", "Posterior", 950, blocks, shown=sampled)
