"""From the scale on which a model is linear back to that of its response: log odds, log rates, and logarithms of times.

A difference on such a scale is a ratio on the response's own, of odds, rates or times; tests stay where they were made. For a
logarithm, exp() of an estimate is the median of the response (of log-normal times, their geometric mean), as emmeans gives
it. The mean is larger: exp(m + v / 2), with v the variance of the logarithm over trials, the residual's and that of all
random effects. emmeans' ``bias.adjust`` takes the first two terms of that factor, 1 + v / 2, which lacks v² / 8.
"""

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.responses.response import response_of
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.generalized.family import FAMILIES, family_of
from clada_neuro.stats.notation import read, write

LINK, RESPONSE = "link", "response"
TYPES = (LINK, RESPONSE)
_BASES = {"log": math.e, "log2": 2.0, "log10": 10.0}
_SHORT = {"odds ratio": "OR", "rate ratio": "RR", "ratio": "ratio"}

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Scale:
    """How a model's own scale and its response's belong together.

    Attributes
    ----------
    column : str
        What the response was before a logarithm was taken: ``rt_ms``; the response itself for counts.
    link : str
        The model's own: ``log odds``, ``log rate``, ``log``.
    estimated : str
        What a value on the response's scale is: ``probability``, ``rate``, ``median``.
    unit : str
        Its unit: ``ms``; empty for probabilities and rates.
    ratio : str
        What a difference becomes: ``odds ratio``, ``rate ratio``, ``ratio``.
    base : float
        Of the logarithm.
    inverse, derivative : function
        From values of the model's scale to those of the response, and its slope.
    """

    column: str
    link: str
    estimated: str
    unit: str
    ratio: str
    base: float
    inverse: Function
    derivative: Function

    @property
    def symbol(self) -> str:
        """Return the ratio as a results section writes it: ``OR``, ``RR``, ``ratio``."""
        return _SHORT[self.ratio]

    def as_ratio(self, difference: np.ndarray) -> np.ndarray:
        """Return what differences are as ratios."""
        with np.errstate(over="ignore"):
            return np.asarray(self.base**difference)


def scale_of(fit: Fitted) -> Scale | None:
    """Return the scales of a generalised model, or of a logarithm that the formula takes; None where there is one scale only."""
    if fit.family in FAMILIES:
        family = family_of(fit.family)
        binomial = family.link == "logit"
        return Scale(
            fit.model.formula.response, "log odds" if binomial else "log rate", "probability" if binomial else "rate", "", family.ratio, math.e,
            family.mean, lambda eta: family.cumulants(eta, np.ones_like(eta)).variance,
        )  # fmt: skip
    logged = _logged(fit.model.formula.response)
    if logged is None:
        return None
    base, inside = logged
    slope = np.log(base)
    return Scale(
        inside, "log", "median", response_of(inside).unit, "ratio", base,
        lambda eta: np.asarray(base**eta), lambda eta: np.asarray(slope * base**eta),
    )  # fmt: skip


def facts(fit: Fitted) -> dict[str, Any] | None:
    """Return what a report needs to know of the response's scale; for a log-normal response also its mean over its median."""
    scale = scale_of(fit)
    if scale is None:
        return None
    named = ("column", "link", "estimated", "unit", "ratio", "symbol")
    found = {name: getattr(scale, name) for name in named}
    return found | ({"mean_over_median": bias_factor(fit)} if scale.ratio == "ratio" else {})


def needed(fit: Fitted, type: str) -> Scale | None:
    """Return the scale that estimates of this type are turned to, None where they stay.

    Raises
    ------
    FitError
        For another type.
    """
    if type not in TYPES:
        raise FitError(
            f"type '{type}' given{did_you_mean(str(type), list(TYPES))}; there are {', '.join(TYPES)}"
        )
    return scale_of(fit) if type == RESPONSE else None


def bias_factor(fit: Fitted) -> float:
    """Return mean / median of a log-normal response, given its fixed effects.

    Raises
    ------
    FitError
        When the model's response is no logarithm.
    """
    found = scale_of(fit)
    if found is None or found.ratio != "ratio":
        raise FitError(
            f"bias_adjust is for responses such as log(rt_ms), and '{fit.name}' explains {fit.model.formula.text.partition('~')[0].strip()}; "
            "leave it out"
        )
    shares, slope = fit.r2(), np.log(found.base)
    return float(np.exp(slope**2 * (shares.random + shares.residual) / 2))


def _logged(response: str) -> tuple[float, str] | None:
    """Return the base of a logarithm and what it was taken of."""
    tree, names = read(response)
    call = tree.body
    if not isinstance(call, ast.Call) or len(call.args) != 1 or call.keywords:
        return None
    base = _BASES.get(ast.unparse(call.func).removeprefix("np."))
    return None if base is None else (base, write(call.args[0], names))
