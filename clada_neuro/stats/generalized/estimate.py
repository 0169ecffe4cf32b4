"""From a design and its counts to estimates: Laplace's likelihood maximised over all parameters at once.

Standard errors come from the curvature of the likelihood in variances and coefficients together, as glmer's do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize

from clada_neuro.errors import FitError
from clada_neuro.stats.design import INTERCEPT, Design
from clada_neuro.stats.engines.base import Engine, Estimate, Prepared, Scaled, orthonormal
from clada_neuro.stats.generalized.family import CountFamily
from clada_neuro.stats.generalized.laplace import Laplace
from clada_neuro.stats.generalized.separation import separating
from clada_neuro.stats.uncertainty.base import Known

# SDs of the random effects where the search starts, and where it starts again when one came out as smaller than that.
_START, _OFF_ZERO = 0.5, 0.1
_STEP = 1e-4
# Newton's step from the end would still raise the log-likelihood by more than this.
_UNFINISHED = 1e-3
# A linear predictor beyond this is looked into: no data but separated ones lead there.
_EXTREME = 10.0
_GLM_STEPS = 25
_SINGULAR_SD = 1e-3


@dataclass(frozen=True, eq=False)
class Counted(Prepared):
    """A design with the counts that it is to explain."""

    design: Design
    family: CountFamily
    counts: np.ndarray
    trials: np.ndarray

    def estimate(self) -> Estimate:
        """Fit by Laplace's approximation."""
        return estimate(self.design, self.family, self.counts, self.trials)


def laplace(family: CountFamily, counts: np.ndarray, trials: np.ndarray) -> Engine:
    """Return the engine of a generalised model of these counts, which fits once."""
    return Engine("laplace", lambda design, reml, near: Counted(design, family, counts, trials), refits=False)


def estimate(design: Design, family: CountFamily, counts: np.ndarray, trials: np.ndarray) -> Estimate:
    """Fit a generalised mixed model; what should be known before it is believed is in ``warnings``.

    Raises
    ------
    FitError
        Without a random term, or when no likelihood can be computed.
    """
    check_random(design, family.name)
    scaled = scaled_design(design)
    laplace = Laplace(family, counts, trials, scaled.X, design.blocks, scaled.blocks)
    with np.errstate(over="ignore", invalid="ignore"):
        parameters = _maximum(laplace)
        hessian, gradient = _curvature(laplace, parameters)
    mode, m = laplace.mode(parameters), int(laplace.ends[-1])
    covariance, notes = _covariance(hessian, gradient, m)
    if np.abs(mode.fixed).max() > _EXTREME:
        notes = [*_separation(design, scaled, counts, trials), *notes]
    roots, effects = laplace.roots(parameters), laplace.split(mode.effects)
    by_block = np.argsort(laplace.order)
    covariances, levels = [], []
    for b, at in enumerate(by_block):
        covariances.append(scaled.covariance(b, roots[at] @ roots[at].T))
        u = effects[at].reshape(laplace.terms[at].levels, -1)
        levels.append(scaled.effects(b, u @ roots[at].T))
    inverse = scaled.inverse_r()
    vcov = inverse @ covariance @ inverse.T
    return Estimate(
        beta=scaled.beta(parameters[m:]),
        sigma=1.0,
        loglik=-laplace(parameters)[0],
        covariances=tuple(covariances),
        converged=not notes,
        vcov=vcov,
        approximate=lambda: Known(vcov, np.inf),
        effects=tuple(levels),
        singular=any(np.abs(np.diag(root)).min() < _SINGULAR_SD for root in roots),
        warnings=tuple(notes),
        theta=parameters[:m],
    )


def check_random(design: Design, family: str) -> None:
    """Raise `FitError` where there is no random term."""
    if not design.blocks:
        raise FitError(
            f"a {family} model needs a random term such as (1 | subject); without one it is no mixed model"
        )


def scaled_design(design: Design) -> Scaled:
    """Return a design in scaled units; there is no response to scale."""
    X, r = orthonormal(design.X)
    blocks = [orthonormal(block.values) for block in design.blocks]
    return Scaled(
        design.y, X, tuple(q for q, _ in blocks), np.zeros(X.shape[1]), 1.0, r, tuple(t for _, t in blocks)
    )


def _maximum(laplace: Laplace) -> np.ndarray:
    """Return the parameters of the largest likelihood.

    The sign of a root's column means nothing, so no bound is needed. At zero a column's gradient is zero, be it the best
    value or the worst: where a search ends there, another one starts beside it.
    """
    diagonal = np.concatenate([rows == columns for rows, columns in laplace.triangles])
    beta = _without_random(laplace)
    scale = scale_of(laplace, beta)
    m = len(diagonal)
    best = descend(laplace, np.concatenate([np.where(diagonal, _START, 0.0), beta]), scale)
    at_zero = np.flatnonzero(diagonal & (np.abs(best.x[:m] / scale[:m]) < _OFF_ZERO))
    if len(at_zero):
        beside = best.x / scale
        beside[at_zero] = _OFF_ZERO
        again = descend(laplace, beside, scale)
        best = again if again.fun < best.fun else best
    parameters = best.x / scale
    signed = [root * np.where(np.diag(root) < 0, -1.0, 1.0) for root in laplace.roots(parameters)]
    parameters[:m] = np.concatenate(
        [root[triangle] for root, triangle in zip(signed, laplace.triangles, strict=True)]
    )
    return parameters


def descend(laplace: Laplace, start: np.ndarray, scale: np.ndarray) -> optimize.OptimizeResult:
    """Minimise half the deviance from ``start``; ``x`` of the result is in units of ``1 / scale``."""

    def objective(scaled: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = laplace(scaled / scale)
        return value, gradient / scale

    laplace.start = np.zeros_like(laplace.start)
    limits = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-5}
    found = optimize.minimize(objective, start * scale, jac=True, method="L-BFGS-B", options=limits)
    if not np.isfinite(found.fun):
        raise FitError("the likelihood cannot be computed on these data; rescale the predictors")
    return found


def scale_of(laplace: Laplace, beta: np.ndarray) -> np.ndarray:
    """Return roots of the curvature to be expected: the information of each coefficient, the levels of each variance."""
    weights = laplace.family.cumulants(laplace.X @ beta, laplace.trials).variance
    theta = [
        np.full(len(rows), np.sqrt(term.levels))
        for (rows, _), term in zip(laplace.triangles, laplace.terms, strict=True)
    ]
    return np.concatenate([*theta, np.sqrt(np.maximum(weights @ laplace.X**2, 1.0))])


def _without_random(laplace: Laplace) -> np.ndarray:
    """Return the coefficients of the model without random effects, by a few steps of least squares: a start."""
    X, counts, family = laplace.X, laplace.counts, laplace.family
    trials = np.where(np.isfinite(laplace.trials), laplace.trials, 1.0)
    share = (counts + 0.5) / (trials + 1)
    eta = np.log(share / (1 - share)) if family.link == "logit" else np.log(counts + 0.5)
    beta = linalg.lstsq(X, eta)[0]
    value = -family.loglik(counts, X @ beta, laplace.trials)
    for _ in range(_GLM_STEPS):
        found = family.cumulants(X @ beta, laplace.trials)
        step = np.linalg.lstsq(X.T @ (found.variance[:, None] * X), X.T @ (counts - found.mean))[0]
        new = -family.loglik(counts, X @ (beta + step), laplace.trials)
        if not new < value - 1e-8:
            break
        beta, value = beta + step, new
        if np.abs(X @ beta).max() > _EXTREME:
            break
    return beta


def _curvature(laplace: Laplace, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Hessian of minus the log-likelihood, by central differences of its gradient, and the gradient."""
    size = len(parameters)
    hessian = np.empty((size, size))
    for at in range(size):
        step = np.zeros(size)
        step[at] = _STEP
        hessian[at] = (laplace(parameters + step)[1] - laplace(parameters - step)[1]) / (2 * _STEP)
    return (hessian + hessian.T) / 2, laplace(parameters)[1]


def _covariance(hessian: np.ndarray, gradient: np.ndarray, m: int) -> tuple[np.ndarray, list[str]]:
    """Return the covariance of the coefficients, and whether the search ended at a maximum."""
    try:
        factor = linalg.cho_factor(hessian, lower=True)
    except (linalg.LinAlgError, ValueError):
        fixed = np.linalg.pinv(hessian[m:, m:], hermitian=True)
        return fixed, [
            "not converged: the likelihood has no maximum at the estimates (its curvature is not negative); "
            "simplify the random part, and do not use these standard errors"
        ]
    inverse = linalg.cho_solve(factor, np.eye(len(hessian)))
    left = float(gradient @ inverse @ gradient) / 2
    notes = []
    if left > _UNFINISHED:
        notes.append(
            f"not converged: the log-likelihood could still rise by about {left:.2g}; z-score the predictors or simplify "
            "the random part"
        )
    return inverse[m:, m:], notes


def _separation(design: Design, scaled: Scaled, counts: np.ndarray, trials: np.ndarray) -> Sequence[str]:
    direction = separating(scaled.X, counts, trials)
    if direction is None:
        return []
    raw = scaled.beta(direction) * np.sqrt(np.mean(design.X**2, axis=0))
    involved = [
        name
        for name, size in zip(design.names, np.abs(raw), strict=True)
        if size > 0.01 * np.abs(raw).max() and name != INTERCEPT
    ]
    named = ", ".join(f"'{name}'" for name in involved) or f"'{INTERCEPT}'"
    return [
        f"separation: {named} tell{'s' * (len(involved) < 2)} some responses without error, so the estimate grows without "
        "end; leave the term out or join levels, and do not use its standard error"
    ]
