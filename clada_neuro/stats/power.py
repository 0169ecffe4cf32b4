"""The smallest effect a design can show: with the variances of a fit, or with assumed ones for planned subjects."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify

# SDs (µV) of the REML fit of n400 ~ cloze + (1|subject) + (1|item) + (1|stimulus), Nieuwland et al. (2018).
TYPICAL_SDS = {"subject": 1.97, "item": 0.96, "stimulus": 0.85, "residual": 9.05}


@dataclass(frozen=True)
class DetectableEffect:
    """The coefficient, in units of the response per unit of the term, that a two-sided test finds with ``power``."""

    term: str
    effect: float
    se: float
    df: float
    power: float
    alpha: float

    def __str__(self) -> str:
        return (
            f"{self.term}: effects of ±{self.effect:.3g} or more are found with power {self.power:.2f} "
            f"(two-sided α = {self.alpha:g}, SE {self.se:.3g}, df {self.df:.1f})"
        )


def detectable_effect(
    fit: MixedFit, term: str, *, power: float = 0.8, alpha: float = 0.05
) -> DetectableEffect:
    """Return the smallest effect that this fit's standard error and degrees of freedom can show."""
    row = fit.coefficient(term)
    return DetectableEffect(
        term, solve_effect(row["se"], row["df"], power, alpha), row["se"], row["df"], power, alpha
    )


def planned_effect(
    stimuli: pd.DataFrame,
    formula: str,
    term: str,
    n_subjects: int,
    *,
    sds: Mapping[str, float] = TYPICAL_SDS,
    power: float = 0.8,
    alpha: float = 0.05,
    simulations: int = 20,
    seed: int = 0,
) -> DetectableEffect:
    """Return the smallest effect for ``n_subjects`` who each see all ``stimuli`` once.

    Parameters
    ----------
    stimuli
        One row a stimulus with its predictors and the grouping columns other than subject.
    formula
        The model to be fitted; predictors are z-scored, so the effect is per standard deviation.
    sds
        SD of each grouping factor's intercepts and of the residual, in the response's unit.
    simulations
        Null data sets whose median standard error and df are used.
    """
    rng = np.random.default_rng(seed)
    trials = stimuli.merge(pd.DataFrame({"subject": [f"s{k}" for k in range(n_subjects)]}), how="cross")
    response = formula.partition("~")[0].strip()
    found = []
    for _ in range(simulations):
        y = rng.normal(0, sds["residual"], len(trials))
        for factor, sd in sds.items():
            if factor in trials:
                codes, levels = pd.factorize(trials[factor])
                y += rng.normal(0, sd, len(levels))[codes]
        fit = estimate(specify(trials.assign(**{response: y}), formula, standardize=True))
        found.append([fit.coefficient(term)[key] for key in ("se", "df")])
    se, df = (float(value) for value in np.median(found, axis=0))
    return DetectableEffect(term, solve_effect(se, df, power, alpha), se, df, power, alpha)


def solve_effect(se: float, df: float, power: float, alpha: float) -> float:
    """Return the effect at which a two-sided t test with this ``se`` and ``df`` has ``power``."""
    critical = stats.t.ppf(1 - alpha / 2, df)

    def shortfall(ratio: float) -> float:
        if np.isinf(df):
            return float(stats.norm.sf(critical - ratio) + stats.norm.cdf(-critical - ratio)) - power
        # Far from zero the wrong tail underflows to NaN.
        wrong_tail = np.nan_to_num(stats.nct.cdf(-critical, df, ratio))
        return float(stats.nct.sf(critical, df, ratio) + wrong_tail) - power

    # With few degrees of freedom the noncentral t has a long lower tail, so the bound is found, not known.
    upper = critical + 10.0
    while shortfall(upper) < 0:
        upper *= 2
    return se * float(optimize.brentq(shortfall, 0.0, upper))
