"""The default engine: mixedlm, with guards against what it gets wrong in silence.

It sees orthonormal columns and plain numeric codes only; formulas, contrasts and scales are settled before.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from mixedlm.estimation.reml import LMMOptimizer, OptimizationResult
from mixedlm.models.modular import LmerParsedFormula, lFormula, mkLmerDevfun

from clada_neuro.errors import FitError
from clada_neuro.stats.design import Design
from clada_neuro.stats.engines.base import Estimate, Scaled, rescale
from clada_neuro.stats.engines.satterthwaite import satterthwaite, vcov

SECOND_START = 0.2
OFF_ZERO = 0.05
LOGLIK_TOLERANCE = 1e-3
# Relative gain of the deviance at which a descent ends; tighter ends in rounding error of 25,000 rows.
TIGHT, QUICK, LOOSE, COARSE = 1e-13, 1e-12, 1e-10, 1e-8
# A coarse descent that came this near to the first one's deviance from above was on its way to the same optimum.
SAME_OPTIMUM = 0.05
GRADIENT_TOLERANCE = 1e-8
SINGULAR_BELOW = 1e-4


@dataclass(frozen=True, eq=False)
class Prepared:
    """A design that mixedlm has taken in once, to be fitted to any number of responses."""

    design: Design
    scaled: Scaled
    parsed: LmerParsedFormula
    optimizer: LMMOptimizer

    @property
    def reml(self) -> bool:
        """Return whether the restricted likelihood is maximized."""
        return self.optimizer.REML


@dataclass(frozen=True, eq=False)
class Quick:
    """The part of an `Estimate` that resampling needs: no standard errors, no random effects."""

    beta: np.ndarray
    sigma: float
    loglik: float
    covariances: tuple[np.ndarray, ...]
    theta: np.ndarray
    converged: bool


def estimate(design: Design, reml: bool) -> Estimate:
    """Fit from two starts, keep the higher likelihood, and say where the guards fired."""
    if not design.blocks:
        raise FitError("engine 'mixedlm' needs a random term such as (1 | subject); use engine 'statsmodels'")
    prepared = prepare(design, reml)
    best, notes = _two_starts(prepared)
    best, more = _nested_floor(prepared, best)
    return _estimate(prepared, best, notes + more)


def prepare(design: Design, reml: bool) -> Prepared:
    """Hand a design to mixedlm in scaled units."""
    scaled = rescale(design)
    frame = {"y": scaled.y, **{f"x{j}": column for j, column in enumerate(scaled.X.T)}}
    right = ["0", *(f"x{j}" for j in range(scaled.X.shape[1]))]
    for b, (block, values) in enumerate(zip(design.blocks, scaled.blocks, strict=True)):
        frame[f"g{b}"] = block.codes
        names = [f"z{b}_{j}" for j in range(values.shape[1])]
        frame.update(zip(names, values.T, strict=True))
        right.append(f"(0 + {' + '.join(names)} | g{b})")
    parsed = lFormula(
        f"y ~ {' + '.join(right)}", pd.DataFrame(frame), REML=reml, weights=design.weights, na_action=None
    )
    return Prepared(design, scaled, parsed, mkLmerDevfun(parsed).optimizer)


def refit(prepared: Prepared, y: np.ndarray, start: np.ndarray | None) -> Quick:
    """Fit the same design to another response, from ``start`` (a `theta`) or mixedlm's own start."""
    optimizer = prepared.optimizer.with_response(prepared.scaled.response(y, prepared.design.X))
    return _quick(prepared, optimizer, start)


def quick(design: Design, start: np.ndarray | None) -> Quick:
    """Fit a design by ML from ``start``, without standard errors; for the many fits of resampling."""
    prepared = prepare(design, reml=False)
    return _quick(prepared, prepared.optimizer, start)


def _quick(prepared: Prepared, optimizer: LMMOptimizer, start: np.ndarray | None) -> Quick:
    result = None if start is None else _descend(optimizer, _off_zero(prepared, start), QUICK)
    if result is None:
        result = _optimize(optimizer)
    return Quick(
        prepared.scaled.beta(result.beta),
        prepared.scaled.scale * float(result.sigma),
        prepared.scaled.loglik(-result.deviance / 2, prepared.reml),
        _covariances(prepared, result),
        result.theta,
        bool(result.converged),
    )


def _descend(
    optimizer: LMMOptimizer, start: np.ndarray | None, tolerance: float = TIGHT
) -> OptimizationResult | None:
    """Follow exact gradients until the deviance's relative gain is below ``tolerance``; nothing on failure."""
    options = {"ftol": tolerance, "gtol": GRADIENT_TOLERANCE * optimizer.matrices.n_obs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = optimizer.optimize(start, "L-BFGS-B", options=options, use_analytic_gradient=True)
        except (RuntimeError, ValueError, np.linalg.LinAlgError):
            return None
    return result if result.converged else None


def _optimize(optimizer: LMMOptimizer) -> OptimizationResult:
    """Run mixedlm's own start and its careful, slow fallbacks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return optimizer.optimize(method="auto")
        except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
            raise FitError(f"mixedlm could not fit the model ({error}); simplify the random part") from error


def _two_starts(prepared: Prepared) -> tuple[OptimizationResult, tuple[str, ...]]:
    """Descend from mixedlm's start and from a second one; where they disagree, run the careful optimizer too."""
    optimizer = prepared.optimizer
    start = np.concatenate([_diagonal(len(b.names), SECOND_START) for b in prepared.design.blocks])
    first, second = _descend(optimizer, None), _descend(optimizer, start, COARSE)
    if first is not None and second is not None:
        above = second.deviance - first.deviance
        second = first if 0 <= above < SAME_OPTIMUM else _descend(optimizer, second.theta)
    found = [result for result in (first, second) if result is not None]
    if len(found) < 2 or _spread(found) > LOGLIK_TOLERANCE:
        found.append(_optimize(optimizer))
    best = min(found, key=lambda result: result.deviance)
    if _has_flat_direction(prepared, best.theta):
        lifted = _descend(optimizer, _off_zero(prepared, best.theta))
        best = best if lifted is None or lifted.deviance > best.deviance else lifted
    if _spread(found) <= LOGLIK_TOLERANCE:
        return best, ()
    return best, (f"starts ended {_spread(found):.4f} apart in log-likelihood; the highest is reported",)


def _has_flat_direction(prepared: Prepared, theta: np.ndarray) -> bool:
    """Return whether a correlated block is singular: descents stop early beside such a boundary."""
    factors = _factors(prepared, theta)
    return any(len(factor) > 1 and bool((np.diag(factor) < SINGULAR_BELOW).any()) for factor in factors)


def _spread(found: list[OptimizationResult]) -> float:
    deviances = [result.deviance for result in found]
    return float(max(deviances) - min(deviances)) / 2


def _nested_floor(prepared: Prepared, best: OptimizationResult) -> tuple[OptimizationResult, tuple[str, ...]]:
    """Check that slopes do not lower the likelihood of the model with one variance a block."""
    blocks = prepared.design.blocks
    if all(len(block.names) == 1 for block in blocks):
        return best, ()
    floor = _descend(_first_columns(prepared), None, LOOSE)
    if floor is None or best.deviance <= floor.deviance + 2 * LOGLIK_TOLERANCE:
        return best, ()
    start = np.concatenate(
        [_from_scalar(len(block.names), value) for block, value in zip(blocks, floor.theta, strict=True)]
    )
    again = _descend(prepared.optimizer, start)
    best = again if again is not None and again.deviance < best.deviance else best
    return best, ("the first fit was worse than its own intercept-only model; refitted from there",)


def _first_columns(prepared: Prepared) -> LMMOptimizer:
    frame = prepared.parsed.matrices.frame
    fixed = " + ".join(f"x{j}" for j in range(prepared.scaled.X.shape[1]))
    random = " + ".join(f"(0 + z{b}_0 | g{b})" for b in range(len(prepared.design.blocks)))
    parsed = lFormula(
        f"y ~ 0 + {fixed} + {random}",
        frame,
        REML=prepared.reml,
        weights=prepared.design.weights,
        na_action=None,
    )
    return mkLmerDevfun(parsed).optimizer


def _diagonal(k: int, value: float) -> np.ndarray:
    return (value * np.eye(k))[np.tril_indices(k)]


def _from_scalar(k: int, value: float) -> np.ndarray:
    factor = OFF_ZERO * np.eye(k)
    factor[0, 0] = max(value, OFF_ZERO)
    return factor[np.tril_indices(k)]


def _off_zero(prepared: Prepared, theta: np.ndarray) -> np.ndarray:
    """Lift standard deviations off zero, where their gradient vanishes and an optimizer would stay."""
    diagonal = np.concatenate([_diagonal(len(b.names), 1.0) for b in prepared.design.blocks]) == 1
    return np.where(diagonal, np.maximum(theta, OFF_ZERO), theta)


def _factors(prepared: Prepared, theta: np.ndarray) -> list[np.ndarray]:
    factors, at = [], 0
    for block in prepared.design.blocks:
        k = len(block.names)
        factor = np.zeros((k, k))
        factor[np.tril_indices(k)] = theta[at : at + k * (k + 1) // 2]
        at += k * (k + 1) // 2
        factors.append(factor)
    return factors


def _covariances(prepared: Prepared, result: OptimizationResult) -> tuple[np.ndarray, ...]:
    factors = _factors(prepared, result.theta)
    return tuple(
        prepared.scaled.covariance(b, result.sigma**2 * factor @ factor.T) for b, factor in enumerate(factors)
    )


def _effects(prepared: Prepared, u: np.ndarray) -> tuple[np.ndarray, ...]:
    effects, at = [], 0
    for b, block in enumerate(prepared.design.blocks):
        shape = (len(block.levels), len(block.names))
        effects.append(prepared.scaled.effects(b, u[at : at + shape[0] * shape[1]].reshape(shape)))
        at += shape[0] * shape[1]
    return tuple(effects)


def _estimate(prepared: Prepared, result: OptimizationResult, notes: tuple[str, ...]) -> Estimate:
    scaled, theta = prepared.scaled, np.asarray(result.theta)
    inverse = scaled.inverse_r()
    if not result.converged:
        notes += (f"the optimizer did not converge: {result.message}",)
    return Estimate(
        beta=scaled.beta(result.beta),
        vcov=scaled.scale**2 * inverse @ vcov(prepared.optimizer, theta) @ inverse.T,
        degrees=partial(_degrees, prepared.design, prepared.reml, theta),
        sigma=scaled.scale * float(result.sigma),
        loglik=scaled.loglik(-result.deviance / 2, prepared.reml),
        covariances=_covariances(prepared, result),
        effects=_effects(prepared, result.u),
        singular=any((np.diag(factor) < SINGULAR_BELOW).any() for factor in _factors(prepared, theta)),
        converged=bool(result.converged),
        theta=theta,
        warnings=notes,
    )


def _degrees(design: Design, reml: bool, theta: np.ndarray) -> np.ndarray:
    # Prepared anew, because native objects cannot be pickled with a fit.
    prepared = prepare(design, reml)
    return satterthwaite(prepared.optimizer, theta, prepared.scaled.inverse_r())
