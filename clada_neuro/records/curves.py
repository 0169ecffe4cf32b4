"""How an effect bends, in an entry of ``fits.json``: smooths of the model, smooths beside straight lines, residuals in bins."""

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from clada_neuro.records.record import Part

NORMAL_95 = NormalDist().inv_cdf(0.975)


class Bin(Part, frozen=True, kw_only=True):
    """The mean residual in a bin of a predictor, with its 95 % interval."""

    predictor: float | None
    residual: float | None
    se: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None


class SmoothRecord(Part, frozen=True, kw_only=True):
    """A smooth: its term as mgcv reads it, effective degrees of freedom, tests against zero and the straight line.

    ``curve`` holds columns of equal lengths: the smooth's own, estimate, se, and both ends of the interval (``ci_``) and of the
    simultaneous band (``band_``).
    """

    smooth: str
    term: str
    kind: str
    variables: list[str]
    k: list[int]
    basis: str
    by: str = ""
    level: str = ""
    edf: float
    ref_df: float | None
    F: float | None
    p: float | None
    lrt: float
    p_line: float
    curve: dict[str, list[float | str | None]]


class Curve(Part, frozen=True, kw_only=True):
    """A smooth in place of a predictor's straight effect, tested against the line (`p_line`); edf 1 is a line.

    At the values ``x``, in the predictor's own unit: both ends of the 95 % band of the whole curve, and the straight effect.
    """

    term: str
    edf: float
    lrt: float
    p_line: float
    x: list[float]
    estimate: list[float]
    se: list[float]
    ci_low: list[float]
    ci_high: list[float]
    band_low: list[float]
    band_high: list[float]
    line: list[float]
    deciles: list[float]


def with_interval(bin: Mapping[str, Any]) -> dict[str, Any]:
    """Return a bin of version 1, which had no interval, as one of this."""
    if None in (bin["se"], bin["residual"]):
        return dict(bin)
    half = NORMAL_95 * bin["se"]
    return {"ci_low": bin["residual"] - half, "ci_high": bin["residual"] + half, **bin}
