"""The page of the prefix analysis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from clada_neuro.reporting.figures import COLORS, Figure, compose
from clada_neuro.synergies.page import Results

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
    by_kind = found.pairs.groupby("kind", sort=False)
    counts = [f"{kind} {len(part)} ({part['n_chance'].iloc[0]} agreed by chance)" for kind, part in by_kind]
    shown = ["measure", "kind", "term", "estimate", "se", "boot_low", "boot_high", "p", "p_bh"]
    distance, position = settings["distance"], settings["position"]
    return Results(
        name="prefix",
        title="Shared prefixes and the similarity of activity",
        question="After two sequences have parted, is a token's feed-forward activity more similar the longer the stretch "
        "they shared before?",
        model=model,
        rows=f"Pairs, each sequence in one of them: {', '.join(counts)}. Natural sequences begin different documents of "
        f"{settings['corpus']}. Compared at token {position + 1}, {distance} differing tokens after the parting. Means "
        "over layers.",
        shown={
            "R², and the part of the shared length (95 % intervals from resampled pairs)": found.models,
            "Coefficients: change for each doubling of 1 + the shared length; boot: resampled pairs": found.coefficients[
                shown
            ],
        },
        tables={
            "cells": found.cells,
            "layers": found.layers,
            "models": found.models,
            "coefficients": found.coefficients,
        },
        figure=_figure(found.cells),
        r2="; ".join(
            f"{row.measure}, {row.kind}: {row.r2_marginal:.3f}, of which shared length {row.part_shared:.3f} "
            f"[{row.part_low:.3f}, {row.part_high:.3f}]"
            for row in found.models.itertuples()
        )
        + ".",
        control="Pairs that share nothing before the parting (length 0), random tokens with and without natural "
        "frequencies, and targets that are the same token or not. Position and distance are the same throughout.",
        shows=" ".join(_shows(found.coefficients, measure) for measure in found.models["measure"].unique()),
        limits="A shared stretch is preceded by other tokens, except the longest, so natural sequences are spliced at its "
        "edges; in random tokens a splice changes nothing. The target's own identity decides most of the similarity. One "
        f"position and one distance ({distance} tokens) are measured; how fast the effect fades is not. Intervals are of "
        "pairs drawn from one corpus and one model.",
        settings=settings,
    )


def _shows(coefficients: pd.DataFrame, measure: str) -> str:
    rows = coefficients.loc[coefficients["measure"] == measure]
    slopes = "; ".join(
        f"{row.kind}, {row.term.removeprefix('shared_')} target {_estimate(row)}, {_verdict(row)}"
        for row in rows.loc[rows["term"].isin(["shared_same", "shared_other"])].itertuples()
    )
    differences = "; ".join(
        f"{_kind_of(row.term)} {_estimate(row)}"
        for row in rows.loc[rows["term"].str.startswith("log_shared:")].itertuples()
    )
    return (
        f"{measure.capitalize()}, change for each doubling: {slopes}. "
        f"Slopes of random tokens less that of natural text, both targets: {differences}."
    )


def _estimate(row: Any) -> str:
    return f"{row.estimate:+.4f} [{row.boot_low:.4f}, {row.boot_high:.4f}]".replace("-", "−")


def _verdict(row: Any) -> str:
    if row.boot_low > 0:
        return "grows"
    return "falls" if row.boot_high < 0 else "not shown"


def _kind_of(term: str) -> str:
    return term.split("[T.", 1)[-1].rstrip("]")


def _figure(cells: pd.DataFrame) -> Figure:
    lengths = sorted(cells["shared"].unique())

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots(1, 2, sharey=True)
        for axis, (target, part) in zip(axes, cells.groupby("target"), strict=True):
            for color, (kind, cell) in zip(COLORS, part.groupby("kind", sort=False), strict=False):
                axis.errorbar(
                    np.log2(1 + cell["shared"]), cell["cosine_mean"], yerr=_Z * cell["cosine_sem"].fillna(0),
                    fmt="o-", ms=4, lw=1.2, color=color, label=kind,
                )  # fmt: skip
            axis.set_xticks(np.log2(1 + np.array(lengths)), [str(length) for length in lengths])
            axis.set_xlabel("shared tokens before the parting")
            axis.set_title(f"{target} target token", fontsize=10)
        axes[0].set_ylabel("cosine of activity")
        axes[0].legend()

    return compose(
        "prefix",
        "Similarity of activity after the parting by length of the shared stretch; means over pairs with 95 % intervals.",
        "Cosine by shared length, one line a kind of sequence, one panel a target",
        paint,
        (8.0, 3.4),
    )
