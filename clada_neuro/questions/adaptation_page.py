"""The page of the adaptation analysis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.numerals import decimals, fixed, interval
from clada_neuro.questions.cells import listed, part, parts
from clada_neuro.questions.page import Answer
from clada_neuro.reporting.blocks import Block, Facts, Paragraph, Points, Section, Table
from clada_neuro.reporting.figures import COLORS, Figure, draw
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.page_tables import coefficient_cells
from clada_neuro.reporting.text import share

PUBLISHED_R2 = 0.17  # arXiv 2502.19078, abstract
# Rows are tokens here; elsewhere these columns are of words.
_TOKENS = {
    "position": "position",
    "log_prefix": "log₂ prefix length",
    "log_frequency": "log₂ token frequency",
    "surprisal_lag1": "surprisal of the previous token",
    "adjustment_lag1": "adjustment of the previous token",
}


@dataclass(frozen=True)
class AdaptationTables:
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


def adaptation_answer(
    found: AdaptationTables, model: Mapping[str, Any], settings: Mapping[str, Any]
) -> Answer:
    """Gather tables, figures and text."""
    primary = found.models.loc[found.models["model"] == "primary"].set_index("sequences")
    natural = primary.loc["natural"]
    others = [kind for kind in primary.index if kind != "natural"]
    return Answer(
        name="adaptation",
        title="Surprisal, entropy and the adjustment of activity",
        question="Do surprisal and entropy predict how far a token's feed-forward activity moves from that of the token "
        "before (1 − cosine of |a|·c, mean over layers)?",
        model=model,
        shows=_shows(natural, primary, found.curve),
        results=[
            Section(
                "r2",
                "R²",
                [
                    Paragraph(
                        f"Primary model, natural text: R²m = {part(natural['r2_marginal'], natural['r2_low'], natural['r2_high'])}, of "
                        f"which surprisal, entropy and their product are {_part(natural)}; the published figure is "
                        f"{PUBLISHED_R2} (level and predictors not known in full)."
                    ),
                    _parts_figure(found.models),
                    _models(found.models),
                    _levels(found.levels),
                ],
            ),
            Section(
                "coefficients",
                "Coefficients",
                [_curve_figure(found.curve), _coefficients(found.coefficients)],
            ),
        ],
        control=[
            Paragraph(
                "Random tokens with natural frequencies (unigram) and without (uniform), and the signals of natural text shuffled "
                "within sequences. The signals' part of R² there: "
                + "; ".join(f"{kind} {_part(primary.loc[kind])}" for kind in others)
                + "."
            )
        ],
        limits=[
            "Signals and activity come from the same model, and the signals are computed from its last layer: this is description, "
            "not cause.",
            "Their product stands without their squares, so a curve in either may pass for it.",
            "Adjustment compares a token with its neighbor, so it holds what the two tokens are, beyond their frequency.",
            f"Residuals of neighboring tokens are correlated (lag 1: {fixed(natural['autocorrelation'], 2)}); intervals come from whole "
            "sequences for that reason.",
            "The lagged adjustment is a control that shares noise with the response. Sparsity comes from the same vector as adjustment.",
        ],
        rows=[
            Paragraph(
                f"{settings['corpus']} text; {natural['n_sequences']:.0f} sequences a kind, each from another document, "
                f"{settings['scored']} scored tokens each. The first two tokens of a sequence have no lagged adjustment and are left out."
            ),
            Facts([(f"Tokens, {kind}", f"{number:,}") for kind, number in found.rows.items()]),
        ],
        tables={
            "models": found.models,
            "coefficients": found.coefficients,
            "layers": found.curve,
            "levels": found.levels,
        },
        settings=settings,
    )


def _part(row: pd.Series) -> str:
    return part(row["part_signals"], row["part_low"], row["part_high"])


def _models(models: pd.DataFrame) -> Table:
    shown = pd.DataFrame(
        {
            "sequences": models["sequences"],
            "model": models["model"],
            "tokens": models["n_obs"].map("{:,}".format),
            "R²m": parts(models, ("r2_marginal", "r2_low", "r2_high")),
            "R²c": models["r2_conditional"].map(share),
            "part of the signals": parts(models, ("part_signals", "part_low", "part_high")),
            "autocorrelation": [fixed(value, 2) for value in models["autocorrelation"]],
        }
    )
    caption = "R² by kind of sequence and model; 95 % intervals from resampled sequences. Autocorrelation: of neighboring residuals."
    return Table("models", caption, models, shown)


def _levels(levels: pd.DataFrame) -> Table:
    shares = {"R²m": "r2_marginal", "R²c": "r2_conditional", "part of the signals": "part_signals"}
    shown = pd.DataFrame({"level": levels["level"], "rows": levels["n_obs"].map("{:,}".format)})
    shown = shown.assign(**{head: levels[name].map(share) for head, name in shares.items()})
    return Table(
        "levels",
        "R² of the primary model by level of aggregation, and the signals' part of it.",
        levels,
        shown,
    )


def _coefficients(coefficients: pd.DataFrame) -> Table:
    rows = coefficients.loc[coefficients["model"] == "primary"].reset_index(drop=True)
    shown = coefficient_cells(rows)
    shown.insert(0, "term", [_TOKENS.get(name, words(name)) for name in rows["term"]])
    if rows["boot_low"].notna().any():
        digits = [decimals(se) for se in rows["se"]]
        limits = zip(rows["boot_low"], rows["boot_high"], digits, strict=True)
        shown["95 % CI, resampled"] = [interval(*each) for each in limits]
    caption = "Primary model on natural text, predictors z-scored; last, limits from resampled sequences."
    return Table("coefficients", caption, rows, shown)


def _shows(natural: pd.Series, primary: pd.DataFrame, curve: pd.DataFrame) -> list[Block]:
    others = primary.drop(index="natural")
    above = [kind for kind in others.index if natural["part_low"] > others.loc[kind, "part_high"]]
    below = [kind for kind in others.index if natural["part_high"] < others.loc[kind, "part_low"]]
    unclear = [kind for kind in others.index if kind not in (*above, *below)]
    significant = curve.loc[curve["p_bh"] < 0.05, "term"].value_counts()
    layers = [
        f"{words(str(term))}: below p = .05 after adjustment in {significant.get(term, 0)} of {rows['layer'].nunique()} layers, positive in "
        f"{(rows['estimate'] > 0).sum()}."
        for term, rows in curve.groupby("term", sort=False)
    ]
    where = {
        "The signals' part of R² in natural text lies above that of": above,
        "The signals' part of R² in natural text lies below that of": below,
        "Its interval overlaps those of": unclear,
    }
    said = [f"{text} {listed(kinds)}." for text, kinds in where.items() if kinds]
    return [Points([*said, *layers])]


def _parts_figure(models: pd.DataFrame) -> Figure:
    rows = models.loc[models["model"] == "primary"].reset_index(drop=True)

    def paint(axis: Axes) -> None:
        reach = [rows["part_signals"] - rows["part_low"], rows["part_high"] - rows["part_signals"]]
        axis.errorbar(rows["part_signals"], rows.index, xerr=reach, fmt="o", color=COLORS[0])
        axis.axvline(PUBLISHED_R2, color="black", linewidth=0.8, linestyle="--")
        axis.set_yticks(rows.index, rows["sequences"])
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xlabel("part R² of the signals")

    caption = (
        "What surprisal, entropy and their product add to R² (95 % intervals from resampled sequences), with the published R² of a model "
        "as a dashed line."
    )
    return draw(
        "adaptation_parts",
        caption,
        f"Points with intervals by kind of sequence. {caption}",
        paint,
        (5.0, 3.2),
    )


def _curve_figure(curve: pd.DataFrame) -> Figure:
    def paint(axis: Axes) -> None:
        for color, (term, rows) in zip(COLORS, curve.groupby("term", sort=False), strict=False):
            axis.fill_between(rows["layer"], rows["ci_low"], rows["ci_high"], color=color, alpha=0.2, lw=0)
            axis.plot(rows["layer"], rows["estimate"], color=color, label=words(str(term)))
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set(xlabel="layer", ylabel="change of adjustment per SD")
        axis.legend(fontsize=8.5)

    caption = (
        "Coefficients of surprisal, entropy and their product by layer in natural text, with 95 % intervals."
    )
    return draw("adaptation_layers", caption, f"Lines over layers. {caption}", paint, (5.0, 3.2))
