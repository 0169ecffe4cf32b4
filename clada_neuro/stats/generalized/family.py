"""The families of generalised models, each with its canonical link: what of a distribution the engine needs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.uncertainty.base import SATTERTHWAITE


@dataclass(frozen=True)
class Cumulants:
    """Mean, variance and third cumulant of each count, (n,) arrays: with a canonical link, derivatives by eta."""

    mean: np.ndarray
    variance: np.ndarray
    third: np.ndarray


@dataclass(frozen=True)
class CountFamily:
    """A distribution of counts with its canonical link.

    ``cumulants`` and ``loglik`` take eta and the trials, ``loglik`` the counts before them; ``ratio`` names exp(b).
    """

    name: str
    link: str
    ratio: str
    mean: Callable[[np.ndarray], np.ndarray]
    cumulants: Callable[[np.ndarray, np.ndarray], Cumulants]
    loglik: Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def _binomial(eta: np.ndarray, trials: np.ndarray) -> Cumulants:
    p = special.expit(eta)
    variance = trials * p * special.expit(-eta)
    return Cumulants(trials * p, variance, variance * (1 - 2 * p))


def _binomial_loglik(counts: np.ndarray, eta: np.ndarray, trials: np.ndarray) -> float:
    ways = -special.betaln(1 + trials - counts, 1 + counts) - np.log1p(trials)
    return float(np.sum(counts * eta - trials * np.logaddexp(0, eta) + ways))


def _poisson(eta: np.ndarray, trials: np.ndarray) -> Cumulants:
    mean = _exp(eta)
    return Cumulants(mean, mean, mean)


def _poisson_loglik(counts: np.ndarray, eta: np.ndarray, trials: np.ndarray) -> float:
    return float(np.sum(counts * eta - _exp(eta) - special.gammaln(counts + 1)))


def _exp(eta: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(eta, 300.0))  # a step that overshoots shall be a bad one, not an overflow


_FAMILIES = {
    "binomial": CountFamily("binomial", "logit", "odds ratio", special.expit, _binomial, _binomial_loglik),
    "poisson": CountFamily("poisson", "log", "rate ratio", _exp, _poisson, _poisson_loglik),
}
FAMILIES = list(_FAMILIES)
GAUSSIAN = "gaussian"


def family_of(name: str) -> CountFamily:
    """Return a family by its name.

    Raises
    ------
    FitError
        For a name that is not offered.
    """
    if name not in _FAMILIES:
        raise FitError(
            f"family '{name}' given{did_you_mean(name, [GAUSSIAN, *FAMILIES])}; there are {GAUSSIAN}, {', '.join(FAMILIES)}"
        )
    return _FAMILIES[name]


def refuse_linear(
    family: str,
    *,
    engine: str = "mixedlm",
    weights: str | None = None,
    df: str = SATTERTHWAITE,
    robust: str | None = None,
) -> None:
    """Raise `FitError` for what only a linear model takes."""
    family_of(family)
    if engine != "mixedlm":
        raise FitError(f"engine '{engine}' fits linear models, and family is {family}; leave the engine out")
    if weights is not None:
        raise FitError(
            f"weights '{weights}' are those of a linear model, and family is {family}; write trials into the response, as in "
            "hits/(hits + misses) ~ …"
        )
    if robust is not None:
        raise FitError(f"robust '{robust}' is for linear models, and family is {family}; leave it out")
    if df != SATTERTHWAITE:
        raise FitError(f"df '{df}' given, and a {family} model has Wald z tests without df; leave it out")


def require_linear(what: str, name: str, family: str) -> None:
    """Raise `FitError` where something is offered for linear models only, and the model is not one."""
    if family != GAUSSIAN:
        raise FitError(f"{what} are offered for linear models only, and '{name}' is {family}")
