"""What the model's measures and the brain responses look like before any regression."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.overview.distributions import critical_words
from clada_neuro.records.overview import Distribution, Histogram, Layers
from clada_neuro.reporting.blocks import Absent, Block
from clada_neuro.reporting.figures import COLORS, Figure, bars, draw
from clada_neuro.reporting.labels import axis, words
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import plural
from clada_neuro.responses.response import response_of

_INK = "#374151"


def blocks(results: Results) -> Iterator[Block]:
    """Yield the figures."""
    yield from figures(results)
    yield from map(Absent, results.lacking("words", "layers", "trials"))


def figures(results: Results) -> list[Figure]:
    """Return the measures at critical words, their joint distribution, their layers, and the responses."""
    overview, tables = results.overview, results.tables
    frame = critical_words(tables.get("words", pd.DataFrame()), tables.get("stimuli", pd.DataFrame()))
    drawn = [_measure(found, frame) for found in overview.words]
    if {"surprisal_bits", "sparsity_energy99"} <= {found.column for found in overview.words}:
        drawn.append(_joint(frame.dropna(subset=["surprisal_bits", "sparsity_energy99"])))
    drawn += [_by_layer(found) for found in overview.layers]
    return [*drawn, *map(_response, overview.responses)]


def _which(frame: pd.DataFrame, count: int) -> str:
    marked = "is_critical" in frame and bool(frame["is_critical"].any())
    return plural(count, "critical word" if marked else "word")


def _measure(found: Distribution, frame: pd.DataFrame) -> Figure:
    name = found.column
    what = f"{words(name)} of {_which(frame, found.n)}"
    if not found.boxes:
        return _histogram(found.histogram, axis(name), what, f"distribution_{name}", "Words")
    order = [box.condition for box in found.boxes]
    boxes = [
        {"med": box.median, "q1": box.q1, "q3": box.q3, "whislo": box.low, "whishi": box.high}
        for box in found.boxes
    ]

    def paint(axes: Axes) -> None:
        random = np.random.default_rng(0)
        for place, condition in enumerate(order):
            values = frame.loc[frame["condition"].map(str) == condition, name].dropna().to_numpy(float)
            heights = place + random.uniform(-0.22, 0.22, len(values))
            axes.scatter(values, heights, s=9, alpha=0.5, color=COLORS[place % len(COLORS)], linewidths=0)
        ink = {"color": _INK}
        axes.bxp(boxes, positions=range(len(boxes)), widths=0.55, vert=False, showfliers=False, manage_ticks=False,
                 boxprops=ink, whiskerprops=ink, capprops=ink, medianprops={**ink, "linewidth": 2})  # fmt: skip
        axes.set_yticks(range(len(order)), order)
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.set(xlabel=axis(name), ylabel="")
        axes.grid(axis="y", visible=False)

    caption = f"{_capital(what)}, by condition: median, quartiles and single words."
    alt = f"Box plots over single words: {what}, one row for each of {', '.join(order)}."
    return draw(f"distribution_{name}", caption, alt, paint, (5.0, 1.2 + 0.55 * len(order)))


def _joint(frame: pd.DataFrame) -> Figure:
    def paint(axes: Axes) -> None:
        axes.scatter(
            frame["surprisal_bits"],
            frame["sparsity_energy99"],
            s=14,
            alpha=0.6,
            color=COLORS[0],
            linewidth=0,
            rasterized=len(frame) > 3000,
        )
        axes.set(xlabel=axis("surprisal_bits"), ylabel=axis("sparsity_energy99"))

    caption = (
        f"The two predictors of the interaction, surprisal and sparsity, over {_which(frame, len(frame))}."
    )
    return draw("joint_surprisal_sparsity", caption, f"Scatter plot. {caption}", paint)


def _by_layer(found: Layers) -> Figure:
    name = found.measure
    q1, median, q3 = (np.array(values, float) for values in (found.q1, found.median, found.q3))

    def paint(axes: Axes) -> None:
        axes.fill_between(found.layer, q1, q3, color=COLORS[0], alpha=0.2, linewidth=0)
        axes.plot(found.layer, median, "o-", color=COLORS[0], markersize=4)
        axes.set(xlabel="Feed-forward layer", ylabel=axis(name))

    caption = f"{_capital(words(name))} by layer: median and quartiles over tokens."
    alt = f"Line plot. {caption} Medians run from {median.min():.2f} to {median.max():.2f}."
    return draw(f"layers_{name}", caption, alt, paint)


def _response(found: Distribution) -> Figure:
    measured = response_of(found.column)
    what = f"{measured.plural} in {plural(found.n, 'trial')}"
    return _histogram(found.histogram, measured.axis, what, f"trials_{found.column}", "Trials")


def _histogram(found: Histogram, label: str, what: str, file: str, ylabel: str) -> Figure:
    def paint(axes: Axes) -> None:
        bars(axes, found)
        axes.set(xlabel=label, ylabel=ylabel)

    return draw(file, f"{_capital(what)}.", f"Histogram: {what}.", paint)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


SECTION = Declared("distributions", "Distributions", 700, blocks)
