"""Natural cubic splines as R's ``splines::ns`` makes them: the same columns, so the same coefficients."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.utils.stateful_transforms import stateful_transform
from scipy.interpolate import BSpline

from clada_neuro.errors import FitError


@stateful_transform
def ns(
    x: Any,
    df: int | None = None,
    knots: Sequence[float] | None = None,
    Boundary_knots: Sequence[float] | None = None,
    _state: dict[str, Any] | None = None,
) -> FactorValues:
    """Return the basis of a natural cubic spline without intercept: cubic inside the boundary knots, linear beyond.

    Inner knots are quantiles of ``x``, one less than ``df``, unless given.
    """
    x, state = np.asarray(x, dtype=float), {} if _state is None else _state
    if "inner" not in state:
        low, high = (x.min(), x.max()) if Boundary_knots is None else sorted(Boundary_knots)
        state["boundary"] = (float(low), float(high))
        state["inner"] = _inner(x[(x >= low) & (x <= high)], df, knots)
    low, high = state["boundary"]
    padded = np.r_[[low] * 4, state["inner"], [high] * 4]
    spline = BSpline(padded, np.eye(len(padded) - 4), 3)
    # Without the first function, what is left has no second derivative at the ends in the last columns of Q.
    bent = spline.derivative(2)([low, high])[:, 1:]
    straight = np.linalg.qr(bent.T, mode="complete")[0][:, 2:]
    at = np.clip(x, low, high)
    basis = (spline(at) + (x - at)[:, None] * spline.derivative()(at))[:, 1:] @ straight
    return FactorValues(basis, column_names=tuple(range(1, basis.shape[1] + 1)))


def _inner(x: np.ndarray, df: int | None, knots: Sequence[float] | None) -> np.ndarray:
    if knots is not None:
        return np.sort(np.asarray(knots, dtype=float))
    if df is not None and (not isinstance(df, int) or df < 1):
        raise FitError(f"ns() with df = {df}; a whole number from 1 on expected")
    return np.quantile(x, np.linspace(0, 1, (df or 1) + 1)[1:-1])
