"""Satterthwaite's degrees of freedom (Giesbrecht & Burns 1985; Fai & Cornelius 1996 for F tests; lmerTest).

df = 2 (l'Vl)² / Var(l'Vl),   Var by the delta method over the parameters of the covariance
"""

from dataclasses import dataclass

import numpy as np

_EQUAL = 1e-8


@dataclass(frozen=True, eq=False)
class Satterthwaite:
    """``vcov`` (p, p), its derivatives (k, p, p) by k parameters, and these parameters' covariance (k, k).

    Degrees of freedom are at least 1 and at most ``most``, the residual's.
    """

    vcov: np.ndarray
    slopes: np.ndarray
    spread: np.ndarray
    most: float

    def df(self, contrasts: np.ndarray) -> np.ndarray:
        """Return one value for each row of ``contrasts`` (m, p)."""
        variance = np.einsum("ij,jk,ik->i", contrasts, self.vcov, contrasts)
        gradient = np.einsum("ij,njk,ik->in", contrasts, self.slopes, contrasts) / variance[:, None]
        relative = np.einsum("in,nm,im->i", gradient, self.spread, gradient)
        return np.clip(2 / np.maximum(relative, 2 / self.most), 1, self.most)

    def joint(self, contrasts: np.ndarray) -> tuple[float, float]:
        """Return df2 from those of the uncorrelated functions that the rows are made of."""
        _, vectors = np.linalg.eigh(contrasts @ self.vcov @ contrasts.T)
        single = self.df(vectors.T @ contrasts)
        if np.ptp(single) < _EQUAL:
            return 1.0, float(single.mean())
        if (single <= 2).any():
            return 1.0, 2.0
        expected = (single / (single - 2)).sum()
        return 1.0, float(2 * expected / (expected - len(single)))
