"""Estimated marginal means, simple slopes and their contrasts of a model with factors: sentences, tables, figures."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.numerals import decimals, fixed, interval
from clada_neuro.records.fits import FitRecord, MarginalFacts, MarginalRow
from clada_neuro.records.fits import number as drawable
from clada_neuro.reporting.blocks import Table
from clada_neuro.reporting.figures import COLORS, Figure, draw
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.page_tables import coefficient_cells, slug
from clada_neuro.reporting.scales import contrasted, estimated, response
from clada_neuro.reporting.scales import shown as told_on
from clada_neuro.reporting.text import plural
from clada_neuro.responses.response import response_of

_ADJUSTMENTS = {"holm": "Holm"}
# More contrasts than these stand in the table alone.
_MOST_SENTENCES = 6


def sentences(fit: FitRecord) -> Iterator[str]:
    """Yield what was estimated for the cells of the factors, and how they differ.

    The difference of two means of one family is the coefficient that the effects already tell.
    """
    for shown in fit.marginal:
        estimated = [f"{_cell(row)} {_quantity(row, shown.unit)}" for row in shown.estimates]
        yield f"{_what(shown, fit)}: {'; '.join(estimated)}."
        contrasts = shown.contrasts
        if len(contrasts) < 2:
            continue
        if len(contrasts) > _MOST_SENTENCES:
            yield f"{plural(len(contrasts), 'contrast')} of these stand in the table of contrasts, {_adjusted(shown)}."
            continue
        told = [
            f"{_cell(row)}, {contrasted(row, fit.response_scale, response(fit), shown.unit)}"
            for row in contrasts
        ]
        yield f"Contrasts ({_adjusted(shown)}): {'; '.join(told)}."


def tables(fit: FitRecord) -> list[Table]:
    """Return all marginal means and slopes of a fit, and all their contrasts."""
    shown = fit.marginal
    found = []
    for name, key, caption in (
        (
            "means",
            "estimates",
            "Estimated marginal means and slopes, covariates at their means, with 95 % intervals",
        ),
        ("contrasts", "contrasts", "Contrasts of them, p values and intervals adjusted within each family"),
    ):
        rows = [(one, row) for one in shown for row in getattr(one, key)]
        if not rows:
            continue
        values = pd.DataFrame([row.numbers() for _, row in rows])
        labels = {
            "of": [_of(one, fit) for one, _ in rows],
            "cell": [_cell(row) for _, row in rows],
            "unit": [one.unit for one, _ in rows],
        }
        cells = coefficient_cells(values.assign(**{k: np.nan for k in ("t", "p") if k not in values}))
        kept = (
            cells if key == "contrasts" else cells.drop(columns=["t", "p"]).rename(columns={"b": "estimate"})
        )
        if "mean" in values and key == "estimates":
            kept["mean"] = [
                fixed(value, digits(row)) for value, (_, row) in zip(values["mean"], rows, strict=True)
            ]
        if key == "contrasts" and fit.response_scale:
            kept = kept.rename(columns={"b": fit.response_scale.ratio})
        ways = " and ".join(dict.fromkeys(_adjusted(one) for one in shown)) if key == "contrasts" else ""
        found.append(
            Table(
                f"{name}_{slug(fit.name)}",
                f"{caption} of {fit.name}{f' ({ways})' if ways else ''}.",
                pd.concat([pd.DataFrame(labels), values], axis=1),
                pd.concat([pd.DataFrame(labels), kept], axis=1),
            )
        )
    return found


def figures(fit: FitRecord) -> list[Figure]:
    """Draw each set of means or slopes over the levels of the first factor, a line for each cell of the others."""
    return [_figure(fit, shown) for shown in fit.marginal]


def _figure(fit: FitRecord, shown: MarginalFacts) -> Figure:
    (first, *_), rows = shown.factors, shown.estimates
    levels = list(dict.fromkeys(row.cell[first] for row in rows))
    families: dict[str, list[MarginalRow]] = {}
    for row in rows:
        families.setdefault(", ".join(row.cell[name] for name in shown.by), []).append(row)

    def paint(axes: Axes) -> None:
        for place, (label, family) in enumerate(families.items()):
            at = [levels.index(row.cell[first]) + 0.1 * (place - (len(families) - 1) / 2) for row in family]
            middle = [drawable(row.estimate) for row in family]
            reach = [
                [drawable(row.estimate) - drawable(row.ci_low) for row in family],
                [drawable(row.ci_high) - drawable(row.estimate) for row in family],
            ]
            axes.errorbar(
                at, middle, yerr=reach, fmt="os^Dv<>p"[place % 8] + "-", color=COLORS[place % len(COLORS)],
                linewidth=1.2, markersize=6, label=label or None,
            )  # fmt: skip
        axes.set_xticks(range(len(levels)), levels)
        axes.set_xlim(-0.5, len(levels) - 0.5)
        axes.set(xlabel=words(first), ylabel=_axis(shown, fit))
        if len(families) > 1:
            axes.legend(title=", ".join(map(words, shown.by)), title_fontsize=9.5)

    what = _what(shown, fit)
    caption = f"{fit.name}: {what[:1].lower()}{what[1:]}, with 95 % intervals."
    listed = "; ".join(f"{_cell(row)} {_quantity(row, shown.unit)}" for row in rows)
    name = "_".join([*([shown.slope] if shown.slope else []), *shown.factors, *shown.by])
    return draw(f"marginal_{slug(fit.name)}_{slug(name)}", caption, f"{caption} {listed}.", paint)


def _what(shown: MarginalFacts, fit: FitRecord) -> str:
    by = " and ".join(map(words, [*shown.factors, *shown.by]))
    if shown.slope:
        return f"Estimated {_slopes(fit)} of {words(shown.slope)} on {response(fit).plural} by {by}"
    return f"Estimated marginal {estimated(fit)} by {by}"


def _slopes(fit: FitRecord) -> str:
    return f"{fit.response_scale.ratio}s" if fit.response_scale else "slopes"


def _of(shown: MarginalFacts, fit: FitRecord) -> str:
    scale = fit.response_scale
    if shown.slope:
        return f"{scale.ratio if scale else 'slope'} of {words(shown.slope)}"
    return f"{scale.estimated} of {response_of(scale.column).name}" if scale else f"mean {response(fit).name}"


def _axis(shown: MarginalFacts, fit: FitRecord) -> str:
    if not shown.slope:
        return told_on(fit).axis
    if fit.response_scale:
        return f"{fit.response_scale.ratio.capitalize()} of {words(shown.slope)}"
    return f"Slope of {words(shown.slope)} ({shown.unit})"


def digits(row: MarginalRow) -> int:
    """Return the decimals of a row's estimate."""
    return decimals(row.se)


def _adjusted(shown: MarginalFacts) -> str:
    return f"p by {_ADJUSTMENTS[shown.adjust]}, 95 % intervals by Bonferroni"


def _cell(row: MarginalRow) -> str:
    """Return ``high``, ``high, patient``, or ``high − low (patient)``."""
    cell = dict(row.cell)
    contrast = cell.pop("contrast", None)
    others = ", ".join(cell.values())
    if contrast is None:
        return others
    return str(contrast).replace(" - ", " − ") + (f" ({others})" if others else "")


def _quantity(row: MarginalRow, unit: str) -> str:
    digits = decimals(row.se)
    return f"{fixed(row.estimate, digits)} {unit}".rstrip() + f" {interval(row.ci_low, row.ci_high, digits)}"
