"""The curve of a smooth in the units of its data, with intervals at each point and a band for all points at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.smooths.columns import Smooth
from clada_neuro.stats.smooths.posterior import Posterior

CONFIDENCE = 0.95
_POINTS, _POINTS_OF_TWO = 100, 21
_DRAWS, _SEED = 10_000, 0

At = Sequence[float] | Mapping[str, Sequence[float]]


def curve(fit: Fitted, name: str, at: At | None = None) -> pd.DataFrame:
    """Return a smooth's values, which have mean zero over the rows of the fit.

    Parameters
    ----------
    name
        The smooth as the formula has it, ``s(surprisal_bits)``, or its column; a measure's column without its unit too.
    at
        Values of the column in its own units, for a tensor product ``{"a": […], "b": […]}`` of equal lengths; otherwise
        100 values over the range, or 21 by 21.

    Returns
    -------
    DataFrame
        The columns of the smooth (and of its ``by`` factor, with rows for each level), estimate, se, ci_low and ci_high (95 % at
        each point), band_low and band_high (95 % for the whole curve over the range of the data; Ruppert, Wand & Carroll 2003).
        Standard errors are Bayesian, given the smoothing parameters, as mgcv's.

    Raises
    ------
    FitError
        For a name that no smooth has, and values that are not numbers.
    """
    return pd.concat([_curve(fit, smooth, at) for smooth in named(fit, name)], ignore_index=True)


def named(fit: Fitted, name: str) -> list[Smooth]:
    """Return the smooths that a name means: one, or those of all levels of a factor."""
    smooths = fit.design.smooths
    for means in (_is_labelled, _has_column, _has_measure):
        found = [smooth for smooth in smooths if means(smooth, name)]
        if len({smooth.shape.term for smooth in found}) == 1:
            return found
    known = list(dict.fromkeys(smooth.label for smooth in smooths))
    if not known:
        raise FitError(f"'{fit.formula}' has no smooth; write … + s({name}) in place of {name}")
    raise FitError(
        f"no smooth '{name}' in '{fit.formula}'{did_you_mean(name, known)}; there are {', '.join(known)}"
    )


def functions_of(fit: Fitted, smooth: Smooth) -> np.ndarray:
    """Return the positions of a smooth's lines and functions among all coefficients."""
    first = fit.design.X.shape[1]
    for other in fit.design.smooths:
        if other is smooth:
            break
        first += other.functions.shape[1]
    lines = [fit.design.names.index(name) for name in smooth.line_names]
    return np.r_[lines, np.arange(first, first + smooth.functions.shape[1])]


def posterior_of(fit: Fitted) -> Posterior:
    """Return what the fit knows of its smooths."""
    assert fit.estimate.smooths is not None
    return fit.estimate.smooths


def _is_labelled(smooth: Smooth, name: str) -> bool:
    plain = "".join(name.split())
    return plain in ("".join(smooth.label.split()), "".join(smooth.shape.term.label.split()))


def _has_column(smooth: Smooth, name: str) -> bool:
    return name in smooth.shape.term.variables


def _has_measure(smooth: Smooth, name: str) -> bool:
    return any(column.startswith(f"{name}_") for column in smooth.shape.term.variables)


def _curve(fit: Fitted, smooth: Smooth, at: At | None) -> pd.DataFrame:
    where = _grid(fit, smooth) if at is None else _given(smooth, at)
    rows, coefs = _weights(fit, smooth, where), functions_of(fit, smooth)
    known = posterior_of(fit)
    vcov = known.vcov[np.ix_(coefs, coefs)]
    estimate = rows @ fit.all_coefficients[coefs]
    se = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", rows, vcov, rows), 0))
    half, wide = stats.norm.ppf((1 + CONFIDENCE) / 2) * se, _critical(fit, smooth, vcov) * se
    by = {smooth.shape.term.by: smooth.level} if smooth.shape.term.by else {}
    return where.assign(
        **by,
        estimate=estimate,
        se=se,
        ci_low=estimate - half,
        ci_high=estimate + half,
        band_low=estimate - wide,
        band_high=estimate + wide,
    )


def _weights(fit: Fitted, smooth: Smooth, where: pd.DataFrame) -> np.ndarray:
    """Return the values of a smooth's lines and functions at values in the data's own units."""
    scales = [fit.standardized.get(name, (0.0, 1.0)) for name in where]
    values = (where.to_numpy(float) - [mean for mean, _ in scales]) / [sd for _, sd in scales]
    return np.column_stack(smooth.shape.at(values))


def _critical(fit: Fitted, smooth: Smooth, vcov: np.ndarray) -> float:
    """Return the quantile of the largest absolute standardized deviation over the range."""
    rows = _weights(fit, smooth, _grid(fit, smooth))
    # By the curve's own covariance, in a fixed direction: the same draws whatever the units of the data.
    values, vectors = np.linalg.eigh(rows @ vcov @ rows.T)
    values, vectors = values[-rows.shape[1] :], vectors[:, -rows.shape[1] :]
    turned = np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0))
    root = vectors * turned * np.sqrt(np.maximum(values, 0))
    root /= np.maximum(np.linalg.norm(root, axis=1), np.finfo(float).tiny)[:, None]
    draws = np.random.default_rng(_SEED).standard_normal((_DRAWS, root.shape[1]))
    return float(np.quantile(np.abs(draws @ root.T).max(axis=1), CONFIDENCE))


def _grid(fit: Fitted, smooth: Smooth) -> pd.DataFrame:
    ranges = []
    for name in smooth.shape.term.variables:
        mean, sd = fit.standardized.get(name, (0.0, 1.0))
        values = mean + sd * fit.model.data[name].to_numpy(float)
        ranges.append((values.min(), values.max()))
    points = _POINTS if len(ranges) == 1 else _POINTS_OF_TWO
    crossed = np.meshgrid(*(np.linspace(low, high, points) for low, high in ranges), indexing="ij")
    return pd.DataFrame(
        {name: values.ravel() for name, values in zip(smooth.shape.term.variables, crossed, strict=True)}
    )


def _given(smooth: Smooth, at: At) -> pd.DataFrame:
    names = smooth.shape.term.variables
    columns: Any = at if isinstance(at, Mapping) else {names[0]: at}
    if set(columns) != set(names):
        raise FitError(
            f"at gives {', '.join(columns) or 'nothing'}, and {smooth.label} needs values of {' and '.join(names)}"
        )
    try:
        values = {name: np.atleast_1d(np.asarray(columns[name], dtype=float)) for name in names}
    except (TypeError, ValueError):
        raise FitError(f"at = {at!r} of {smooth.label} is not numbers") from None
    if len({len(value) for value in values.values()}) > 1 or not all(
        np.isfinite(v).all() for v in values.values()
    ):
        raise FitError(f"at of {smooth.label} needs equally many numbers of {' and '.join(names)}")
    return pd.DataFrame(values)
