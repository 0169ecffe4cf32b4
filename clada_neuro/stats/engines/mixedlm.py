"""The default engine: mixedlm, with guards against what it gets wrong in silence.

It sees orthonormal columns and plain numeric codes only; formulas, contrasts and scales are settled before.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from mixedlm.estimation.reml import LMMOptimizer, OptimizationResult
from mixedlm.inference.ddf import _vcov_derivatives
from mixedlm.models.lmer import LmerResult
from mixedlm.models.modular import LmerParsedFormula, lFormula, mkLmerDevfun

from clada_neuro.errors import FitError
from clada_neuro.stats.design import Design
from clada_neuro.stats.engines.base import Estimate, Scaled, rescale

SECOND_START = 0.2
OFF_ZERO = 0.05
LOGLIK_TOLERANCE = 1e-3
SINGULAR_BELOW = 1e-4


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
    first = _optimize(prepared.optimizer)
    best, notes = _second_start(prepared, first)
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
    result = None if start is None else _descend(optimizer, _off_zero(prepared, start))
    if result is None or not result.converged:
        result = _optimize(optimizer)
    return Quick(
        prepared.scaled.beta(result.beta),
        prepared.scaled.scale * float(result.sigma),
        prepared.scaled.loglik(-result.deviance / 2, prepared.reml),
        _covariances(prepared, result),
        result.theta,
        bool(result.converged),
    )


def _descend(optimizer: LMMOptimizer, start: np.ndarray) -> OptimizationResult | None:
    """Follow exact gradients from ``start``; nothing when that fails. A tenth of the time of `_optimize`."""
    options = {"ftol": 1e-12, "gtol": 1e-5}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return optimizer.optimize(start, "L-BFGS-B", options=options, use_analytic_gradient=True)
        except (RuntimeError, ValueError, np.linalg.LinAlgError):
            return None


def _optimize(optimizer: LMMOptimizer) -> OptimizationResult:
    """Run mixedlm's own start and its careful fallbacks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return optimizer.optimize(method="auto")
        except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
            raise FitError(f"mixedlm could not fit the model ({error}); simplify the random part") from error


def _second_start(
    prepared: Prepared, first: OptimizationResult
) -> tuple[OptimizationResult, tuple[str, ...]]:
    start = np.concatenate([_diagonal(len(b.names), SECOND_START) for b in prepared.design.blocks])
    second = _descend(prepared.optimizer, start)
    if second is None:
        return first, ("the fit from the second start failed, so the optimum is checked by one start only",)
    gain = (first.deviance - second.deviance) / 2
    best = second if gain > 0 else first
    if abs(gain) <= LOGLIK_TOLERANCE:
        return best, ()
    return best, (f"two starts ended {abs(gain):.4f} apart in log-likelihood; the higher one is reported",)


def _nested_floor(prepared: Prepared, best: OptimizationResult) -> tuple[OptimizationResult, tuple[str, ...]]:
    """Check that slopes do not lower the likelihood of the model with one variance a block."""
    blocks = prepared.design.blocks
    if all(len(block.names) == 1 for block in blocks):
        return best, ()
    smaller = _first_columns(prepared)
    floor = _optimize(smaller)
    if best.deviance <= floor.deviance + 2 * LOGLIK_TOLERANCE:
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
    scaled = prepared.scaled
    fitted = LmerResult(
        formula=prepared.parsed.formula,
        matrices=prepared.parsed.matrices,
        theta=result.theta,
        beta=result.beta,
        sigma=result.sigma,
        u=result.u,
        deviance=result.deviance,
        REML=prepared.reml,
        converged=result.converged,
        n_iter=result.n_iter,
    )
    inverse = scaled.inverse_r()
    vcov = fitted.vcov()
    singular = any((np.diag(f) < SINGULAR_BELOW).any() for f in _factors(prepared, result.theta))
    if not result.converged:
        notes += (f"the optimizer did not converge: {result.message}",)
    return Estimate(
        beta=scaled.beta(result.beta),
        vcov=scaled.scale**2 * inverse @ vcov @ inverse.T,
        degrees=partial(_satterthwaite, fitted, vcov, inverse),
        sigma=scaled.scale * float(result.sigma),
        loglik=scaled.loglik(-result.deviance / 2, prepared.reml),
        covariances=_covariances(prepared, result),
        effects=_effects(prepared, result.u),
        singular=singular,
        converged=bool(result.converged),
        theta=np.asarray(result.theta),
        warnings=notes,
    )


def _satterthwaite(fitted: LmerResult, vcov: np.ndarray, contrasts: np.ndarray) -> np.ndarray:
    """Return Satterthwaite degrees of freedom of linear combinations of the coefficients.

    2 (l'Vl)^2 / Var(l'Vl) by the delta method over the covariance parameters. mixedlm's own function covers its
    own coefficients only; ours are combinations of its orthonormal ones, so its derivatives are used directly.
    """
    gradients, theta_covariance = _vcov_derivatives(fitted)
    variance = np.einsum("ij,jk,ik->i", contrasts, vcov, contrasts)
    slopes = np.stack([np.einsum("ij,jk,ik->i", contrasts, g, contrasts) for g in gradients], axis=1)
    slopes /= variance[:, None]
    spread = np.einsum("ij,jk,ik->i", slopes, theta_covariance, slopes)
    residual_df = len(fitted.matrices.y) - (len(vcov) if fitted.REML else 0)
    return np.clip(2 / (np.maximum(spread, 0) + 2 / residual_df), 1, residual_df)
