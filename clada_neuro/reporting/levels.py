"""Effects of factors: which levels a coefficient compares, in words, and the raw means of the levels, drawn."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.numerals import decimals, interval, spread
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.overview import Means, OverviewRecord
from clada_neuro.records.terms import Contrast, contrast, factors
from clada_neuro.reporting.figures import COLORS, Figure, draw
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.page_tables import slug
from clada_neuro.responses.response import Response

_MOST = 8


def compared(fit: FitRecord, level: Contrast) -> str:
    """Return what a level is compared with: ``correct``, ``the average of the levels``."""
    if level.kind == "S":
        return "the average of the levels"
    named = {found.level for term in fit.coefficients for part in factors(term)
             if (found := contrast(part)) and found.factor == level.factor}  # fmt: skip
    rest = [name for name in fit.levels.get(level.factor, []) if name not in named]
    return rest[0] if level.kind == "T" and len(rest) == 1 else "its comparison levels"


def sentence(fit: FitRecord, term: str, measured: Response, reliable: bool) -> str:
    """Return what a coefficient with a factor in it says, without its statistics."""
    parts = sorted(factors(term), key=lambda part: contrast(part) is not None)
    *others, last = parts
    level = contrast(last)
    assert level is not None
    other, toward = compared(fit, level), measured.toward(fit.coefficients[term].estimate)
    effect = f"the effect of {' × '.join(words(part) for part in others)} on " if others else ""
    if reliable:
        verb = "was" if others else "were"
        return f"{effect}{measured.plural} {verb} {toward} for {words(last)} than for {other}"
    return f"there was no reliable difference in {effect}{measured.plural} between {words(last)} and {other}"


def held(fit: FitRecord, term: str) -> str:
    """Return at which values of what it interacts with a coefficient is the effect: `` at average entropy``."""
    own, phrases = set(factors(term)), []
    for other in fit.coefficients:
        if own < set(factors(other)):
            phrases += [_held(fit, part) for part in factors(other) if part not in own]
    return f" {' and '.join(dict.fromkeys(phrases))}" if phrases else ""


def _held(fit: FitRecord, part: str) -> str:
    level = contrast(part)
    if level is None:
        scaled = part in (fit.standardized or {})
        return f"at average {words(part)}" if scaled else f"where {words(part)} is 0"
    if level.kind == "T":
        return f"for {words(level.factor)} {compared(fit, level)}"
    return f"averaged over the levels of {words(level.factor)}"


def figures(fit: FitRecord, terms: list[str], measured: Response, overview: OverviewRecord) -> list[Figure]:
    """Draw the raw means of each reported factor's levels, and of the cells of two factors that interact."""
    seen: dict[tuple[str, ...], None] = {}
    for term in terms:
        found = [contrast(part) for part in factors(term)]
        if all(found):
            seen[tuple(level.factor for level in found if level)] = None
    over = "subjects' means" if "subject" in overview.groups else "rows"
    return [
        _means(fit, found, measured, over)
        for names in seen
        for found in overview.by(*names)
        if found.measure == measured.column
    ]


def _means(fit: FitRecord, found: Means, measured: Response, over: str) -> Figure:
    names, cells = found.by, pd.DataFrame([{**cell.cell, **cell.row()} for cell in found.cells])
    levels = list(dict.fromkeys(cells[names[0]]))[:_MOST]
    lines = list(dict.fromkeys(cells[names[1]]))[:_MOST] if len(names) > 1 else [None]

    def paint(axes: Axes) -> None:
        for number, line in enumerate(lines):
            rows = cells if line is None else cells[cells[names[1]] == line]
            rows = rows.set_index(names[0]).reindex(levels)
            places = np.arange(len(levels)) + 0.12 * (number - (len(lines) - 1) / 2)
            reach = (rows["ci_high"] - rows["mean"]).fillna(0)
            label = None if line is None else str(line)
            axes.errorbar(places, rows["mean"], yerr=reach, fmt="os^Dv<>p"[number] + "-", color=COLORS[number],
                          linewidth=1.2, markersize=6, label=label)  # fmt: skip
        axes.set_xticks(range(len(levels)), [str(level) for level in levels])
        axes.set_xlim(-0.5, len(levels) - 0.5)
        axes.set(xlabel=words(names[0]), ylabel=measured.axis)
        if len(names) > 1:
            axes.legend(title=words(names[1]), title_fontsize=9.5)

    by = " and ".join(map(words, names))
    caption = (
        f"{fit.name}: mean {measured.plural} by {by}, with 95 % t intervals over {over}; raw, not adjusted."
    )
    listed = "; ".join(
        f"{', '.join(str(row[name]) for name in names)} {measured.quantity(row['mean'], spread(row['ci_low'], row['ci_high']))} "
        f"{interval(row['ci_low'], row['ci_high'], decimals(spread(row['ci_low'], row['ci_high'])))}"
        for row in cells.to_dict("records")
    )
    return draw(f"levels_{slug(fit.name)}_{slug('_'.join(names))}", caption, f"{caption} {listed}.", paint)
