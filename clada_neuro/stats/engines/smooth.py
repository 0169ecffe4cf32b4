"""Models with smooths: the penalized functions are random effects of mixedlm, smoothness is their variance (gamm4's idea).

REML estimates smoothing parameters and variances of crossed random effects at once, as mgcv's ``bam(method = "fREML")`` and
gamm4 do. A tensor product has two penalties over the same coefficients: each coefficient has a standard deviation of its
own for mixedlm, and all of them follow from two parameters here.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from mixedlm.estimation.reml import LMMOptimizer, _DevianceCoreResult
from mixedlm.matrices.design import ModelMatrices, RandomEffectStructure
from scipy import optimize, sparse

from clada_neuro.errors import FitError
from clada_neuro.stats.design import Design
from clada_neuro.stats.engines import DEFAULT
from clada_neuro.stats.engines.base import Estimate, Prepared, Scaled, engine_of, rescale
from clada_neuro.stats.engines.convergence import judge
from clada_neuro.stats.engines.satterthwaite import derivatives, satterthwaite, vcov
from clada_neuro.stats.engines.smooth_start import smoothness
from clada_neuro.stats.engines.theta import (
    GRADIENT_TOLERANCE,
    OFF_ZERO,
    TIGHT,
    covariances,
    diagonal,
    effects,
    is_singular,
    owners,
)
from clada_neuro.stats.smooths.columns import Smooth
from clada_neuro.stats.smooths.posterior import Posterior
from clada_neuro.stats.uncertainty.satterthwaite import Satterthwaite

_LEAST = 1e-6  # size of a smooth over the residual's standard deviation: a straight line
_MOST_STEPS = 500
_STEP = 1e-4


class SmoothOptimizer(LMMOptimizer):
    """mixedlm's deviance as a function of the random part's parameters and of one size a penalty."""

    smooths: tuple[Smooth, ...]

    @classmethod
    def of(
        cls, design: Design, scaled: Scaled, reml: bool, columns: np.ndarray | None = None
    ) -> "SmoothOptimizer":
        """Prepare a design in scaled units; ``columns`` (n, m) are further columns of X."""
        X = scaled.X if columns is None else np.column_stack([scaled.X, columns])
        made = cls(_matrices(design, scaled, X), reml, use_rust=bool(design.blocks or design.smooths))
        made.smooths = design.smooths
        return made

    def sizes(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return the sizes of each smooth among the parameters."""
        counts = [len(smooth.penalties) for smooth in self.smooths]
        first = len(theta) - sum(counts)
        return np.split(theta[first:], np.cumsum(counts)[:-1]) if counts else []

    def _evaluate_core(self, theta: np.ndarray) -> _DevianceCoreResult | None:
        return super()._evaluate_core(self._spread(theta)[0])

    def _optimization_functions(
        self, method: str, use_analytic_gradient: bool
    ) -> tuple[Callable[[np.ndarray], float], Callable[[np.ndarray], np.ndarray]]:
        return lambda theta: self.value_and_slope(theta)[0], lambda theta: self.value_and_slope(theta)[1]

    def value_and_slope(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the deviance and its gradient."""
        assert self._rust_cache is not None
        spread, slopes = self._spread(theta)
        value, slope = self._rust_cache.response.deviance_with_gradient(spread, self.REML)
        return value, slopes.T @ slope

    def _spread(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mixedlm's parameters, a standard deviation for each function, and their slopes by ours."""
        sizes = self.sizes(theta)
        first = len(theta) - sum(map(len, sizes))
        parts, slopes = [theta[:first]], [np.eye(first, len(theta))]
        at = first
        for smooth, size in zip(self.smooths, sizes, strict=True):
            sd, slope = standard_deviations(smooth, size)
            rows = np.zeros((len(sd), len(theta)))
            rows[:, at : at + len(size)] = slope
            at += len(size)
            parts.append(sd)
            slopes.append(rows)
        return np.concatenate(parts), np.concatenate(slopes)


def standard_deviations(smooth: Smooth, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the standard deviation of each function's coefficient (m,) over the residual's, and its slopes (m, r)."""
    each = smooth.penalties.T / np.maximum(size, _LEAST) ** 2
    sd = each.sum(axis=1) ** -0.5
    return sd, sd[:, None] ** 3 * each / np.maximum(size, _LEAST)


def _matrices(design: Design, scaled: Scaled, X: np.ndarray) -> ModelMatrices:
    n, parts, structures = len(scaled.y), [], []
    for block, values in zip(design.blocks, scaled.blocks, strict=True):
        k = values.shape[1]
        at = block.codes[:, None] * k + np.arange(k)
        rows = sparse.csr_matrix(
            (values.ravel(), at.ravel(), np.arange(0, n * k + 1, k)), shape=(n, k * len(block.levels))
        )
        parts.append(rows)
        names = {level: position for position, level in enumerate(block.levels)}
        structures.append(
            RandomEffectStructure(block.group, list(block.names), len(block.levels), k, True, names)
        )
    for smooth in design.smooths:
        m = smooth.functions.shape[1]
        parts.append(sparse.csr_matrix(smooth.functions))
        functions = [f"f{j}" for j in range(m)]
        structures.append(RandomEffectStructure(smooth.label, functions, 1, m, False, {"all": 0}))
    Z = sparse.hstack(parts).tocsc() if parts else sparse.csc_matrix((n, 0))
    return ModelMatrices(
        y=scaled.y, X=np.ascontiguousarray(X), Z=Z, fixed_names=[f"x{j}" for j in range(X.shape[1])],
        random_structures=structures, n_obs=n, n_fixed=X.shape[1], n_random=Z.shape[1],
        weights=np.ones(n) if design.weights is None else design.weights, offset=np.zeros(n),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Smoothed(Prepared):
    """A design with smooths; ``near`` is the theta of its model with straight lines in their place, where that is known."""

    design: Design
    reml: bool
    near: np.ndarray | None = None

    def estimate(self) -> Estimate:
        """Fit from the variances of the straight lines' model, and the smoothness that is best beside them."""
        design, near = self.design, self.near
        scaled, lines = rescale(design), replace(design, smooths=())
        optimizer = SmoothOptimizer.of(design, scaled, self.reml)
        if near is None:
            near = (
                engine_of(DEFAULT).prepare(lines, self.reml).refit().theta if design.blocks else np.empty(0)
            )
        beside = np.column_stack([*(smooth.functions for smooth in design.smooths), scaled.y])
        known = information(lines, scaled, beside, near)
        sizes = smoothness(known, scaled.X.shape[1], design.smooths, len(scaled.y))
        best = _descend(optimizer, np.r_[_lifted(design, near), sizes], design)
        if is_singular(design, best.x):
            again = _descend(
                optimizer, np.r_[_lifted(design, best.x), np.concatenate(optimizer.sizes(best.x))], design
            )
            best = min(best, again, key=lambda result: result.fun)
        return _estimate(design, scaled, optimizer, best)


def _descend(optimizer: SmoothOptimizer, start: np.ndarray, design: Design) -> optimize.OptimizeResult:
    on_diagonal = _on_diagonal(design)
    n_sizes = len(start) - len(on_diagonal)
    bounds = [(0.0 if one else None, None) for one in on_diagonal] + [(_LEAST, None)] * n_sizes
    options = {
        "ftol": TIGHT,
        "gtol": GRADIENT_TOLERANCE * optimizer.matrices.n_obs,
        "maxiter": _MOST_STEPS,
    }
    result = optimize.minimize(
        optimizer.value_and_slope, start, method="L-BFGS-B", jac=True, bounds=bounds, options=options
    )
    if not np.isfinite(result.fun):
        raise FitError("the model with smooths could not be fitted; simplify the random part or lower k")
    return result


def _on_diagonal(design: Design) -> np.ndarray:
    parts = [diagonal(len(block.names), 1.0) == 1 for block in design.blocks]
    return np.concatenate(parts) if parts else np.empty(0, dtype=bool)


def _lifted(design: Design, theta: np.ndarray) -> np.ndarray:
    """Return the random part's parameters with standard deviations off zero, where their gradient vanishes."""
    on_diagonal = _on_diagonal(design)
    random = theta[: len(on_diagonal)]
    return np.where(on_diagonal, np.maximum(random, OFF_ZERO), random)


def _estimate(
    design: Design, scaled: Scaled, optimizer: SmoothOptimizer, result: optimize.OptimizeResult
) -> Estimate:
    theta, inverse = result.x, scaled.inverse_r()
    core = optimizer._evaluate_core(theta)
    if core is None:
        raise FitError("the covariance matrix cannot be factored at the optimum; simplify the random part")
    singular = is_singular(design, theta)
    notes: tuple[str, ...] = () if result.success else (f"the optimizer did not converge: {result.message}",)
    gradient, hessian = derivatives(optimizer, theta)
    reached, n_random = True, len(_on_diagonal(design))
    if not singular and n_random:
        reached, lines = judge(gradient[:n_random], hessian[:n_random, :n_random], owners(design))
        notes += lines
    n_functions = sum(smooth.functions.shape[1] for smooth in design.smooths)
    return Estimate(
        beta=scaled.beta(core.beta),
        vcov=scaled.scale**2 * inverse @ vcov(optimizer, theta) @ inverse.T,
        approximate=partial(_satterthwaite, design, optimizer.REML, theta, hessian),
        sigma=scaled.scale * float(core.sigma),
        loglik=scaled.loglik(-core.deviance / 2, optimizer.REML),
        covariances=covariances(design, scaled, theta, float(core.sigma)),
        effects=effects(design, scaled, core.u),
        singular=singular,
        converged=bool(result.success) and reached,
        theta=theta,
        warnings=notes,
        smooths=_posterior(
            design, scaled, optimizer, theta, float(core.sigma), core.u[len(core.u) - n_functions :]
        ),
    )


def information(design: Design, scaled: Scaled, columns: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return [X F]' V⁻¹ [X F] for further columns F, with V from a design's random effects and smooths at ``theta``."""
    # Of a residual variance, and of coefficients of nearly collinear columns, that are not asked for.
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings(action="ignore"):
        core = SmoothOptimizer.of(design, scaled, True, columns)._evaluate_core(theta)
    if core is None:
        raise FitError("the covariance matrix of the curves cannot be factored; simplify the random part")
    return (core.fixed_information + core.fixed_information.T) / 2


def _posterior(
    design: Design,
    scaled: Scaled,
    optimizer: SmoothOptimizer,
    theta: np.ndarray,
    sigma: float,
    coefs: np.ndarray,
) -> Posterior:
    """Return the coefficients of the functions and their covariance jointly with the fixed effects (Wood 2017, §6.10).

    Where all penalties are multiplied by t, (A + t S)⁻¹ has the slope -(A + S)⁻¹ S (A + S)⁻¹, from which degrees of freedom
    that count random effects too are had without their columns.
    """
    lines, p = replace(design, smooths=()), scaled.X.shape[1]
    random = theta[: len(_on_diagonal(design))]
    columns = np.column_stack([smooth.functions for smooth in design.smooths])
    sizes = zip(design.smooths, optimizer.sizes(theta), strict=True)
    penalty = np.concatenate(
        [np.zeros(p), *(standard_deviations(smooth, size)[0] ** -2.0 for smooth, size in sizes)]
    )

    def inverse(t: float) -> np.ndarray:
        return _inverse(information(lines, scaled, columns, random / np.sqrt(t)) + t * np.diag(penalty))

    at, slope = inverse(1.0), (inverse(1 - _STEP) - inverse(1 + _STEP)) / (2 * _STEP)
    total = p - (
        _log_determinant(optimizer, theta, 1 + _STEP) - _log_determinant(optimizer, theta, 1 - _STEP)
    ) / (2 * _STEP)
    turn = np.eye(len(at))
    turn[:p, :p] = scaled.inverse_r()
    return Posterior(
        coefs=scaled.scale * coefs,
        vcov=(scaled.scale * sigma) ** 2 * turn @ at @ turn.T,
        edf=1 - np.diag(at) * penalty,
        edf1=1 - np.diag(slope) * penalty,
        residual_df=len(scaled.y) - total,
    )


def _inverse(matrix: np.ndarray) -> np.ndarray:
    size = 1 / np.sqrt(np.diag(matrix))  # penalties differ by many orders
    return np.linalg.inv(matrix * np.outer(size, size)) * np.outer(size, size)


def _log_determinant(optimizer: SmoothOptimizer, theta: np.ndarray, t: float) -> float:
    core = optimizer._evaluate_core(theta / np.sqrt(t))
    assert core is not None
    return core.ldL2 + float(np.linalg.slogdet(core.fixed_information)[1])


def _satterthwaite(design: Design, reml: bool, theta: np.ndarray, hessian: np.ndarray) -> Satterthwaite:
    scaled = rescale(design)
    optimizer = SmoothOptimizer.of(design, scaled, reml)
    return satterthwaite(optimizer, theta, scaled.scale * scaled.inverse_r(), hessian)
