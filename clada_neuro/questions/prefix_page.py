"""The page of the prefix analysis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.questions.cells import estimate, listed, parts
from clada_neuro.questions.page import Answer
from clada_neuro.reporting.blocks import Block, Facts, Headed, Paragraph, Points, Section, Table
from clada_neuro.reporting.figures import COLORS, Figure, draw
from clada_neuro.reporting.text import share

_Z = 1.96


@dataclass(frozen=True)
class PrefixTables:
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


def prefix_answer(found: PrefixTables, model: Mapping[str, Any], settings: Mapping[str, Any]) -> Answer:
    """Gather tables, figures and text."""
    position = settings["position"]
    return Answer(
        name="prefix",
        title="Shared prefixes and the similarity of activity",
        question="After two sequences have parted, is a token's feed-forward activity more similar the longer the stretch "
        "they shared before?",
        model=model,
        shows=[_shows(found.coefficients, measure) for measure in found.models["measure"].unique()],
        results=[
            Section("similarity", "Similarity by shared length", _figures(found.cells)),
            Section("slopes", "Slopes", [_slopes(found.coefficients)]),
            Section("r2", "R²", [_explained(found.models)]),
        ],
        control=[
            Paragraph(
                "Pairs that share nothing before the parting (length 0), random tokens with and without natural "
                "frequencies, and targets that are the same token or not. The compared position is the same throughout."
            )
        ],
        limits=[
            "A shared stretch is preceded by other tokens, except the longest, so natural sequences are spliced at its edges; in "
            "random tokens a splice changes nothing.",
            "The target's own identity decides most of the similarity.",
            "Distances share their documents, so differences between distances carry no interval. Intervals are of pairs drawn from "
            "one corpus and one model.",
        ],
        rows=[
            Paragraph(
                f"A row a pair, activity averaged over layers; {settings['pairs']} pairs a kind and distance, less those that agree "
                f"by chance where they should differ. Natural sequences begin different documents of {settings['corpus']}; at one "
                "distance each sequence is in one pair, and every distance pairs them anew. All are compared at token "
                f"{position + 1}; the distance is the number of differing tokens between the parting and the compared one."
            ),
            _left_out(found.cells, settings["pairs"]),
        ],
        tables={
            "cells": found.cells,
            "layers": found.layers,
            "models": found.models,
            "coefficients": found.coefficients,
        },
        settings=settings,
    )


def _left_out(cells: pd.DataFrame, pairs: int) -> Facts:
    """Return for each kind how many pairs are missing at each distance."""
    missing = pairs - cells.groupby(["kind", "distance"], sort=False)["n_pairs"].sum()
    return Facts(
        [
            (
                f"Left out, {kind}",
                ", ".join(f"{n} at distance {distance}" for distance, n in part.droplevel("kind").items()),
            )
            for kind, part in missing.groupby(level="kind", sort=False)
        ]
    )


def _each(coefficients: pd.DataFrame) -> pd.DataFrame:
    """Return the slopes of each kind and target, the target's name in a column of its own."""
    rows = coefficients.loc[coefficients["term"].isin(["shared_same", "shared_other"])]
    return rows.assign(target=rows["term"].str.removeprefix("shared_"))


def _slopes(coefficients: pd.DataFrame) -> Table:
    rows = _each(coefficients)
    rows = rows.assign(slope=[_estimate(row) for row in rows.itertuples()])
    wide = rows.pivot(index=["measure", "kind", "target"], columns="distance", values="slope")
    shown = wide.rename(columns="distance {}".format).reset_index()
    caption = "Change of similarity for each doubling of 1 + the shared length, by distance from the parting; 95 % limits from resampled pairs."
    return Table("slopes", caption, rows, shown)


def _explained(models: pd.DataFrame) -> Table:
    shown = pd.DataFrame(
        {
            "measure": models["measure"],
            "kind": models["kind"],
            "distance": models["distance"].map(str),
            "pairs": models["n_pairs"].map("{:,}".format),
            "R²m": models["r2_marginal"].map(share),
            "part of shared length": parts(models, ("part_shared", "part_low", "part_high")),
        }
    )
    return Table(
        "r2", "R², and the part of the shared length; 95 % intervals from resampled pairs.", models, shown
    )


def _shows(coefficients: pd.DataFrame, measure: str) -> Block:
    """Say at which distances similarity grows, and how random tokens differ from natural text."""
    rows = coefficients.loc[coefficients["measure"] == measure]
    each = [
        (f"{kind}, {target} target", _verdicts(part))
        for (kind, target), part in _each(rows).groupby(["kind", "target"], sort=False)
    ]
    less = rows.loc[rows["term"].str.startswith("log_shared:")]
    differences = [
        f"{_kind_of(row.term)}, distance {row.distance}: {_estimate(row)}" for row in less.itertuples()
    ]
    return Headed(
        f"{measure.capitalize()}, with each doubling of the shared length",
        [
            Facts(each),
            Paragraph("Slopes of random tokens less that of natural text, both targets:"),
            Points(differences),
        ],
    )


def _verdicts(rows: pd.DataFrame) -> str:
    """Return where similarity grows, falls, or neither is shown."""
    found: dict[str, list[str]] = {}
    for row in rows.itertuples():
        found.setdefault(_verdict(row), []).append(str(row.distance))
    return ", ".join(f"{verdict} at distance {listed(places)}" for verdict, places in found.items())


def _estimate(row: Any) -> str:
    return estimate(row.estimate, row.boot_low, row.boot_high, 4)


def _verdict(row: Any) -> str:
    if row.boot_low > 0:
        return "grows"
    return "falls" if row.boot_high < 0 else "not shown"


def _kind_of(term: str) -> str:
    return term.split("[T.", 1)[-1].rstrip("]")


def _figures(cells: pd.DataFrame) -> list[Block]:
    """Return a figure for each distance and target, all on one scale."""
    reach = _Z * cells["cosine_sem"].fillna(0)
    ends = (cells["cosine_mean"] - reach).min(), (cells["cosine_mean"] + reach).max()
    margin = 0.04 * (ends[1] - ends[0])
    limits = ends[0] - margin, ends[1] + margin
    return [
        _figure(int(distance), str(target), part, limits)
        for (distance, target), part in cells.groupby(["distance", "target"])
    ]


def _figure(distance: int, target: str, cells: pd.DataFrame, limits: tuple[float, float]) -> Figure:
    def paint(axis: Axes) -> None:
        for color, (kind, cell) in zip(COLORS, cells.groupby("kind", sort=False), strict=False):
            axis.errorbar(
                np.log2(1 + cell["shared"]), cell["cosine_mean"], yerr=_Z * cell["cosine_sem"].fillna(0),
                fmt="o-", ms=4, lw=1.2, color=color, label=kind,
            )  # fmt: skip
        lengths = sorted(cells["shared"].unique())
        axis.set_xticks(np.log2(1 + np.array(lengths)), [str(length) for length in lengths])
        axis.set(xlabel="shared tokens before the parting", ylabel="cosine of activity", ylim=limits)
        axis.legend(loc="best", fontsize=8.5)

    caption = (
        f"{target.capitalize()} target token, distance {distance}: similarity of activity by length of the shared stretch; means over "
        "pairs with 95 % intervals."
    )
    return draw(
        f"prefix_{distance}_{target}", caption, f"Lines, one a kind of sequence. {caption}", paint, (5.0, 3.2)
    )
