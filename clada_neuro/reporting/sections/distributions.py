"""What the model's measures and the brain responses look like before any regression."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from clada_neuro.measures.tokens import MAIN
from clada_neuro.reporting import effects
from clada_neuro.reporting.blocks import Absent, Block
from clada_neuro.reporting.figures import COLORS, Figure, draw
from clada_neuro.reporting.labels import axis, words
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import plural
from clada_neuro.responses.response import response_of

_MOST_CONDITIONS = 12
_INK = "#374151"


def blocks(results: Results) -> Iterator[Block]:
    """Yield the figures."""
    yield from figures(results)
    yield from map(Absent, results.lacking("words", "layers", "trials"))


def figures(results: Results) -> list[Figure]:
    """Return the measures at critical words, their joint distribution, their layers, and the responses."""
    frame = critical_words(results)
    measures = [name for name in MAIN if name in frame and frame[name].notna().any()]
    drawn = [_measure(frame.dropna(subset=[name]), name) for name in measures]
    if {"surprisal_bits", "sparsity_energy99"} <= set(measures):
        drawn.append(_joint(frame.dropna(subset=["surprisal_bits", "sparsity_energy99"])))
    layers = results.tables.get("layers", pd.DataFrame())
    drawn += [_by_layer(layers, name) for name in MAIN if name in layers]
    trials = results.tables.get("trials", pd.DataFrame())
    drawn += [_response(trials[name].dropna(), name) for name in effects.responses(results.fits, trials)]
    return drawn


def critical_words(results: Results) -> pd.DataFrame:
    """Return the critical words (every word when none is marked), with their stimulus's condition."""
    frame = results.tables.get("words", pd.DataFrame())
    if "is_critical" in frame and frame["is_critical"].any():
        frame = frame[frame["is_critical"].astype(bool)]
    stimuli = results.tables.get("stimuli", pd.DataFrame())
    if "condition" not in frame and len(frame) and "condition" in stimuli:
        labels = stimuli.drop_duplicates("stimulus_id").set_index("stimulus_id")["condition"]
        frame = frame.assign(condition=frame["stimulus_id"].map(labels))
    return frame


def _which(frame: pd.DataFrame) -> str:
    marked = "is_critical" in frame and bool(frame["is_critical"].any())
    return plural(len(frame), "critical word" if marked else "word")


def _measure(frame: pd.DataFrame, name: str) -> Figure:
    what = f"{words(name)} of {_which(frame)}"
    order = list(dict.fromkeys(frame["condition"].dropna())) if "condition" in frame else []
    if not 1 < len(order) <= _MOST_CONDITIONS:
        return _histogram(frame[name], axis(name), what, f"distribution_{name}", "Words")

    def paint(axes: Axes) -> None:
        random = np.random.default_rng(0)
        for place, condition in enumerate(order):
            values = frame.loc[frame["condition"] == condition, name].to_numpy(float)
            heights = place + random.uniform(-0.22, 0.22, len(values))
            axes.scatter(values, heights, s=9, alpha=0.5, color=COLORS[place % len(COLORS)], linewidths=0)
        sns.boxplot(
            frame.assign(condition=frame["condition"].astype(str)),
            x=name,
            y="condition",
            order=[str(condition) for condition in order],
            fill=False,
            color=_INK,
            width=0.55,
            showfliers=False,
            medianprops={"linewidth": 2},
            ax=axes,
        )
        axes.set(xlabel=axis(name), ylabel="")

    caption = f"{_capital(what)}, by condition: median, quartiles and single words."
    alt = f"Box plots over single words: {what}, one row for each of {', '.join(map(str, order))}."
    return draw(f"distribution_{name}", caption, alt, paint, (5.0, 1.2 + 0.55 * len(order)))


def _joint(frame: pd.DataFrame) -> Figure:
    def paint(axes: Axes) -> None:
        sns.scatterplot(
            frame,
            x="surprisal_bits",
            y="sparsity_energy99",
            s=14,
            alpha=0.6,
            color=COLORS[0],
            linewidth=0,
            rasterized=len(frame) > 3000,
            ax=axes,
        )
        axes.set(xlabel=axis("surprisal_bits"), ylabel=axis("sparsity_energy99"))

    caption = f"The two predictors of the interaction, surprisal and sparsity, over {_which(frame)}."
    return draw("joint_surprisal_sparsity", caption, f"Scatter plot. {caption}", paint)


def _by_layer(layers: pd.DataFrame, name: str) -> Figure:
    middle = layers.groupby("layer")[name].median()

    def paint(axes: Axes) -> None:
        sns.lineplot(
            layers,
            x="layer",
            y=name,
            estimator="median",
            errorbar=("pi", 50),
            color=COLORS[0],
            marker="o",
            markersize=4,
            ax=axes,
        )
        axes.set(xlabel="Feed-forward layer", ylabel=axis(name))

    caption = f"{_capital(words(name))} by layer: median and quartiles over tokens."
    alt = f"Line plot. {caption} Medians run from {middle.min():.2f} to {middle.max():.2f}."
    return draw(f"layers_{name}", caption, alt, paint)


def _response(values: pd.Series, name: str) -> Figure:
    measured = response_of(name)
    what = f"{measured.plural} in {plural(len(values), 'trial')}"
    return _histogram(values, measured.axis, what, f"trials_{name}", "Trials")


def _histogram(values: pd.Series, label: str, what: str, file: str, ylabel: str) -> Figure:
    def paint(axes: Axes) -> None:
        sns.histplot(x=values.to_numpy(float), bins=40, color=COLORS[0], alpha=1, edgecolor="white", ax=axes)
        axes.set(xlabel=label, ylabel=ylabel)

    return draw(file, f"{_capital(what)}.", f"Histogram: {what}.", paint)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


SECTION = Declared("distributions", "Distributions", 700, blocks)
