"""What a method of approximation says of linear functions of the coefficients, and the F test that rests on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import stats

from clada_neuro.errors import FitError, did_you_mean

_RANK_TOLERANCE = 1e-8

SATTERTHWAITE, KENWARD_ROGER = "satterthwaite", "kenward-roger"
METHODS = [SATTERTHWAITE, KENWARD_ROGER]


def check_df(method: str, reml: bool, mixed: bool = True) -> None:
    """Raise `FitError` for a method of degrees of freedom that is not known or does not apply."""
    if method not in METHODS:
        raise FitError(f"df '{method}' given{did_you_mean(method, METHODS)}; there are {', '.join(METHODS)}")
    if method == KENWARD_ROGER and not (reml and mixed):
        given = "maximum likelihood" if mixed else "least squares"
        raise FitError(
            f"Kenward and Roger's method rests on REML, and the fit is by {given}; use df '{SATTERTHWAITE}'"
        )


class Uncertainty(Protocol):
    """Covariance and degrees of freedom of linear functions of the coefficients, rows of ``contrasts`` (m, p)."""

    @property
    def vcov(self) -> np.ndarray:
        """Return the covariance (p, p) of the coefficients."""

    def df(self, contrasts: np.ndarray) -> np.ndarray:
        """Return the denominator degrees of freedom (m,) of each row's t test."""

    def joint(self, contrasts: np.ndarray) -> tuple[float, float]:
        """Return the factor that an F statistic of linearly independent rows is multiplied by, and its df2."""


Approximate = Callable[[], Uncertainty]


@dataclass(frozen=True, eq=False)
class Known:
    """Degrees of freedom that do not depend on the function: infinite for normal tests, the residual's for least squares."""

    vcov: np.ndarray
    residual: float

    def df(self, contrasts: np.ndarray) -> np.ndarray:
        """Return the same number for each row."""
        return np.full(len(contrasts), self.residual)

    def joint(self, contrasts: np.ndarray) -> tuple[float, float]:
        """Return no change of the statistic, and the number."""
        return 1.0, self.residual


@dataclass(frozen=True)
class FTest:
    """An F test of several linear functions at once; ``df1`` is the number of independent ones."""

    F: float
    df1: int
    df2: float
    p: float


def f_test(uncertainty: Uncertainty, beta: np.ndarray, contrasts: np.ndarray) -> FTest:
    """Test that all rows of ``contrasts`` (m, p) give zero; dependent rows count once."""
    rows = independent(contrasts)
    difference = rows @ beta
    scale, df2 = uncertainty.joint(rows)
    wald = difference @ np.linalg.solve(rows @ uncertainty.vcov @ rows.T, difference)
    F = float(scale * wald / len(rows))
    return FTest(F, len(rows), df2, float(stats.f.sf(F, len(rows), df2)))


def independent(contrasts: np.ndarray) -> np.ndarray:
    """Return the rows, or where they depend on each other, fewer ones that span the same functions."""
    _, singular, rows = np.linalg.svd(contrasts, full_matrices=False)
    kept = singular > _RANK_TOLERANCE * singular[0]
    if len(contrasts) == kept.sum():
        return contrasts  # as they are: Satterthwaite's df2 depends a little on which functions span them
    return singular[kept, None] * rows[kept]
