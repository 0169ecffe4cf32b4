"""Reduce a random part that the data cannot carry, by a fixed rule, and say what was taken out.

First all correlations, then slopes whose variance is zero, one rung at a time, until no slope is the reason for a
singular fit. Random intercepts stay, a zero one too. The rung reached is to be used for every model that is compared.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.stats.contrasts import Contrasts
from clada_neuro.stats.design import Block
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import ModelFormula, RandomTerm, names_of, parse
from clada_neuro.stats.generalized.family import GAUSSIAN
from clada_neuro.stats.generalized.fit_counts import GeneralizedFit
from clada_neuro.stats.mixed import MixedFit, fitted
from clada_neuro.stats.uncertainty.base import SATTERTHWAITE

_ZERO = 1e-4


@dataclass(frozen=True)
class Rung:
    """One model of the ladder and why it was left."""

    formula: str
    loglik: float
    singular: bool
    converged: bool
    removed: str


@dataclass(frozen=True, eq=False, repr=False)
class Ladder:
    """The rungs tried and the fit that was reached."""

    rungs: tuple[Rung, ...]
    fit: MixedFit | GeneralizedFit

    @property
    def random(self) -> str:
        """Return the random part that was reached, to be used in every compared model."""
        return " + ".join(map(str, self.fit.model.formula.random))

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the rungs as they stand in fits.json."""
        return [asdict(rung) for rung in self.rungs]

    def __repr__(self) -> str:
        lines = [
            f"{number}. {rung.formula}: log-likelihood {rung.loglik:.3f}, "
            f"{'singular' if rung.singular else 'not singular'}{'' if rung.converged else ', not converged'}"
            + (f"; removed {rung.removed}" if rung.removed else "; kept")
            for number, rung in enumerate(self.rungs, start=1)
        ]
        return "\n".join(lines)


def has_slopes(formula: str) -> bool:
    """Return whether a formula holds a random slope, which the ladder could take out."""
    return any(map(_is_slope, parse(formula).random))


def groups_of(random: str) -> set[str]:
    """Return the grouping factors of a random part."""
    return {term.group for term in parse(f"y ~ 1 + {random}").random}


def climb_down(
    data: pd.DataFrame,
    formula: str,
    *,
    reml: bool = True,
    standardize: bool | Sequence[str] = False,
    contrasts: Contrasts | None = None,
    weights: str | None = None,
    name: str | None = None,
    df: str = SATTERTHWAITE,
    family: str = GAUSSIAN,
) -> Ladder:
    """Fit a formula and reduce its random part until no slope makes the fit singular; arguments as in `mixed.fit`.

    Raises
    ------
    FitError
        When the formula does not suit the data.
    """
    rungs: list[Rung] = []
    while True:
        found = fitted(
            data, formula, reml=reml, name=name, standardize=standardize, contrasts=contrasts, weights=weights,
            df=df, family=family,
        )  # fmt: skip
        smaller, removed = (None, "")
        if found.singular or not found.converged:
            smaller, removed = _next(found)
        rungs.append(Rung(formula, found.loglik, found.singular, found.converged, removed))
        if smaller is None:
            return Ladder(tuple(rungs), found)
        formula = smaller


def _next(found: Fitted) -> tuple[str | None, str]:
    formula, blocks = found.model.formula, found.design.blocks
    correlated = [c for c in found.estimate.covariances if len(c) > 1]
    if any(map(_is_singular, correlated)) or (correlated and not found.converged):
        split = [part for term in formula.random for part in _uncorrelated(term, formula)]
        if len(split) > len(formula.random):
            return formula.with_random(split), "correlations"
    sizes = [
        _relative_sd(block, covariance, found.sigma)
        for block, covariance in zip(blocks, found.estimate.covariances, strict=True)
    ]
    empty = [j for j, size in enumerate(sizes) if size < _ZERO and _is_slope(formula.random[j])]
    if not empty:
        return None, ""
    kept = [term for j, term in enumerate(formula.random) if j not in empty]
    return formula.with_random(kept), ", ".join(str(formula.random[j]) for j in empty)


def _uncorrelated(term: RandomTerm, formula: ModelFormula) -> tuple[RandomTerm, ...]:
    split = parse(f"{formula.response} ~ 1 + ({term.columns} || {term.group})").random
    return split if len(split) > 1 else (term,)


def _is_singular(covariance: np.ndarray) -> bool:
    """Return whether a variance is zero or the correlations leave a direction without variance."""
    sd = np.sqrt(np.diag(covariance))
    return bool((sd == 0).any() or np.linalg.eigvalsh(covariance / np.outer(sd, sd))[0] < _ZERO**2)


def _is_slope(term: RandomTerm) -> bool:
    return bool(names_of(term.columns))


def _relative_sd(block: Block, covariance: np.ndarray, sigma: float) -> float:
    """Return the smallest SD of a block's effects on the response, relative to the residual's."""
    sizes = np.sqrt(np.maximum(np.diag(covariance), 0) * np.mean(block.values**2, axis=0))
    return float(sizes.min() / sigma)
