"""Weakly informative priors in the response's own unit; the sampler and the brms script read the same ones.

An effect is a difference between predictors one SD below and above their mean, which for two equally frequent conditions is
the difference between them. Its prior is normal around zero: for amplitudes with an SD of 5 µV, about the largest N400
effects there are; for times with an SD of 100 ms.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from clada_neuro.errors import FitError
from clada_neuro.responses.response import response_of
from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.fitted import Fitted

# Mean and SD of the response where all predictors are at their means; SD of effects; of the SDs of random effects; of
# the residual SD, half-normal both.
_BY_UNIT = {"µV": (0.0, 10.0, 5.0, 5.0, 20.0), "ms": (500.0, 500.0, 100.0, 100.0, 500.0)}
_BY_FAMILY = {"binomial": (0.0, 1.5, 1.0, 1.0, 0.0), "poisson": (0.0, 2.0, 1.0, 1.0, 0.0)}
_LINKS = {"binomial": "log odds", "poisson": "log rate"}


@dataclass(frozen=True)
class Priors:
    """Priors of one model, in ``unit``: normal for the mean and the coefficients, half-normal for SDs.

    Attributes
    ----------
    center, center_sd : float
        Of the mean response where all predictors are at their means.
    effect : float
        SD of an effect, a difference between predictors two SDs apart.
    coefficients : dict
        SD of each coefficient but the intercept: ``effect`` over two SDs of its column.
    spreads : dict
        SD of the SD of each random term, by group and term.
    residual : float
        SD of the residual SD; 0 for counts, which have none.
    """

    unit: str
    center: float
    center_sd: float
    effect: float
    coefficients: dict[str, float]
    spreads: dict[tuple[str, str], float]
    residual: float

    def text(self) -> str:
        """Return the priors in a sentence."""
        unit = f" {self.unit}" if self.unit else ""
        residual = f", residual SD half-normal({self.residual:.4g})" if self.residual else ""
        spread = next(iter(self.spreads.values()), 0.0)
        random = f", SDs of random effects half-normal({spread:.4g})" if spread else ""
        return (
            f"priors in{unit or ' units of the response'}: mean normal({self.center:.4g}, {self.center_sd:.4g}), effect (two SDs of a "
            f"predictor) normal(0, {self.effect:.4g}){random}{residual}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the priors as an entry of fits.json holds them."""
        return {
            "unit": self.unit,
            "center": [self.center, self.center_sd],
            "effect": self.effect,
            "coefficients": self.coefficients,
            "spreads": [
                {"group": group, "term": term, "sd": sd} for (group, term), sd in self.spreads.items()
            ],
            "residual": self.residual,
        }


def priors_of(fit: Fitted, effect: float | None = None) -> Priors:
    """Return the default priors of a fit's model, with another SD of effects where one is given.

    A response in a unit that is not known has its own mean and SD in them, which is said.
    """
    if effect is not None and not (np.isfinite(effect) and effect > 0):
        raise FitError(
            f"effect = {effect} given, a positive number expected: the prior SD of an effect in the response's unit"
        )
    response, y = response_of(fit.model.formula.text.partition("~")[0]), fit.design.y
    if fit.family != "gaussian":
        unit, known = _LINKS[fit.family], _BY_FAMILY[fit.family]
    elif response.unit in _BY_UNIT:
        unit, known = response.unit, _BY_UNIT[response.unit]
    else:
        mean, sd = float(y.mean()), float(y.std(ddof=1))
        unit, known = response.unit, (mean, 2.5 * sd, sd / 2, sd / 2, 2 * sd)
    center, center_sd, default, spread, residual = known
    design = fit.design
    return Priors(
        unit=unit,
        center=center,
        center_sd=center_sd,
        effect=effect or default,
        coefficients={
            name: (effect or default) / (2 * float(column.std()))
            for name, column in zip(design.names, design.X.T, strict=True)
            if name != INTERCEPT
        },
        spreads={
            (block.group, name): spread if name == INTERCEPT else spread / (2 * float(column.std()))
            for block in design.blocks
            for name, column in zip(block.names, block.values.T, strict=True)
        },
        residual=residual,
    )
