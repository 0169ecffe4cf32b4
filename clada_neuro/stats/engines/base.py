"""The interface of an engine, and the rescaling that keeps every engine's numbers near one.

An engine is a module with ``estimate(design, reml)``. One that can fit a design again and again, as resampling does,
also has ``prepare(design, reml, near)``; one that can be started from another model's variances has
``restart(design, reml, ratios)``. Nothing outside the engine knows how.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Protocol

import numpy as np
from scipy import linalg

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.design import Design
from clada_neuro.stats.smooths.posterior import Posterior
from clada_neuro.stats.uncertainty.base import Approximate

_ENGINES = {
    "mixedlm": "clada_neuro.stats.engines.mixedlm",
    "statsmodels": "clada_neuro.stats.engines.statsmodels",
    "lme4": "clada_neuro.stats.engines.lme4",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Quick:
    """The part of an estimate that resampling needs, in the data's own units.

    ``beta`` (p,); ``covariances`` one (k, k) array a block; ``theta`` where a later fit can start, empty when the
    engine takes no start.
    """

    beta: np.ndarray
    sigma: float
    loglik: float
    covariances: tuple[np.ndarray, ...]
    converged: bool
    theta: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimate(Quick):
    """What an engine returns of a fit that is reported.

    ``vcov`` (p, p); ``approximate()`` the degrees of freedom of its linear functions (computed on demand, because
    comparisons of models do not need them); ``effects`` one (n_levels, k) array a block; ``smooths`` what is known of
    smooths where the design has some.
    """

    vcov: np.ndarray
    approximate: Approximate
    effects: tuple[np.ndarray, ...]
    singular: bool
    warnings: tuple[str, ...] = ()
    smooths: Posterior | None = None


class Prepared(Protocol):
    """A design that an engine has taken in once, to be fitted any number of times."""

    def refit(self, y: np.ndarray | None = None, start: np.ndarray | None = None) -> Quick:
        """Fit the response ``y`` (its own when None) from ``start``, a `theta`, or from the engine's own start."""


def estimator(name: str, smooths: bool = False) -> Callable[[Design, bool], Estimate]:
    """Return the function ``estimate(design, reml)`` of an engine, for a design with ``smooths`` that of `smooth`.

    Raises
    ------
    FitError
        For a name that is not an engine's.
    """
    if smooths and name == "mixedlm":
        return import_module("clada_neuro.stats.engines.smooth").estimate
    if smooths:
        raise FitError(f"engine '{name}' fits no smooths; leave the engine out")
    return _module(name).estimate


class Preparer(Protocol):
    """Takes in a design; ``near`` is the `theta` of its own fit, near which refits of other responses start."""

    def __call__(self, design: Design, reml: bool, near: np.ndarray | None = None) -> Prepared:
        """Return the design, ready to be fitted."""


def preparer(name: str) -> Preparer:
    """Return the function ``prepare(design, reml, near)`` of an engine.

    Raises
    ------
    FitError
        For an engine that does not refit.
    """
    found = getattr(_module(name), "prepare", None)
    if found is None:
        raise FitError(
            f"engine '{name}' does not refit, which bootstrap, cross-validation and leaving levels out need; "
            "fit with engine 'mixedlm'"
        )
    return found


def restarter(name: str) -> Callable[[Design, bool, Sequence[np.ndarray]], Estimate] | None:
    """Return the function ``restart(design, reml, ratios)`` of an engine, None where it takes no start.

    ``ratios`` holds one (k, k) array a block of the design: its covariances over the residual variance.
    """
    return getattr(_module(name), "restart", None)


def _module(name: str) -> ModuleType:
    if name not in _ENGINES:
        raise FitError(
            f"no engine '{name}'{did_you_mean(name, list(_ENGINES))}; there are {', '.join(_ENGINES)}"
        )
    return import_module(_ENGINES[name])


@dataclass(frozen=True, eq=False)
class Scaled:
    """A model in units where every column has mean square 1 and columns of one matrix are orthogonal.

    X = Q R and each block's values = Q_b R_b with Q'Q = n I; y = X b0 + s y~. Fits are invariant to this (a
    correlated block spans the same space), optimizers are not: raw scales made one stop early in silence.
    """

    y: np.ndarray
    X: np.ndarray
    blocks: tuple[np.ndarray, ...]
    shift: np.ndarray
    scale: float
    r: np.ndarray
    block_rs: tuple[np.ndarray, ...]

    def response(self, y: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Bring another response of the same design into the scaled units."""
        return (y - X @ self.shift) / self.scale

    def beta(self, gamma: np.ndarray) -> np.ndarray:
        """Return coefficients in the data's units."""
        return self.shift + self.scale * linalg.solve_triangular(self.r, gamma)

    def inverse_r(self) -> np.ndarray:
        """Return R^-1: row j holds the contrast of scaled coefficients that is coefficient j."""
        return linalg.solve_triangular(self.r, np.eye(len(self.r)))

    def covariance(self, block: int, scaled: np.ndarray) -> np.ndarray:
        """Return a block's covariance matrix in the data's units."""
        inverse = linalg.solve_triangular(self.block_rs[block], np.eye(len(scaled)))
        return self.scale**2 * inverse @ scaled @ inverse.T

    def effects(self, block: int, scaled: np.ndarray) -> np.ndarray:
        """Return a block's random effects (n_levels, k) in the data's units."""
        return self.scale * linalg.solve_triangular(self.block_rs[block], scaled.T).T

    def loglik(self, scaled: float, reml: bool) -> float:
        """Return the (restricted) log-likelihood in the data's units."""
        n, p = self.X.shape
        if not reml:
            return scaled - n * np.log(self.scale)
        return scaled - (n - p) * np.log(self.scale) - np.log(np.diag(self.r)).sum()


def rescale(design: Design) -> Scaled:
    """Return ``design`` in scaled units."""
    X, r = orthonormal(design.X)
    blocks = [orthonormal(block.values) for block in design.blocks]
    shift = linalg.solve_triangular(r, X.T @ design.y / len(design.y))
    residual = design.y - design.X @ shift
    scale = float(np.sqrt(np.mean(residual**2)))
    if scale <= 1e-12 * max(float(np.std(design.y)), np.finfo(float).tiny):
        raise FitError("the fixed effects fit the response without error; nothing is left for random effects")
    return Scaled(
        residual / scale, X, tuple(q for q, _ in blocks), shift, scale, r, tuple(t for _, t in blocks)
    )


def orthonormal(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Q and upper-triangular R with columns = Q R, Q'Q = n I and a positive diagonal of R."""
    q, r = np.linalg.qr(columns)
    sign = np.where(np.diag(r) < 0, -1.0, 1.0)
    root = np.sqrt(len(columns))
    return np.ascontiguousarray(q * sign * root), (r.T * sign).T / root
