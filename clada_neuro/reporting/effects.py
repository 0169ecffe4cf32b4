"""Fitted effects with the raw trials behind them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from clada_neuro.numerals import decimals, fixed, interval
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.overview import Binned, OverviewRecord
from clada_neuro.records.terms import contrast, factors, square
from clada_neuro.reporting import levels, marginal, smooths
from clada_neuro.reporting.figures import COLORS, POINTS, Figure, draw, wrapped
from clada_neuro.reporting.labels import axis, is_measure, words
from clada_neuro.reporting.page_tables import slug
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.scales import response, shown, slope
from clada_neuro.reporting.text import plural

Array = NDArray[np.float64]


def figures(fit: FitRecord, results: Results) -> list[Figure]:
    """Return each reported effect whose fitted line the fit holds, over raw trials.

    The line holds the other predictors at their means and factors at their reference level.
    """
    drawn: list[Figure] = []
    for term in reported_terms(fit):
        parts = factors(term)
        bins = _bins(results.overview, shown(fit).column, parts)
        if term not in fit.effects or not bins:
            continue
        if len(parts) == 1:
            drawn.append(_main_effect(fit, term, bins[0], results.stimulus_means))
        elif len(parts) == 2:
            drawn.append(_interaction(fit, parts[0], parts[1], bins))
    raw = levels.figures(fit, reported_terms(fit), shown(fit), results.overview)
    return [*drawn, *raw, *marginal.figures(fit)]


def _bins(overview: OverviewRecord, response: str, parts: list[str]) -> list[Binned]:
    """Return the bins of a line's trials, those of an interaction in the order of its thirds."""
    first, by = parts[0], parts[1] if len(parts) > 1 else ""
    return [
        found
        for found in overview.binned
        if (found.response, found.predictor, found.by) == (response, first, by)
    ]


def focal_terms(fit: FitRecord) -> list[str]:
    """Return the terms whose direction was registered, in the model's order."""
    named = fit.directions
    return [term for term in fit.coefficients if term in named]


def reported_terms(fit: FitRecord) -> list[str]:
    """Return the terms a results section speaks of: focal ones, then those of the model's measures and of factors.

    Controls such as length stay in the coefficient table, squares there too; where there is nothing else, every term is
    spoken of, but for the straight parts of smooths.
    """
    focal = focal_terms(fit)
    candidates = [
        term
        for term in fit.coefficients
        if term != "(Intercept)" and not square(term) and not smooths.is_line(fit, term)
    ]
    shown = [term for term in candidates if all(is_measure(part) or contrast(part) for part in factors(term))]
    return list(dict.fromkeys([*focal, *(shown if focal or shown else candidates)]))


def primary(fits: list[FitRecord]) -> list[FitRecord]:
    """Return the fits to draw and to put into words: REML ones and those of counts; all when none says it is REML."""
    return [fit for fit in fits if fit.reml or fit.link] or fits


def coefficients(fit: FitRecord) -> Figure | None:
    """Draw the fixed effects (intercept apart) with their intervals; nothing for a single one."""
    rows = [(term, values) for term, values in fit.coefficients.items() if term != "(Intercept)"]
    if len(rows) < 2:
        return None
    names = wrapped(words(term) for term, _ in rows)
    focal, unit = focal_terms(fit), response(fit).per(bool(fit.standardized))

    def paint(axes: Axes) -> None:
        for place, (term, values) in enumerate(rows):
            color = COLORS[0] if term in focal else POINTS
            axes.plot(values.limits, [place, place], color=color, linewidth=2)
            axes.plot(values.estimate, place, "o", color=color, markersize=6)
        axes.axvline(0, color="#374151", linewidth=1, linestyle=(0, (3, 3)))
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set(xlabel=f"Estimate ({unit})")

    listed = "; ".join(
        f"{words(term)} {fixed(values.estimate, decimals(values.se))}" for term, values in rows
    )
    caption = f"{fit.name}: fixed effects with 95 % intervals; focal terms in blue."
    size = (5.0, 1.1 + 0.2 * sum(2 + name.count("\n") for name in names))
    return draw(f"coefficients_{slug(fit.name)}", caption, f"{caption} Estimates: {listed}.", paint, size)


def _main_effect(fit: FitRecord, term: str, binned: Binned, stimuli: pd.DataFrame) -> Figure:
    measured = shown(fit)
    own = (stimuli["response"] == measured.column) & (stimuli["predictor"] == term)
    (line,) = fit.effects[term]

    def paint(axes: Axes) -> None:
        _stimuli(axes, stimuli[own])
        axes.fill_between(
            _drawn(line.x),
            _drawn(line.ci_low),
            _drawn(line.ci_high),
            color=COLORS[0],
            alpha=0.25,
            linewidth=0,
        )
        axes.plot(
            *map(_drawn, (line.x, line.estimate)),
            color=COLORS[0],
            linewidth=2,
            label="fit, 95 % confidence band",
        )
        axes.plot(
            *map(_drawn, (binned.x, binned.y)), "s", color=COLORS[1], markersize=5, label="bins of trials"
        )
        axes.set(xlabel=axis(term), ylabel=measured.axis)
        axes.legend(loc="best")

    said = _slope(fit, term)
    caption = (
        f"{fit.name}: {words(term)}, {said}. Gray: means of single stimuli; squares: means of {len(binned.x)} equal "
        f"bins of {plural(binned.n, 'trial')}, raw and not adjusted for the other terms."
    )
    alt = f"{_capital(measured.name)} against {words(term)}: {said}, with raw means of stimuli and of trial bins."
    return draw(f"effect_{slug(fit.name)}_{slug(term)}", caption, alt, paint)


def _interaction(fit: FitRecord, first: str, second: str, thirds: list[Binned]) -> Figure:
    measured, by = shown(fit), second
    term = f"{first}:{second}"

    def paint(axes: Axes) -> None:
        for place, label in enumerate(("low (−1 SD)", "mean", "high (+1 SD)")):
            color, style = COLORS[(0, 7, 3)[place]], ("-", "--", ":")[place]
            line = fit.effects[term][place]
            axes.plot(*map(_drawn, (line.x, line.estimate)), style, color=color, label=label)
        for third in thirds:
            color = COLORS[(0, 7, 3)[third.third]]
            axes.plot(*map(_drawn, (third.x, third.y)), "os^"[third.third], color=color, markersize=5)
        axes.set(xlabel=axis(first), ylabel=measured.axis)
        axes.legend(title=_capital(words(by)), title_fontsize=9.5)

    caption = (
        f"{fit.name}: {words(term)}, {_slope(fit, term)}. Lines: fit at three values of {words(by)}; "
        f"marks: raw means of trial bins in thirds of {words(by)}."
    )
    return draw(f"effect_{slug(fit.name)}_{slug(term)}", caption, f"Interaction plot. {caption}", paint)


def _slope(fit: FitRecord, term: str) -> str:
    """Return ``b = −0.91 µV per SD [−1.31, −0.51]``."""
    values = fit.coefficients[term]
    limits = interval(values.ci_low, values.ci_high, decimals(values.se))
    return f"b = {slope(fit, term).quantity(values.estimate, values.se)} {limits}"


def _drawn(values: list[float | None]) -> Array:
    return np.array(values, float)


def _stimuli(axes: Axes, means: pd.DataFrame) -> None:
    axes.scatter(
        means["x"],
        means["y"],
        s=11,
        color=POINTS,
        alpha=0.55,
        linewidths=0,
        rasterized=len(means) > 3000,
        label="single stimuli",
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
