"""Fitted effects with the raw trials behind them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from clada_neuro.numerals import decimals, fixed, interval
from clada_neuro.reporting.figures import COLORS, POINTS, Figure, draw
from clada_neuro.reporting.labels import axis, is_measure, square, words
from clada_neuro.reporting.tables import slug
from clada_neuro.reporting.text import plural
from clada_neuro.responses.response import Response, response_of

Array = NDArray[np.float64]
_BINS = 10


def figures(fit: Mapping[str, Any], trials: pd.DataFrame) -> list[Figure]:
    """Return each reported effect over raw trials; nothing when it is not known how predictors were scaled.

    The fitted line holds the other predictors at their means and factors at their reference level.
    """
    drawn: list[Figure] = []
    for term in reported_terms(fit) if "standardized" in fit else []:
        parts = term.split(":")
        if not all(part in trials for part in [*parts, response(fit).column]):
            continue
        if len(parts) == 1:
            drawn.append(_main_effect(fit, term, trials))
        elif len(parts) == 2:
            drawn.append(_interaction(fit, parts[0], parts[1], trials))
    return drawn


def response(fit: Mapping[str, Any]) -> Response:
    """Return what a regression explains."""
    return response_of(str(fit.get("response") or fit["formula"].split("~")[0].strip()))


def focal_terms(fit: Mapping[str, Any]) -> list[str]:
    """Return the terms whose direction was registered, in the model's order."""
    named = fit.get("directions") or {}
    return [term for term in fit["coefficients"] if term in named]


def reported_terms(fit: Mapping[str, Any]) -> list[str]:
    """Return the terms a results section speaks of: focal ones, then every other one of the model's measures.

    Controls such as length stay in the coefficient table, squares there too.
    """
    focal = focal_terms(fit)
    others = [
        term
        for term in fit["coefficients"]
        if term not in focal and all(is_measure(part) for part in term.split(":")) and not square(term)
    ]
    return [*focal, *others]


def primary(fits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the fits to draw and to put into words: REML ones; all when none says it is REML."""
    return [fit for fit in fits if fit.get("reml")] or fits


def coefficients(fit: Mapping[str, Any]) -> Figure | None:
    """Draw the fixed effects (intercept apart) with their intervals; nothing for a single one."""
    rows = [(term, values) for term, values in fit["coefficients"].items() if term != "(Intercept)"]
    if len(rows) < 2:
        return None
    focal, slope = focal_terms(fit), response(fit).per(bool(fit.get("standardized")))

    def paint(axes: Axes) -> None:
        for place, (term, values) in enumerate(rows):
            color = COLORS[0] if term in focal else POINTS
            axes.plot([values["ci_low"], values["ci_high"]], [place, place], color=color, linewidth=2)
            axes.plot(values["estimate"], place, "o", color=color, markersize=6)
        axes.axvline(0, color="#374151", linewidth=1, linestyle=(0, (3, 3)))
        axes.set_yticks(range(len(rows)), [words(term) for term, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set(xlabel=f"Estimate ({slope})")

    listed = "; ".join(
        f"{words(term)} {fixed(values['estimate'], decimals(values['se']))}" for term, values in rows
    )
    caption = f"{fit['name']}: fixed effects with 95 % intervals; focal terms in blue."
    size = (5.0, 1.1 + 0.42 * len(rows))
    return draw(f"coefficients_{slug(fit['name'])}", caption, f"{caption} Estimates: {listed}.", paint, size)


def predict(fit: Mapping[str, Any], at: Mapping[str, Array]) -> Array:
    """Return the fixed-effects prediction where predictors take the values ``at`` (in the model's units).

    Every predictor not in ``at`` is 0, its mean when z-scored; factors are at their reference level.
    """
    estimates = np.array([values["estimate"] for values in fit["coefficients"].values()])
    return design(fit, at) @ estimates


def design(fit: Mapping[str, Any], at: Mapping[str, Array]) -> Array:
    """Return the design matrix (n_points, n_coefficients) at the values ``at``, each a number or of shape (n_points,)."""
    points = max(np.size(values) for values in at.values())
    columns = []
    for term in fit["coefficients"]:
        product = np.ones(points)
        for factor in term.split(":"):
            if base := square(factor):
                product = product * at.get(base, np.zeros(points)) ** 2
            elif factor != "(Intercept)":
                product = product * at.get(factor, np.zeros(points))
        columns.append(product)
    return np.column_stack(columns)


def band(fit: Mapping[str, Any], term: str, at: Mapping[str, Array]) -> tuple[Array, Array, str]:
    """Return the 95 % limits of the fitted line at the values ``at``, and what they are.

    With the coefficients' covariance the limits are those of the line; otherwise those of the slope alone.
    """
    line, values, x = predict(fit, at), fit["coefficients"][term], at[term]
    if fit.get("vcov") is None:
        low, high = (line + (values[bound] - values["estimate"]) * x for bound in ("ci_low", "ci_high"))
        return np.minimum(low, high), np.maximum(low, high), "95 % interval of b"
    rows = design(fit, at)
    critical = (values["ci_high"] - values["estimate"]) / values["se"]
    half = critical * np.sqrt(np.einsum("ij,jk,ik->i", rows, np.asarray(fit["vcov"], float), rows))
    return line - half, line + half, "95 % confidence band"


def _scale(fit: Mapping[str, Any], name: str) -> tuple[float, float]:
    scale = (fit.get("standardized") or {}).get(name)
    return (scale["mean"], scale["sd"]) if scale else (0.0, 1.0)


def _centers(fit: Mapping[str, Any], rows: pd.DataFrame) -> dict[str, Array]:
    """Return the means of the numeric predictors that were not z-scored."""
    factors = {factor for term in fit["coefficients"] for factor in term.split(":")}
    return {
        name: np.array(rows[name].mean())
        for name in sorted(factors & set(map(str, rows.columns)) - set(fit["standardized"]))
        if pd.api.types.is_numeric_dtype(rows[name])
    }


def _main_effect(fit: Mapping[str, Any], term: str, trials: pd.DataFrame) -> Figure:
    measured = response(fit)
    name, amplitude = term, measured.column
    rows = trials.dropna(subset=[name, amplitude])
    mean, sd = _scale(fit, term)
    grid = np.linspace(rows[name].min(), rows[name].max(), 80)
    at = {**_centers(fit, rows), term: (grid - mean) / sd}
    line, values = predict(fit, at), fit["coefficients"][term]
    low, high, limits = band(fit, term, at)
    binned = binned_means(rows, name, amplitude)

    def paint(axes: Axes) -> None:
        _stimuli(axes, rows, name, amplitude)
        axes.fill_between(grid, low, high, color=COLORS[0], alpha=0.25, linewidth=0)
        axes.plot(grid, line, color=COLORS[0], linewidth=2, label=f"fit, {limits}")
        axes.plot(binned[name], binned[amplitude], "s", color=COLORS[1], markersize=5, label="bins of trials")
        axes.set(xlabel=axis(name), ylabel=measured.axis)
        axes.legend(loc="best")

    slope = _slope(measured, values, bool((fit.get("standardized") or {}).get(term)))
    caption = (
        f"{fit['name']}: {words(term)}, {slope}. Gray: means of single stimuli; squares: means of {len(binned)} equal "
        f"bins of {plural(len(rows), 'trial')}, raw and not adjusted for the other terms."
    )
    alt = f"{_capital(measured.name)} against {words(term)}: {slope}, with raw means of stimuli and of trial bins."
    return draw(f"effect_{slug(fit['name'])}_{slug(term)}", caption, alt, paint)


def _interaction(fit: Mapping[str, Any], first: str, second: str, trials: pd.DataFrame) -> Figure:
    measured = response(fit)
    name, by, amplitude = first, second, measured.column
    rows = trials.dropna(subset=[name, by, amplitude])
    mean, sd = _scale(fit, first)
    low, high = np.quantile(rows[name], [0.02, 0.98])
    grid = np.linspace(low, high, 80)
    z = (grid - mean) / sd
    thirds = pd.qcut(rows[by].rank(method="first"), 3, labels=False)
    center, spread = (0.0, 1.0) if by in fit["standardized"] else (rows[by].mean(), rows[by].std())
    levels = (("low (−1 SD)", center - spread), ("mean", center), ("high (+1 SD)", center + spread))

    def paint(axes: Axes) -> None:
        for place, (label, level) in enumerate(levels):
            color, style = COLORS[(0, 7, 3)[place]], ("-", "--", ":")[place]
            axes.plot(
                grid,
                predict(fit, {**_centers(fit, rows), first: z, second: np.array(level)}),
                style,
                color=color,
                label=label,
            )
            binned = binned_means(rows[thirds == place], name, amplitude, bins=6)
            axes.plot(binned[name], binned[amplitude], "os^"[place], color=color, markersize=5)
        axes.set(xlabel=axis(name), ylabel=measured.axis)
        axes.legend(title=_capital(words(by)), title_fontsize=9.5)

    term = f"{first}:{second}" if f"{first}:{second}" in fit["coefficients"] else f"{second}:{first}"
    values = fit["coefficients"][term]
    slope = _slope(measured, values, all(part in (fit["standardized"] or {}) for part in (first, second)))
    caption = (
        f"{fit['name']}: {words(term)}, {slope}. Lines: fit at three values of {words(by)}; "
        f"marks: raw means of trial bins in thirds of {words(by)}."
    )
    return draw(f"effect_{slug(fit['name'])}_{slug(term)}", caption, f"Interaction plot. {caption}", paint)


def _slope(measured: Response, values: Mapping[str, Any], scaled: bool) -> str:
    """Return ``b = −0.91 µV per SD [−1.31, −0.51]``."""
    digits = decimals(values["se"])
    estimate = f"{fixed(values['estimate'], digits)} {measured.per(scaled)}"
    return f"b = {estimate} {interval(values['ci_low'], values['ci_high'], digits)}"


def binned_means(rows: pd.DataFrame, name: str, amplitude: str, bins: int = _BINS) -> pd.DataFrame:
    """Return mean predictor and amplitude in bins of equally many trials (ties stay together)."""
    codes = pd.qcut(rows[name], bins, labels=False, duplicates="drop")
    return rows.groupby(codes)[[name, amplitude]].mean()


def _stimuli(axes: Axes, rows: pd.DataFrame, name: str, amplitude: str) -> None:
    key = "stimulus" if "stimulus" in rows else "stimulus_id"
    means = rows.groupby(key)[[name, amplitude]].mean()
    axes.scatter(
        means[name],
        means[amplitude],
        s=11,
        color=POINTS,
        alpha=0.55,
        linewidths=0,
        rasterized=len(means) > 3000,
        label="single stimuli",
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
