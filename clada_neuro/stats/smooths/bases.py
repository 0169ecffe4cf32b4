"""Spline bases of one variable with their wiggliness penalty ∫ f''² diagonal: mgcv's "tp" and "cr" (Wood 2017, §5.3, §5.5).

A basis is made of functions that are penalized, each on its own, and of the straight lines, which are not. Coordinates are
standardized inside, so that a curve does not depend on the units of its variable.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.sparse.linalg import eigsh

# More distinct values than this are thinned before thin plate functions are made of them, as in mgcv.
_MOST_KNOTS = 2000
# Rows times knots that are held in memory at once.
_AT_ONCE = 5_000_000


class Basis(Protocol):
    """Functions of a variable whose penalty is a weighted sum of squared coefficients."""

    @property
    def penalties(self) -> np.ndarray:
        """Return the penalties (m,) of the penalized functions."""

    def penalized(self, x: np.ndarray) -> np.ndarray:
        """Return the penalized functions at ``x`` (n,), shape (n, m)."""


@dataclass(frozen=True, eq=False)
class ThinPlate:
    """The ``k`` leading eigenfunctions of the full thin plate spline's penalty, two of them straight lines (Wood 2003)."""

    center: float
    scale: float
    knots: np.ndarray
    weights: np.ndarray  # (n_knots, m): coefficients of |x - knot|³ / 12
    penalties: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, k: int) -> "ThinPlate":
        """Make the basis from the values of a variable."""
        center, scale = float(x.mean()), float(x.std())
        knots = np.unique((x - center) / scale)
        if len(knots) > _MOST_KNOTS:
            knots = knots[np.linspace(0, len(knots) - 1, _MOST_KNOTS).round().astype(int)]
        distances = _cubes(knots, knots)
        if len(knots) <= k + 1:  # all of them, which Lanczos' method does not give
            values, vectors = np.linalg.eigh(distances)
            largest = np.argsort(-np.abs(values))[:k]
            values, vectors = values[largest], vectors[:, largest]
        else:
            values, vectors = eigsh(distances, k=k, v0=np.ones(len(knots)))
        lines = np.column_stack([np.ones(len(knots)), knots])
        apart = np.linalg.qr(vectors.T @ lines, mode="complete")[0][:, 2:]
        penalties, turned = np.linalg.eigh((apart.T * values) @ apart)
        return cls(center, scale, knots, vectors @ apart @ turned, penalties)

    def penalized(self, x: np.ndarray) -> np.ndarray:
        """Return the penalized functions at ``x``."""
        values, inverse = np.unique((x - self.center) / self.scale, return_inverse=True)
        parts = np.array_split(values, 1 + len(values) * len(self.knots) // _AT_ONCE)
        return np.concatenate([_cubes(part, self.knots) @ self.weights for part in parts])[inverse]


@dataclass(frozen=True, eq=False)
class CubicRegression:
    """A natural cubic spline through its values at ``k`` knots, which are quantiles of the distinct values."""

    center: float
    scale: float
    knots: np.ndarray
    weights: np.ndarray  # (k, m): values at the knots of the penalized functions, of length one each
    penalties: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, k: int) -> "CubicRegression":
        """Make the basis from the values of a variable."""
        center, scale = float(x.mean()), float(x.std())
        knots = np.quantile(np.unique((x - center) / scale), np.linspace(0, 1, k))
        bends, gaps = _natural(knots).derivative(2)(knots), np.diff(knots)
        # The second derivative is linear between knots: its square's integral from its values there.
        mass = np.diag(np.r_[gaps, 0] + np.r_[0, gaps]) / 3 + (np.diag(gaps, 1) + np.diag(gaps, -1)) / 6
        penalties, vectors = np.linalg.eigh(bends.T @ mass @ bends)
        return cls(center, scale, knots, vectors[:, 2:], penalties[2:])

    def penalized(self, x: np.ndarray) -> np.ndarray:
        """Return the penalized functions at ``x``."""
        z, spline = (x - self.center) / self.scale, _natural(self.knots)
        inside = np.clip(z, self.knots[0], self.knots[-1])
        values = spline(inside) + (z - inside)[:, None] * spline.derivative()(inside)
        return np.asarray(values) @ self.weights

    def line(self, x: np.ndarray) -> np.ndarray:
        """Return the line through the origin whose values at the knots have length one, orthogonal to a constant's."""
        at = self.knots - self.knots.mean()
        return ((x - self.center) / self.scale - self.knots.mean()) / np.linalg.norm(at)


def _natural(knots: np.ndarray) -> CubicSpline:
    return CubicSpline(knots, np.eye(len(knots)), bc_type="natural")


def _cubes(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    return np.abs(x[:, None] - knots) ** 3 / 12
