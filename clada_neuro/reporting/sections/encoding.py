"""Encoding: how well vectors of words predict mean responses, with all controls in one figure."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from clada_neuro.numerals import p_text
from clada_neuro.records.encoding import EncodedResponse
from clada_neuro.reporting import encoded
from clada_neuro.reporting.blocks import Block, Headed, Paragraph, Points, Typed
from clada_neuro.reporting.encoded import KINDS, color, mark_nothing
from clada_neuro.reporting.figures import Figure, draw
from clada_neuro.reporting.page_tables import Table, slug, table
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results

_STYLES = {"states": "o-", "activity": "s-", "untrained": "^--", "next word": "v:"}


def blocks(results: Results) -> Iterator[Block]:
    """Yield each response's scores."""
    if results.encoding is None:
        return
    found = results.encoding
    for entry in found.entries:
        said: list[Block] = [Paragraph(_methods(entry, found.settings)), figure(entry), _best(entry)]
        said += [Paragraph(_chosen(entry))] if entry.chosen else []
        yield Headed(entry.response, said)
    for course in found.courses:
        yield Headed(f"{' and '.join(course.components)} over time", encoded.blocks(course, found.settings))
    where = "tables/encoding*.csv" if found.courses else "tables/encoding.csv"
    yield Paragraph(("Every layer stands in ", Typed(where), "."))
    of_each = [note for entry in found.entries for note in entry.notes]
    of_each += [note for course in found.courses for note in course.notes]
    if notes := [*found.notes, *of_each]:
        yield Points(notes)


def _methods(entry: EncodedResponse, settings: dict[str, Any]) -> str:
    largest = "" if entry.shuffled is None else f" (their largest r then exceeds {entry.shuffled:.2f} in 5 %)"
    return (
        f"Mean {entry.response} of {entry.n_words:,} words ({entry.n_trials:,} trials of {entry.n_subjects} subjects, whose own means "
        f"are taken out) was predicted by ridge regression on principal components of vectors of the words: {settings['folds']} folds "
        f"of {entry.n_items} items, dimension and penalty chosen inside folds. r is the mean correlation within folds. p is by "
        f"exchange of items, {settings['shuffles']} times{largest}; that of the states' layers holds for all of them together. States of the "
        "next word predict where responses begin before the word, or words go together, without any prediction by the reader; states "
        "mean something where they pass these and the other controls."
    )


def _best(entry: EncodedResponse) -> Table:
    """Return a row a kind of vectors: its best layer."""
    rows = []
    for kind, name in KINDS.items():
        scores = [score for score in entry.scores if score.vectors == kind]
        if scores:
            best = max(scores, key=lambda score: score.r)
            p = best.p if best.p_family is None else best.p_family
            layer = "" if best.layer is None else str(best.layer)
            rows.append({"vectors": name, "layer": layer, "r": best.r, "se": best.se, "p": p})
    caption = (
        "Of each kind of vectors the layer with the largest r, which is no evidence for this layer; p of the states holds for all "
        "layers together, the others are of their layer alone."
    )
    return table(f"encoding_{slug(entry.response)}", caption, pd.DataFrame(rows))


def _chosen(entry: EncodedResponse) -> str:
    assert entry.chosen is not None
    layers = ", ".join(map(str, entry.chosen.layers))
    return (
        f"The layer that was best inside each fold ({layers}) scores r = {entry.chosen.r:.2f} (SE {entry.chosen.se:.2f}, "
        f"{p_text(entry.chosen.p)}) outside of it."
    )


def figure(entry: EncodedResponse) -> Figure:
    """Draw r by layer of all kinds of vectors, controls without layers as lines, and the noise ceiling."""

    def paint(axes: Axes) -> None:
        for kind, name in KINDS.items():
            rows = [score for score in entry.scores if score.vectors == kind]
            if kind in _STYLES and rows:
                layers, r, se = zip(*((score.layer, score.r, score.se) for score in rows), strict=True)
                axes.errorbar(layers, r, se, fmt=_STYLES[kind], color=color(kind), label=name, markersize=4)
            elif rows:
                axes.axhline(rows[0].r, color=color(kind), linestyle="-.", linewidth=1.5, label=name)
        if entry.ceiling is not None:
            axes.axhline(entry.ceiling, color="0.4", linewidth=1, linestyle="--", label="noise ceiling")
        mark_nothing(axes, entry.shuffled)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="layer", ylabel="r on items left out")
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))

    ceiling = "" if entry.ceiling is None else f"; noise ceiling {entry.ceiling:.2f}"
    best = max((score for score in entry.scores if score.vectors == "states"), key=lambda score: score.r)
    caption = f"Encoding of {entry.response} by layer, with one standard error over folds: the model and its controls{ceiling}."
    alt = f"{caption} States are best in layer {best.layer}, r = {best.r:.2f}."
    return draw(f"encoding_{slug(entry.response)}", caption, alt, paint, (8.2, 3.4))


SECTION = Declared("encoding", "Encoding", 1075, blocks, shown=lambda results: results.encoding is not None)
