"""The seam between a model and what fits it, and the rescaling that keeps every engine's numbers near one.

An engine's file declares an `Engine`: its name, and how it takes in a design. What it took in can be estimated and, by an
engine that says so, fitted again and again, as resampling does. A fit carries its engine; nothing else knows which it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module

import numpy as np
from scipy import linalg

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.design import Design
from clada_neuro.stats.engines import DEFAULT, ENGINES
from clada_neuro.stats.smooths.posterior import Posterior
from clada_neuro.stats.uncertainty.base import Approximate


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


class Prepared(ABC):
    """A design that an engine has taken in once."""

    @abstractmethod
    def estimate(self) -> Estimate:
        """Fit the design's own response, with what a report needs."""

    def refit(self, y: np.ndarray | None = None, start: np.ndarray | None = None) -> Quick:
        """Fit the response ``y`` (its own when None) from ``start``, a `theta`, or from the engine's own start.

        Only of an engine that refits.
        """
        raise NotImplementedError

    def restart(self, ratios: Sequence[np.ndarray]) -> Estimate | None:
        """Fit from another model's variances, or return None where the engine takes no start.

        ``ratios`` holds one (k, k) array a block of the design: its covariances over the residual variance.
        """
        return None


@dataclass(frozen=True)
class Engine:
    """What fits a linear mixed model.

    Attributes
    ----------
    name : str
    take : callable
        Takes in a design, whether the likelihood is restricted, and the `theta` of the design's own fit, near which refits of
        other responses start, or None; returns it `Prepared`.
    refits : bool
        Whether `Prepared.refit` fits other responses.
    smooths : bool
        Whether designs may have smooths.
    """

    name: str
    take: Callable[[Design, bool, np.ndarray | None], Prepared]
    refits: bool = True
    smooths: bool = False

    def estimate(self, design: Design, reml: bool) -> Estimate:
        """Fit a design once."""
        if design.smooths and not self.smooths:
            raise FitError(f"engine '{self.name}' fits no smooths; leave the engine out")
        return self.take(design, reml, None).estimate()

    def prepare(self, design: Design, reml: bool, near: np.ndarray | None = None) -> Prepared:
        """Return a design ready to be fitted any number of times.

        Raises
        ------
        FitError
            As `check_refits`.
        """
        self.check_refits(design)
        return self.take(design, reml, near)

    def check_refits(self, design: Design) -> None:
        """Raise `FitError`, before any work, for an engine that does not refit and for smooths, which none refits."""
        if not self.refits:
            raise FitError(
                f"engine '{self.name}' does not refit, which bootstrap, cross-validation and leaving levels out need; "
                f"fit with engine '{DEFAULT}'"
            )
        if design.smooths:
            raise FitError(
                f"models with smooths ({design.smooths[0].label}) are not refitted to other rows or responses; use ns(x, df = 3)"
            )


def engine_of(name: str) -> Engine:
    """Return the engine of a name.

    Raises
    ------
    FitError
        For a name that is not an engine's.
    """
    if name not in ENGINES:
        raise FitError(
            f"no engine '{name}'{did_you_mean(name, list(ENGINES))}; there are {', '.join(ENGINES)}"
        )
    return import_module(ENGINES[name]).ENGINE


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
