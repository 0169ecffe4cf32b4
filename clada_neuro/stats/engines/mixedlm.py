"""The default engine: mixedlm, with guards against what it gets wrong in silence.

It sees orthonormal columns and plain numeric codes only; formulas, contrasts and scales are settled before.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
from mixedlm.estimation.reml import LMMOptimizer, OptimizationResult
from mixedlm.models.modular import LmerParsedFormula, lFormula, mkLmerDevfun
from scipy import linalg
from scipy.stats import qmc

from clada_neuro.errors import FitError
from clada_neuro.stats.design import Design
from clada_neuro.stats.engines import DEFAULT, base
from clada_neuro.stats.engines.base import Engine, Estimate, Quick, Scaled, rescale
from clada_neuro.stats.engines.convergence import judge
from clada_neuro.stats.engines.satterthwaite import derivatives, satterthwaite, vcov
from clada_neuro.stats.engines.smooth import Smoothed
from clada_neuro.stats.engines.theta import (
    GRADIENT_TOLERANCE,
    OFF_ZERO,
    SINGULAR_BELOW,
    TIGHT,
    covariances,
    diagonal,
    effects,
    factors,
    is_singular,
    owners,
    vector,
)
from clada_neuro.stats.engines.warm import curvature, descend_near
from clada_neuro.stats.uncertainty.satterthwaite import Satterthwaite

SECOND_START = 0.2
# Further starts where a fit is known not to be at its optimum: SDs over the residual's between these two.
MORE_STARTS, LEAST_SD, LARGEST_SD = 8, 0.05, 5.0
LOGLIK_TOLERANCE = 1e-3
# Relative gain of the deviance at which a quicker descent ends.
QUICK, LOOSE, COARSE = 1e-12, 1e-10, 1e-8
# A coarse descent that came this near to the first one's deviance from above was on its way to the same optimum.
SAME_OPTIMUM = 0.05
# For a look at how far optimizers agree: three that follow exact gradients, three that need none.
WITH_GRADIENTS = ("L-BFGS-B", "TNC", "SLSQP")
OPTIMIZERS = (*WITH_GRADIENTS, "COBYQA", "Nelder-Mead", "Powell")
MOST_STEPS = 10_000


@dataclass(frozen=True, eq=False)
class MixedlmDesign(base.Prepared):
    """A design that mixedlm has taken in once, and its own optimum when that is known."""

    design: Design
    scaled: Scaled
    parsed: LmerParsedFormula
    optimizer: LMMOptimizer
    near: np.ndarray | None = None

    @property
    def reml(self) -> bool:
        """Return whether the restricted likelihood is maximized."""
        return self.optimizer.REML

    def estimate(self) -> Estimate:
        """Fit from two starts, keep the higher likelihood, and say where the guards fired."""
        best, notes = _two_starts(self)
        best, more = _nested_floor(self, best)
        return _estimate(self, best, notes + more)

    def restart(self, ratios: Sequence[np.ndarray]) -> Estimate:
        """Fit from given covariances (over the residual variance) and from scattered starts; the best one is kept."""
        starts = [off_zero(self, _theta(self, ratios)), *_scattered(self)]
        found = [result for start in starts if (result := _descend(self.optimizer, start)) is not None]
        found = found or [_optimize(self.optimizer)]
        return _estimate(self, min(found, key=lambda result: result.deviance), ())

    def refit(self, y: np.ndarray | None = None, start: np.ndarray | None = None) -> Quick:
        """Fit the response ``y`` or its own from ``start`` or mixedlm's own start, without standard errors."""
        optimizer = self.optimizer
        if y is not None:
            optimizer = optimizer.with_response(self.scaled.response(y, self.design.X))
        result = None if start is None else self._warm(optimizer, off_zero(self, start))
        if result is None:
            result = _optimize(optimizer)
        return self._quick(result)

    def by(self, name: str) -> Quick:
        """Fit by one of ``OPTIMIZERS`` from mixedlm's own start, as anyone would who knew only that one.

        Raises
        ------
        FitError
            Where it breaks down.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result = self.optimizer.optimize(
                    method=name, maxiter=MOST_STEPS, use_analytic_gradient=name in WITH_GRADIENTS
                )
            except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
                raise FitError(f"{name} could not fit the model ({error})") from error
        return self._quick(result)

    def _quick(self, result: OptimizationResult) -> Quick:
        return Quick(
            beta=self.scaled.beta(result.beta),
            sigma=self.scaled.scale * float(result.sigma),
            loglik=self.scaled.loglik(-result.deviance / 2, self.reml),
            covariances=covariances(self.design, self.scaled, result.theta, result.sigma),
            converged=bool(result.converged),
            theta=result.theta,
        )

    def _warm(self, optimizer: LMMOptimizer, start: np.ndarray) -> OptimizationResult | None:
        if self._curvature is not None:
            result = descend_near(optimizer, start, self._curvature)
            if result is not None and not _has_ridge(self, result.theta):
                return replace(result, theta=with_positive_diagonals(self, result.theta))
        return _descend(optimizer, start, QUICK)

    @cached_property
    def _curvature(self) -> np.ndarray | None:
        if self.near is None or _has_ridge(self, self.near):
            return None
        return curvature(self.optimizer, self.near)


def prepare(design: Design, reml: bool, near: np.ndarray | None = None) -> MixedlmDesign:
    """Hand a design to mixedlm in scaled units; ``near`` is the theta of its own fit."""
    if not design.blocks:
        raise FitError(
            f"engine '{DEFAULT}' needs a random term such as (1 | subject); use engine 'statsmodels'"
        )
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
    return MixedlmDesign(design, scaled, parsed, mkLmerDevfun(parsed).optimizer, near)


def _take(design: Design, reml: bool, near: np.ndarray | None) -> base.Prepared:
    return Smoothed(design, reml) if design.smooths else prepare(design, reml, near)


ENGINE = Engine(DEFAULT, _take, smooths=True)


def _theta(prepared: MixedlmDesign, ratios: Sequence[np.ndarray]) -> np.ndarray:
    parts = []
    for r, ratio in zip(prepared.scaled.block_rs, ratios, strict=True):
        values, vectors = np.linalg.eigh(r @ ratio @ r.T)
        # The triangular root of a matrix that may be singular, by QR of any root.
        (upper,) = linalg.qr((vectors * np.sqrt(np.maximum(values, 0))).T, mode="r")
        root = upper.T * np.where(np.diag(upper) < 0, -1.0, 1.0)
        parts.append(root[np.tril_indices(len(root))])
    return np.concatenate(parts)


def _scattered(prepared: MixedlmDesign) -> list[np.ndarray]:
    """Return starts whose standard deviations are spread evenly over all orders that matter, the same ones each time."""
    sizes = [len(block.names) for block in prepared.design.blocks]
    points = qmc.Halton(len(sizes), scramble=False).random(MORE_STARTS + 1)[1:]
    low, high = np.log(LEAST_SD), np.log(LARGEST_SD)
    return [
        np.concatenate(
            [diagonal(k, float(np.exp(low + (high - low) * u))) for k, u in zip(sizes, point, strict=True)]
        )
        for point in points
    ]


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


def _two_starts(prepared: MixedlmDesign) -> tuple[OptimizationResult, tuple[str, ...]]:
    """Descend from mixedlm's start and from a second one; where they disagree, run the careful optimizer too."""
    optimizer = prepared.optimizer
    start = np.concatenate([diagonal(len(b.names), SECOND_START) for b in prepared.design.blocks])
    first, second = _descend(optimizer, None), _descend(optimizer, start, COARSE)
    if first is not None and second is not None:
        above = second.deviance - first.deviance
        second = first if 0 <= above < SAME_OPTIMUM else _descend(optimizer, second.theta)
    found = [result for result in (first, second) if result is not None]
    if len(found) < 2 or _spread(found) > LOGLIK_TOLERANCE:
        found.append(_optimize(optimizer))
    best = min(found, key=lambda result: result.deviance)
    if _has_flat_direction(prepared, best.theta):
        lifted = _descend(optimizer, off_zero(prepared, best.theta))
        best = best if lifted is None or lifted.deviance > best.deviance else lifted
    if (exchanged := _exchanged(prepared, best.theta)) is not None:
        other = _descend(optimizer, exchanged, COARSE)
        if other is not None and other.deviance < best.deviance - 2 * LOGLIK_TOLERANCE:
            best = _descend(optimizer, other.theta) or other
    if _spread(found) <= LOGLIK_TOLERANCE:
        return best, ()
    return best, (f"starts ended {_spread(found):.4f} apart in log-likelihood; the highest is reported",)


def _has_flat_direction(prepared: MixedlmDesign, theta: np.ndarray) -> bool:
    """Return whether a correlated block is singular: descents stop early beside such a boundary."""
    found = factors(prepared.design, theta)
    return any(len(factor) > 1 and bool((np.diag(factor) < SINGULAR_BELOW).any()) for factor in found)


def _has_ridge(prepared: MixedlmDesign, theta: np.ndarray) -> bool:
    """Return whether a singular block has directions along which quasi-Newton steps end .002 too low, if seldom."""
    found = factors(prepared.design, theta)
    return any(len(factor) > 2 and bool((abs(np.diag(factor)) < SINGULAR_BELOW).any()) for factor in found)


def _exchanged(prepared: MixedlmDesign, theta: np.ndarray) -> np.ndarray | None:
    """Return a start where the factors without variance have most of it; nothing when all have some.

    Where groupings overlap, as items and their stimuli do, one of them can hold the other's variance at a lower optimum:
    1 % of singular fits of small designs, of which this start finds the higher one.
    """
    found = factors(prepared.design, theta)
    empty = [len(factor) == 1 and bool(factor[0, 0] < SINGULAR_BELOW) for factor in found]
    if not any(empty) or len(empty) < 2:
        return None
    most = max(1.0, float(theta.max()))
    parts = [
        np.array([most]) if none else vector(factor) / 10 for factor, none in zip(found, empty, strict=True)
    ]
    return np.concatenate(parts)


def _spread(found: list[OptimizationResult]) -> float:
    deviances = [result.deviance for result in found]
    return float(max(deviances) - min(deviances)) / 2


def _nested_floor(
    prepared: MixedlmDesign, best: OptimizationResult
) -> tuple[OptimizationResult, tuple[str, ...]]:
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


def _first_columns(prepared: MixedlmDesign) -> LMMOptimizer:
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


def _from_scalar(k: int, value: float) -> np.ndarray:
    factor = OFF_ZERO * np.eye(k)
    factor[0, 0] = max(value, OFF_ZERO)
    return factor[np.tril_indices(k)]


def off_zero(prepared: MixedlmDesign, theta: np.ndarray) -> np.ndarray:
    """Lift standard deviations off zero, where their gradient vanishes and an optimizer would stay."""
    on_diagonal = np.concatenate([diagonal(len(b.names), 1.0) for b in prepared.design.blocks]) == 1
    return np.where(on_diagonal, np.maximum(theta, OFF_ZERO), theta)


def with_positive_diagonals(prepared: MixedlmDesign, theta: np.ndarray) -> np.ndarray:
    """Turn the columns of factors whose diagonal is negative, which leaves their covariances."""
    found = factors(prepared.design, theta)
    return np.concatenate([vector(factor * np.sign(np.diag(factor))) for factor in found])


def _estimate(prepared: MixedlmDesign, result: OptimizationResult, notes: tuple[str, ...]) -> Estimate:
    scaled, theta = prepared.scaled, np.asarray(result.theta)
    inverse = scaled.inverse_r()
    if not result.converged:
        notes += (f"the optimizer did not converge: {result.message}",)
    singular = is_singular(prepared.design, theta)
    reached, hessian = True, None
    if not singular:
        gradient, hessian = derivatives(prepared.optimizer, theta)
        reached, lines = judge(gradient, hessian, owners(prepared.design))
        notes += lines
    return Estimate(
        beta=scaled.beta(result.beta),
        vcov=scaled.scale**2 * inverse @ vcov(prepared.optimizer, theta) @ inverse.T,
        approximate=partial(_satterthwaite, prepared.design, prepared.reml, theta, hessian),
        sigma=scaled.scale * float(result.sigma),
        loglik=scaled.loglik(-result.deviance / 2, prepared.reml),
        covariances=covariances(prepared.design, prepared.scaled, result.theta, result.sigma),
        effects=effects(prepared.design, scaled, result.u),
        singular=singular,
        converged=bool(result.converged) and reached,
        theta=theta,
        warnings=notes,
    )


def _satterthwaite(
    design: Design, reml: bool, theta: np.ndarray, hessian: np.ndarray | None
) -> Satterthwaite:
    # Prepared anew, because native objects cannot be pickled with a fit.
    prepared = prepare(design, reml)
    return satterthwaite(
        prepared.optimizer, theta, prepared.scaled.scale * prepared.scaled.inverse_r(), hessian
    )
