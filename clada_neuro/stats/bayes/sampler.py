"""Draws of the posterior by bambi (PyMC's No-U-Turn sampler), from the arrays that the engines fit.

bambi sees plain columns and codes, so that contrasts, z-scores and rows are those of the fit beside it.
"""

import logging
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats.bayes.priors import Priors
from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import refuse_smooths
from clada_neuro.stats.generalized.counts import counts_of

TARGET_ACCEPT = 0.9
_MISSING = "sampling needs bambi, and it is not installed: pip install 'clada-neuro[bayes]'"


def bambi() -> ModuleType:
    """Return bambi, which an extra installs.

    Raises
    ------
    FitError
        When it is not there.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import bambi as found
    except ImportError as error:
        raise FitError(_MISSING) from error
    return found


def sample(
    fit: Fitted, priors: Priors, *, draws: int, tune: int, chains: int, seed: int, progress: bool
) -> Any:
    """Return arviz's InferenceData with posterior, sampler statistics and pointwise log-likelihood.

    ``draws`` and ``tune`` count those of one chain.
    """
    library = bambi()
    _refuse(fit)
    frame, formula, family = _columns(fit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is in the line on convergence
        logging.getLogger("pymc").setLevel(logging.ERROR)
        model = library.Model(formula, frame, family=family, priors=_priors(library, fit, priors))
        return model.fit(
            draws=draws,
            tune=tune,
            chains=chains,
            cores=1,
            random_seed=seed,
            target_accept=TARGET_ACCEPT,
            progressbar=progress,
            idata_kwargs={"log_likelihood": True},
        )


def fixed_draws(fit: Fitted, found: Any) -> np.ndarray:
    """Return the draws (chains, draws, p) of the coefficients in the design's order."""
    names = ["Intercept" if name == INTERCEPT else f"x{at}" for at, name in enumerate(fit.design.names)]
    return np.stack([found.posterior[name].to_numpy() for name in names], axis=-1)


def spread_draws(fit: Fitted, found: Any) -> dict[tuple[str, str], np.ndarray]:
    """Return the draws (chains, draws) of the SD of each random term."""
    return {
        (block.group, name): found.posterior[f"{_term(b, j, name)}|g{b}_sigma"].to_numpy()
        for b, block in enumerate(fit.design.blocks)
        for j, name in enumerate(block.names)
    }


def residual_draws(fit: Fitted, found: Any) -> np.ndarray | None:
    """Return the draws (chains, draws) of the residual SD; None for counts."""
    return found.posterior["sigma"].to_numpy() if fit.family == "gaussian" else None


def uncorrelated(fit: Fitted) -> list[str]:
    """Return the random terms whose correlations bambi does not have."""
    return [
        f"({' + '.join(name.replace(INTERCEPT, '1') for name in block.names)} | {block.group})"
        for block in fit.design.blocks
        if len(block.names) > 1
    ]


def _refuse(fit: Fitted) -> None:
    refuse_smooths(fit.model.formula, "draws of the posterior")
    if fit.model.weights is not None:
        raise FitError(
            f"'{fit.name}' has weights '{fit.model.weights}', which bambi does not take as lme4 does"
        )
    if not fit.design.blocks:
        raise FitError(f"'{fit.formula}' has no random term such as (1 | subject), which is needed here")


def _columns(fit: Fitted) -> tuple[pd.DataFrame, str, str]:
    """Return the columns that bambi reads, its formula and its family."""
    design, frame = fit.design, {}
    fixed = ["1" if INTERCEPT in design.names else "0"]
    for at, (name, column) in enumerate(zip(design.names, design.X.T, strict=True)):
        if name != INTERCEPT:
            frame[f"x{at}"] = column
            fixed.append(f"x{at}")
    for b, block in enumerate(design.blocks):
        frame[f"g{b}"] = pd.Categorical.from_codes(
            block.codes, [f"level{k}" for k in range(len(block.levels))]
        )
        for j, (name, column) in enumerate(zip(block.names, block.values.T, strict=True)):
            term = _term(b, j, name)
            fixed.append(f"(1|g{b})" if term == "1" else f"(0 + {term}|g{b})")
            frame |= {} if term == "1" else {term: column}
    left, family = "y", fit.family
    if fit.family == "gaussian":
        frame["y"] = design.y
    else:
        counts, trials = counts_of(fit.model, fit.family)
        frame["y"] = counts.astype(int)
        if fit.family == "binomial" and (trials == 1).all():
            family = "bernoulli"
        elif fit.family == "binomial":
            frame["trials"], left = trials.astype(int), "p(y, trials)"
    return pd.DataFrame(frame), f"{left} ~ {' + '.join(fixed)}", family


def _term(block: int, at: int, name: str) -> str:
    return "1" if name == INTERCEPT else f"z{block}_{at}"


def _priors(library: ModuleType, fit: Fitted, priors: Priors) -> dict[str, Any]:
    prior = library.Prior
    found = {
        f"x{at}": prior("Normal", mu=0, sigma=priors.coefficients[name])
        for at, name in enumerate(fit.design.names)
        if name != INTERCEPT
    }
    if INTERCEPT in fit.design.names:  # bambi's is the mean at the means of all columns
        found["Intercept"] = prior("Normal", mu=priors.center, sigma=priors.center_sd)
    for b, block in enumerate(fit.design.blocks):
        for j, name in enumerate(block.names):
            spread = prior("HalfNormal", sigma=priors.spreads[block.group, name])
            found[f"{_term(b, j, name)}|g{b}"] = prior("Normal", mu=0, sigma=spread)
    if priors.residual:
        found["sigma"] = prior("HalfNormal", sigma=priors.residual)
    return found
