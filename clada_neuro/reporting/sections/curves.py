"""Whether effects are straight lines: a smooth beside each focal effect, the smooths of a model, residuals of counts in bins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from clada_neuro.numerals import p_text
from clada_neuro.records.curves import Curve
from clada_neuro.records.fits import FitRecord, number
from clada_neuro.reporting.blocks import Absent, Block, Paragraph, Table
from clada_neuro.reporting.effects import primary, reported_terms, response
from clada_neuro.reporting.figures import COLORS, Figure, compose
from clada_neuro.reporting.labels import axis, words
from clada_neuro.reporting.page_tables import slug, table
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results


def blocks(results: Results) -> Iterator[Block]:
    """Yield the curves of each regression and the tests against the straight line."""
    drawn = [figure for fit in primary(results.fits) for draw in FIGURES if (figure := draw(fit))]
    if drawn:
        yield Paragraph(
            "Regressions take the effect of a number as a straight line. A curve that leaves its line, and a small p against the "
            "line, say that it is none; the fitted slope is then a mean over the range."
        )
    yield from drawn
    yield from filter(None, [tests(results.fits)])
    yield from map(Absent, results.lacking("fits"))


@dataclass(frozen=True)
class _Panel:
    predictor: str
    title: str
    x: Sequence[float]
    estimate: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    line: Sequence[float] = ()
    deciles: Sequence[float] = ()


def linearity(fit: FitRecord) -> Figure | None:
    """Draw a smooth in place of each focal predictor, its band, and the straight effect; nothing when the fit holds none."""
    if not fit.curves:
        return None
    panels = [
        _Panel(
            name,
            told(curve),
            curve.x,
            curve.estimate,
            curve.band_low,
            curve.band_high,
            curve.line,
            curve.deciles,
        )
        for name, curve in fit.curves.items()
    ]
    caption = (
        f"{fit.name}: the effect of {_all(fit.curves)} as a penalized spline with its simultaneous 95 % band, and as the straight "
        "effect of the model (dashed), both with mean zero over the trials. Ticks are tenths of the trials."
    )
    alt = f"{caption} {'; '.join(f'{words(name)}: {told(curve)}' for name, curve in fit.curves.items())}."
    return _figure(f"linearity_{slug(fit.name)}", caption, alt, panels, response(fit).unit)


def smooths(fit: FitRecord) -> Figure | None:
    """Draw the smooths of one variable that a model has."""
    single = [smooth for smooth in fit.smooths if smooth.kind == "s"]
    if not single:
        return None
    panels = []
    for smooth in single:
        name = smooth.variables[0]
        x, estimate, low, high = (
            [number(value) for value in smooth.curve[column] if not isinstance(value, str)]
            for column in (name, "estimate", "band_low", "band_high")
        )
        level = f"{smooth.by} {smooth.level}, " if smooth.by else ""
        panels.append(_Panel(name, f"{level}edf {smooth.edf:.1f}", x, estimate, low, high))
    caption = f"{fit.name}: smooths with their simultaneous 95 % bands; each has mean zero over the trials."
    return _figure(f"smooths_{slug(fit.name)}", caption, caption, panels, response(fit).unit)


def surfaces(fit: FitRecord) -> Figure | None:
    """Draw the tensor products of a model from above, and the line where their 95 % band leaves zero."""
    found = [smooth for smooth in fit.smooths if smooth.kind == "te"]
    if not found:
        return None
    unit = response(fit).unit

    def paint(canvas: Canvas) -> None:
        for axes, smooth in zip(canvas.subplots(len(found), 1, squeeze=False)[:, 0], found, strict=True):
            first, second = smooth.variables
            columns = {name: np.array(values, float) for name, values in smooth.curve.items()}
            at = (columns[first], columns[second])
            away = np.maximum(columns["band_low"], -columns["band_high"])
            most = np.abs(columns["estimate"]).max()
            drawn = axes.tricontourf(
                *at, columns["estimate"], levels=MaxNLocator(12).tick_values(-most, most), cmap="RdBu_r"
            )
            if away.min() < 0 < away.max():
                axes.tricontour(*at, away, levels=[0], colors="#374151", linewidths=1)
            axes.set(xlabel=axis(first), ylabel=axis(second))
            axes.set_title(f"edf {smooth.edf:.1f}", fontsize="small", loc="left")
            canvas.colorbar(drawn, ax=axes, label=f"Effect ({unit})" if unit else "Effect")

    caption = (
        f"{fit.name}: smooths of two predictors, with mean zero over the trials. The thin line is where their simultaneous 95 % "
        "band leaves zero."
    )
    return compose(f"surfaces_{slug(fit.name)}", caption, caption, paint, (5.0, 0.4 + 3.4 * len(found)))


def binned(fit: FitRecord) -> Figure | None:
    """Draw mean residuals over bins of each measure, which entries hold that were written before there were curves."""
    found = fit.linearity
    shown = [term for term in reported_terms(fit) if term in found]
    if not shown:
        return None

    unit = "" if fit.link else response(fit).unit  # residuals of counts are shares or events
    residual = f"Residual ({unit})" if unit else "Residual"

    def paint(canvas: Canvas) -> None:
        panels = canvas.subplots(len(shown), 1, sharey=True, squeeze=False)[:, 0]
        for axes, term in zip(panels, shown, strict=True):
            bins = pd.DataFrame([bin.row() for bin in found[term]])
            axes.axhline(0, color="#374151", linewidth=1, linestyle=(0, (3, 3)))
            axes.errorbar(
                bins["predictor"],
                bins["residual"],
                yerr=[bins["residual"] - bins["ci_low"], bins["ci_high"] - bins["residual"]],
                fmt="o",
                color=COLORS[0],
                markersize=4,
                lw=1.2,
            )
            axes.set(xlabel=axis(term), ylabel=residual)
            axes.locator_params(axis="x", nbins=6)

    caption = (
        f"{fit.name}: mean residuals with 95 % intervals in tenths of each measure. Points that bend away from the dashed line say that "
        "the effect is not a straight one."
    )
    size = (5.0, 0.6 + 1.9 * len(shown))
    return compose(f"linearity_{slug(fit.name)}", caption, caption, paint, size)


def tests(fits: Sequence[FitRecord]) -> Table | None:
    """Return the tests of smooths and of curves against the straight line; nothing when no fit holds one."""
    rows = [
        {
            "model": fit.name,
            "smooth": one.smooth,
            "edf": one.edf,
            "F": one.F,
            "p": one.p,
            "lrt": one.lrt,
            "p_line": one.p_line,
        }
        for fit in fits
        for one in fit.smooths
    ]
    rows += [
        {"model": fit.name, "smooth": f"s({name}) for {name}", "edf": curve.edf, "F": None, "p": None, "lrt": curve.lrt, "p_line": curve.p_line}
        for fit in fits
        for name, curve in fit.curves.items()
    ]  # fmt: skip
    caption = (
        "Curves. edf: effective degrees of freedom, 1 for a straight line; F and p: the whole smooth against zero; lrt and p line: "
        "twice the gain in restricted log-likelihood over the straight line, p from its simulated distribution."
    )
    return table("curves", caption, rows) if rows else None


def told(curve: Curve) -> str:
    """Return what the test against the line says: ``edf 3.2, against the line p = .012``."""
    return f"edf {curve.edf:.1f}, against the line {p_text(curve.p_line)}"


def _figure(name: str, caption: str, alt: str, panels: Sequence[_Panel], unit: str) -> Figure:
    effect = f"Effect ({unit})" if unit else "Effect"

    def paint(canvas: Canvas) -> None:
        drawn = canvas.subplots(len(panels), 1, sharey=True, squeeze=False)[:, 0]
        for axes, panel in zip(drawn, panels, strict=True):
            _paint(axes, panel)
            axes.set(xlabel=axis(panel.predictor), ylabel=effect)
            axes.set_title(panel.title, fontsize="small", loc="left")
            axes.locator_params(axis="x", nbins=6)

    return compose(name, caption, alt, paint, (5.0, 0.6 + 2.1 * len(panels)))


def _paint(axes: Axes, panel: _Panel) -> None:
    axes.fill_between(panel.x, panel.low, panel.high, color=COLORS[0], alpha=0.2, linewidth=0)
    axes.plot(panel.x, panel.estimate, color=COLORS[0], linewidth=1.6)
    if len(panel.line):
        axes.plot(panel.x, panel.line, color="#374151", linewidth=1, linestyle=(0, (3, 3)))
    if len(panel.deciles):
        low = np.min(panel.low)
        axes.plot(panel.deciles, np.full(len(panel.deciles), low), "|", color="#374151", markersize=6)


def _all(names: Sequence[str] | dict[str, Curve]) -> str:
    first, *others = map(words, names)
    return f"{', '.join([first, *others[:-1]])} and {others[-1]}" if others else first


FIGURES = (linearity, smooths, surfaces, binned)
SECTION = Declared("curves", "Curves", 850, blocks)
