"""The page of the adaptation analysis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from clada_neuro.questions.page import Results
from clada_neuro.reporting.figures import COLORS, Figure, compose

PUBLISHED_R2 = 0.17  # arXiv 2502.19078, abstract


@dataclass(frozen=True)
class Found:
    """Tables of the analysis.

    Attributes
    ----------
    models : pandas.DataFrame
        A row a kind of sequence and model: R², the signals' part of it, intervals over sequences, autocorrelation.
    coefficients : pandas.DataFrame
        Of the models of natural text, with the bootstrap's limits.
    curve : pandas.DataFrame
        A row a layer and signal.
    levels : pandas.DataFrame
        R² by level of aggregation.
    rows : dict
        Tokens by kind.
    """

    models: pd.DataFrame
    coefficients: pd.DataFrame
    curve: pd.DataFrame
    levels: pd.DataFrame
    rows: Mapping[str, int]


def adaptation_results(found: Found, model: Mapping[str, Any], settings: Mapping[str, Any]) -> Results:
    """Gather tables, figure and text."""
    primary = found.models.loc[found.models["model"] == "primary"].set_index("sequences")
    natural = primary.loc["natural"]
    coefficients = found.coefficients.loc[found.coefficients["model"] == "primary"].drop(columns="model")
    return Results(
        name="adaptation",
        title="Surprisal, entropy and the adjustment of activity",
        question="Do surprisal and entropy predict how far a token's feed-forward activity moves from that of the token "
        "before (1 − cosine of |a|·c, mean over layers)?",
        model=model,
        rows=f"{settings['corpus']} text; {natural['n_sequences']:.0f} sequences a kind, each from another document, "
        f"{settings['scored']} scored tokens each: "
        + ", ".join(f"{kind} {number:,}" for kind, number in found.rows.items())
        + ". The first two tokens of a sequence have no lagged adjustment and are left out.",
        shown={
            "R² by kind of sequence and model (95 % intervals from resampled sequences)": found.models,
            "Primary model on natural text (z-scored predictors; boot: resampled sequences)": coefficients,
            "R² by level of aggregation, and the signals' part of it": found.levels,
        },
        tables={
            "models": found.models,
            "coefficients": found.coefficients,
            "layers": found.curve,
            "levels": found.levels,
        },
        figure=_figure(found),
        r2=f"Primary model, natural text: R²m = {natural['r2_marginal']:.3f} "
        f"[{natural['r2_low']:.3f}, {natural['r2_high']:.3f}], of which surprisal, entropy and their product are "
        f"{_part(natural)}; the published figure is {PUBLISHED_R2} (level and predictors not known in full).",
        control="; ".join(
            f"{kind}: signals {_part(primary.loc[kind])}" for kind in primary.index if kind != "natural"
        )
        + ". Shuffled signals are those of natural text permuted within sequences.",
        shows=_shows(natural, primary, found.curve),
        limits="Signals and activity come from the same model, and the signals are computed from its last layer: this is "
        "description, not cause. Their product stands without their squares, so a curve in either may pass for it. Adjustment compares a token with its neighbor, so it holds what the two tokens are, "
        "beyond their frequency. Residuals of neighboring tokens are correlated "
        f"(lag 1: {_signed(natural['autocorrelation'])}); intervals come from whole sequences for that reason. The lagged "
        "adjustment is a control that shares noise with the response. Sparsity comes from the same vector as adjustment.",
        settings=settings,
    )


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _part(row: pd.Series) -> str:
    return f"{row['part_signals']:.4f} [{row['part_low']:.4f}, {row['part_high']:.4f}]"


def _shows(natural: pd.Series, primary: pd.DataFrame, curve: pd.DataFrame) -> str:
    others = primary.drop(index="natural")
    above = [kind for kind in others.index if natural["part_low"] > others.loc[kind, "part_high"]]
    below = [kind for kind in others.index if natural["part_high"] < others.loc[kind, "part_low"]]
    unclear = [kind for kind in others.index if kind not in (*above, *below)]
    counts = curve.loc[curve["p_bh"] < 0.05].groupby("term").size()
    layers = "; ".join(
        f"{term} in {counts.get(term, 0)} of {part['layer'].nunique()} layers, positive in {(part['estimate'] > 0).sum()}"
        for term, part in curve.groupby("term", sort=False)
    )
    return (
        f"The signals' part of R² in natural text lies above that of {_list(above)}; below that of {_list(below)}; "
        f"intervals overlap for {_list(unclear)}. By layer, below p = .05 after adjustment: {layers}."
    )


def _list(names: list[str]) -> str:
    return " and ".join(names) or "none"


def _figure(found: Found) -> Figure:
    def paint(canvas: Canvas) -> None:
        left, right = canvas.subplots(1, 2, width_ratios=[1.1, 1.4])
        _parts(left, found.models.loc[found.models["model"] == "primary"].reset_index(drop=True))
        for color, (term, part) in zip(COLORS, found.curve.groupby("term", sort=False), strict=False):
            right.fill_between(part["layer"], part["ci_low"], part["ci_high"], color=color, alpha=0.2, lw=0)
            right.plot(part["layer"], part["estimate"], color=color, label=term)
        right.axhline(0, color="black", linewidth=0.8)
        right.set_xlabel("layer")
        right.set_ylabel("change of adjustment per SD")
        right.legend(fontsize=7)

    return compose(
        "adaptation",
        "Left: what surprisal, entropy and their product add to R² (95 % intervals from resampled sequences), with the "
        "published R² of a model as a dashed line. Right: their coefficients by layer in natural text.",
        "Part R² of the signals by kind of sequence, and coefficients by layer",
        paint,
        (8.6, 3.4),
    )


def _parts(axis: Axes, rows: pd.DataFrame) -> None:
    reach = [rows["part_signals"] - rows["part_low"], rows["part_high"] - rows["part_signals"]]
    axis.errorbar(rows["part_signals"], rows.index, xerr=reach, fmt="o", color=COLORS[0])
    axis.axvline(PUBLISHED_R2, color="black", linewidth=0.8, linestyle="--")
    axis.set_yticks(rows.index, rows["sequences"])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel("part R² of the signals")
