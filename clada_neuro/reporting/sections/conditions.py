"""Responses and measures by condition, raw: a figure a response, and one table of all."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.numerals import decimals, interval, spread
from clada_neuro.records.overview import Means
from clada_neuro.reporting.blocks import Block
from clada_neuro.reporting.figures import COLORS, Figure, draw, wrapped
from clada_neuro.reporting.page_tables import beside, means_by_condition, responses_by_condition, slug
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.responses.response import response_of


def blocks(results: Results) -> Iterator[Block]:
    """Yield a figure for each response, then the means of responses and measures."""
    yield from figures(results)
    yield from filter(None, [means_by_condition(results)])


def figures(results: Results) -> list[Figure]:
    """Draw the condition means of each response."""
    over = "subjects' means" if "subject" in results.overview.groups else "rows"
    return [_means(found, over + "." + beside(results)) for found in responses_by_condition(results)]


def _means(found: Means, over: str) -> Figure:
    measured = response_of(found.measure)
    cells = pd.DataFrame([{**cell.cell, **cell.row()} for cell in found.cells])
    names = [str(name) for name in cells["condition"]]
    mean, low, high = (cells[name].astype(float) for name in ("mean", "ci_low", "ci_high"))

    def paint(axes: Axes) -> None:
        places = np.arange(len(cells))
        axes.hlines(places, low, high, color=COLORS[0], linewidth=2)
        axes.plot(mean, places, "o", color=COLORS[0], markersize=7)
        axes.set_yticks(places, wrapped(names))
        axes.set_ylim(len(cells) - 0.4, -0.6)
        axes.set(xlabel=measured.axis)

    caption = f"Mean {measured.plural} by condition, raw, with 95 % t intervals over {over}"
    listed = "; ".join(
        f"{name} {measured.quantity(row.mean, spread(row.ci_low, row.ci_high))} "
        f"{interval(row.ci_low, row.ci_high, decimals(spread(row.ci_low, row.ci_high)))}"
        for name, row in zip(names, found.cells, strict=True)
    )
    size = (5.0, 1.1 + 0.4 * len(cells))
    return draw(f"conditions_{slug(found.measure)}", caption, f"{caption} {listed}.", paint, size)


SECTION = Declared("conditions", "By condition", 450, blocks)
