"""Whether a regression's assumptions hold, what its effects hang on, and what its design could show."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes

from clada_neuro.records.fits import FitRecord
from clada_neuro.reporting import prose
from clada_neuro.reporting.blocks import Absent, Block, Paragraph, Points, Table
from clada_neuro.reporting.effects import primary, reported_terms
from clada_neuro.reporting.figures import COLORS, Figure, draw
from clada_neuro.reporting.page_tables import scales, slug, table
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results


def blocks(results: Results) -> Iterator[Block]:
    """Yield warnings, what residuals look like, and what the effects hang on."""
    warnings = list(prose.warnings(results))
    if warnings:
        yield Points(warnings)
    elif results.fits:
        yield Paragraph("Every regression converged without a warning.")
    yield from filter(None, map(quantiles, primary(results.fits)))
    yield from filter(None, [make(results.fits) for make in (scales, *CHECKS)])
    yield from map(Absent, results.lacking("fits"))


def quantiles(fit: FitRecord) -> Figure | None:
    """Draw the residuals' quantiles against the normal distribution's; nothing when the fit holds none."""
    found = fit.residual_quantiles
    if not found:
        return None
    normal, residual = np.asarray(found.normal, float), np.asarray(found.value, float)

    def paint(axes: Axes) -> None:
        ends = np.array([normal.min(), normal.max()])
        axes.plot(ends, ends, color="#374151", linewidth=1, linestyle=(0, (3, 3)))
        axes.plot(normal, residual, "o", color=COLORS[0], markersize=4)
        axes.set(xlabel="Normal quantile", ylabel="Residual / residual SD")

    caption = f"{fit.name}: quantiles of the residuals against the normal distribution (dashed: equal)."
    alt = f"{caption} They run from {residual.min():.1f} to {residual.max():.1f} residual SDs."
    return draw(f"residuals_{slug(fit.name)}", caption, alt, paint)


def extremes(fits: list[FitRecord]) -> Table | None:
    """Return each reported effect with and without extreme trials."""
    rows = [
        {
            "model": fit.name,
            "term": row.term,
            "b": fit.coefficients[row.term].estimate,
            "b without": row.estimate_without,
            "shift (SE)": row.shift,
            "p": row.p_without,
            "left out": f"{found.n_left_out:,} beyond ±{found.cutoff:.1f}",
        }
        for fit in fits
        if (found := fit.sensitivity)
        for row in found.terms
        if row.term in reported_terms(fit)
    ]
    caption = (
        "The same regressions without extreme trials: those further than three standard deviations of the response from "
        "its mean. All trials are in the main analysis; p is that of the reduced data."
    )
    return table("without_extremes", caption, rows) if rows else None


def detectable(fits: list[FitRecord]) -> Table | None:
    """Return the smallest effect that each focal term's standard error and df could show."""
    rows = [
        {
            "model": fit.name,
            "term": term,
            "smallest effect": values.effect,
            "b": fit.coefficients[term].estimate,
            "se": values.se,
            "df": values.df,
            "power": values.power,
        }
        for fit in fits
        for term, values in fit.detectable.items()
    ]
    caption = (
        "The smallest effect (per standard deviation of the predictor, where it was z-scored) that a design with these "
        "stimuli, subjects and variances finds with the stated power (two-sided, α = .05)."
    )
    return table("smallest_effects", caption, rows) if rows else None


def influence(fits: list[FitRecord]) -> Table | None:
    """Return how far each effect moves when one subject, item or laboratory is left out; nothing when none was."""
    rows = [
        {
            "model": fit.name,
            "left out": moved.factor,
            "levels": moved.n_levels,
            "term": moved.term,
            "b": fit.coefficients[moved.term].estimate,
            "lowest b": moved.lowest,
            "highest b": moved.highest,
            "largest shift (SE)": moved.shift,
            "without": moved.without,
        }
        for fit in fits
        for moved in fit.influence_ranges
    ]
    caption = "Each regression again without one subject, item or laboratory at a time (ML); all rows are in fits.json."
    return table("influence", caption, rows) if rows else None


def optimizers(fits: list[FitRecord]) -> Table | None:
    """Return the focal terms by every optimizer, where a full run tried them."""
    rows = [
        {
            "model": fit.name,
            "optimizer": one.optimizer,
            "converged": one.converged,
            "log-likelihood": one.loglik,
            "below the highest": one.below,
            "term": one.term,
            "estimate": one.estimate,
            "off, in SE": one.off,
        }
        for fit in fits
        for one in fit.allfit
    ]
    caption = (
        "The fit, and the same model by every optimizer from one start: where log-likelihoods agree within 0.01, estimates are "
        "those of the likelihood. Off: from the fit's estimate, in its standard errors."
    )
    return table("optimizers", caption, rows) if rows else None


CHECKS = (extremes, influence, detectable, optimizers)
SECTION = Declared("diagnostics", "Diagnostics", 1200, blocks)
