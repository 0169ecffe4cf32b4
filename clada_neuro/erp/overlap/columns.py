"""The columns of the expanded design: which predictor and which moment each stands for, and the basis over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.interpolate import BSpline

from clada_neuro.erp.overlap.events import EventCoding
from clada_neuro.errors import DataError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns that are estimated, and how responses at every sample are made of them.

    Attributes
    ----------
    names
        ``event/predictor`` of each response, in order.
    lags
        For each response its first lag and number of lags, in samples.
    of
        For each column the number of its response.
    times
        For each column the second at which it stands, for a spline that of its peak.
    basis
        Shape (n_samples_of_all_responses, n_columns); the identity for FIR responses.
    plain
        Whether all responses are FIR, so that the basis need not be applied.
    """

    names: tuple[str, ...]
    lags: tuple[tuple[int, int], ...]
    of: NDArray[np.int64]
    times: Array
    basis: sparse.csr_array
    plain: bool

    def at_samples(self, estimated: Array) -> Array:
        """Return responses at every sample, shape (n_samples, n_channels), from (n_columns, n_channels)."""
        return estimated if self.plain else self.basis @ estimated

    def summed(self, at_samples: Array) -> Array:
        """Return sums over samples, shape (n_samples, …), as sums over the columns that are estimated, (n_columns, …)."""
        return at_samples if self.plain else self.basis.T @ at_samples

    def described(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> str:
        """Return the chosen columns as text: ``word/surprisal_bits (400 to 1100 ms)``."""
        parts = []
        for number in np.unique(self.of[which]):
            times = 1e3 * self.times[which][self.of[which] == number]
            span = f"{times.min():.0f} to {times.max():.0f} ms" if len(times) > 1 else f"{times[0]:.0f} ms"
            parts.append(f"{self.names[number]} ({span})")
        more = f" and {len(parts) - 4} more" if len(parts) > 4 else ""
        return ", ".join(parts[:4]) + more


def columns_of(codings: Sequence[EventCoding], sfreq: float) -> Columns:
    """Return the columns of all models at a sampling rate, Hz."""
    names: list[str] = []
    lags, of, times, bases = [], [], [], []
    for coding in codings:
        first, last = round(coding.model.tmin * sfreq), round(coding.model.tmax * sfreq)
        seconds = np.arange(first, last + 1) / sfreq
        basis = _basis(coding, seconds)
        for name in coding.names:
            of += [len(names)] * basis.shape[1]
            names.append(f"{coding.model.event}/{name}")
            lags.append((first, len(seconds)))
            times.append(seconds[basis.argmax(axis=0)])
            bases.append(sparse.csr_array(basis))
    plain = all(coding.model.splines is None for coding in codings)
    joined = sparse.csr_array(sparse.block_diag(bases, format="csr"))
    return Columns(tuple(names), tuple(lags), np.array(of), np.concatenate(times), joined, plain)


def _basis(coding: EventCoding, seconds: Array) -> Array:
    """Return the basis over time, shape (n_lags, n_columns): unit impulses, or cubic B-splines with even knots."""
    number = coding.model.splines
    if number is None:
        return np.eye(len(seconds))
    if number > len(seconds):
        raise DataError(
            f"event '{coding.model.event}': {number} splines over {len(seconds)} samples; leave splines out to estimate "
            "every sample"
        )
    inner = np.linspace(seconds[0], seconds[-1], number - 2)
    knots = np.r_[[seconds[0]] * 3, inner, [seconds[-1]] * 3]
    return BSpline.design_matrix(seconds, knots, 3).toarray()
