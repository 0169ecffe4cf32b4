"""The page of the prefix analysis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from clada_neuro.questions.page import Results
from clada_neuro.reporting.figures import COLORS, Figure, compose

_Z = 1.96


@dataclass(frozen=True)
class Found:
    """Tables of the analysis.

    Attributes
    ----------
    pairs : pandas.DataFrame
        A row a pair: its cell, and cosine and Jaccard index averaged over layers.
    cells, layers : pandas.DataFrame
        Means and standard errors of every cell, and of every cell and layer.
    models : pandas.DataFrame
        R² of each model, and the shared length's part with its interval over pairs.
    coefficients : pandas.DataFrame
        With the bootstrap's limits and p adjusted over a measure.
    """

    pairs: pd.DataFrame
    cells: pd.DataFrame
    layers: pd.DataFrame
    models: pd.DataFrame
    coefficients: pd.DataFrame


def prefix_results(found: Found, model: Mapping[str, Any], settings: Mapping[str, Any]) -> Results:
    """Gather tables, figure and text."""
    position = settings["position"]
    cosine = found.models.loc[(found.models["measure"] == "cosine") & (found.models["kind"] != "all")]
    return Results(
        name="prefix",
        title="Shared prefixes and the similarity of activity",
        question="After two sequences have parted, is a token's feed-forward activity more similar the longer the stretch "
        "they shared before?",
        model=model,
        rows=f"A row a pair, activity averaged over layers; {settings['pairs']} pairs a kind and distance, less those that "
        f"agree by chance where they should differ ({_left_out(found.pairs)}). Natural sequences begin different documents "
        f"of {settings['corpus']}; at one distance each sequence is in one pair, and every distance pairs them anew. All "
        f"are compared at token {position + 1}; the distance is the number of differing tokens between the parting and the "
        "compared one.",
        shown={
            "Slopes: change for each doubling of 1 + the shared length, by distance [95 % limits from resampled "
            "pairs]": _slopes(found.coefficients),
            "R², and the part of the shared length (95 % intervals from resampled pairs)": found.models,
        },
        tables={
            "cells": found.cells,
            "layers": found.layers,
            "models": found.models,
            "coefficients": found.coefficients,
        },
        figure=_figure(found.cells),
        r2="Cosine: "
        + "; ".join(
            f"distance {row.distance}, {row.kind} {row.r2_marginal:.3f}, of which shared length {row.part_shared:.3f} "
            f"[{row.part_low:.3f}, {row.part_high:.3f}]".replace("-", "−")
            for row in cosine.itertuples()
        )
        + ".",
        control="Pairs that share nothing before the parting (length 0), random tokens with and without natural "
        "frequencies, and targets that are the same token or not. The compared position is the same throughout.",
        shows=" ".join(_shows(found.coefficients, measure) for measure in found.models["measure"].unique()),
        limits="A shared stretch is preceded by other tokens, except the longest, so natural sequences are spliced at its "
        "edges; in random tokens a splice changes nothing. The target's own identity decides most of the similarity. "
        "Distances share their documents, so differences between distances carry no interval. Intervals are of pairs "
        "drawn from one corpus and one model.",
        settings=settings,
    )


def _left_out(pairs: pd.DataFrame) -> str:
    """Return for each kind how many pairs are missing at each distance, in the order of the distances."""
    counts = pairs.groupby(["kind", "distance"])["n_chance"].first()
    return "; ".join(
        f"{kind} {', '.join(map(str, part))}" for kind, part in counts.groupby(level="kind", sort=False)
    )


def _each(coefficients: pd.DataFrame) -> pd.DataFrame:
    """Return the slopes of each kind and target, the target's name in a column of its own."""
    rows = coefficients.loc[coefficients["term"].isin(["shared_same", "shared_other"])]
    return rows.assign(target=rows["term"].str.removeprefix("shared_"))


def _slopes(coefficients: pd.DataFrame) -> pd.DataFrame:
    rows = _each(coefficients)
    rows = rows.assign(slope=[_estimate(row) for row in rows.itertuples()])
    wide = rows.pivot(index=["measure", "kind", "target"], columns="distance", values="slope")
    return wide.rename(columns="distance {}".format).reset_index()


def _shows(coefficients: pd.DataFrame, measure: str) -> str:
    """Say at which distances similarity grows, and how random tokens differ from natural text."""
    rows = coefficients.loc[coefficients["measure"] == measure]
    each = [
        f"{kind}, {target} target: {_verdicts(part)}"
        for (kind, target), part in _each(rows).groupby(["kind", "target"], sort=False)
    ]
    less = rows.loc[rows["term"].str.startswith("log_shared:")]
    differences = [
        f"{_kind_of(row.term)} at distance {row.distance} {_estimate(row)}" for row in less.itertuples()
    ]
    return (
        f"{measure.capitalize()}, with each doubling of the shared length: {'; '.join(each)}. "
        f"Slopes of random tokens less that of natural text, both targets: {'; '.join(differences)}."
    )


def _verdicts(rows: pd.DataFrame) -> str:
    """Return where similarity grows, falls, or neither is shown."""
    found: dict[str, list[str]] = {}
    for row in rows.itertuples():
        found.setdefault(_verdict(row), []).append(str(row.distance))
    return ", ".join(f"{verdict} at distance {_listed(places)}" for verdict, places in found.items())


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _estimate(row: Any) -> str:
    return f"{row.estimate:+.4f} [{row.boot_low:.4f}, {row.boot_high:.4f}]".replace("-", "−")


def _verdict(row: Any) -> str:
    if row.boot_low > 0:
        return "grows"
    return "falls" if row.boot_high < 0 else "not shown"


def _kind_of(term: str) -> str:
    return term.split("[T.", 1)[-1].rstrip("]")


def _figure(cells: pd.DataFrame) -> Figure:
    distances, targets = sorted(cells["distance"].unique()), sorted(cells["target"].unique())

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots(len(distances), 2, sharey=True, squeeze=False)
        for (distance, target), part in cells.groupby(["distance", "target"]):
            axis = axes[distances.index(distance), targets.index(target)]
            for color, (kind, cell) in zip(COLORS, part.groupby("kind", sort=False), strict=False):
                axis.errorbar(
                    np.log2(1 + cell["shared"]), cell["cosine_mean"], yerr=_Z * cell["cosine_sem"].fillna(0),
                    fmt="o-", ms=4, lw=1.2, color=color, label=kind,
                )  # fmt: skip
            lengths = sorted(part["shared"].unique())
            axis.set_xticks(np.log2(1 + np.array(lengths)), [str(length) for length in lengths])
            axis.set_title(f"{target} target token, distance {distance}", fontsize=10)
        for axis in axes[-1]:
            axis.set_xlabel("shared tokens before the parting")
        for axis in axes[:, 0]:
            axis.set_ylabel("cosine of activity")
        axes[0, 0].legend()

    return compose(
        "prefix",
        "Similarity of activity after the parting by length of the shared stretch; means over pairs with 95 % intervals.",
        "Cosine by shared length, one line a kind of sequence, one panel a target and distance",
        paint,
        (8.0, 1.0 + 2.5 * len(distances)),
    )
