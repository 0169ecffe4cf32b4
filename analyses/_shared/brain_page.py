"""The page and the figure of 27_brain_fit.py: sentences that follow from the numbers."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter

from clada_neuro.reporting.figures import COLORS, compose

MILLI = 1e3
_APART = 0.004  # of policies' intervals, so that none hides another
HEAD = """# Brain fit when feed-forward bytes are not read

Made by `python analyses/27_brain_fit.py` (see there). SmolLM2-135M reads the sentences densely and under each policy; the first four tokens of a
text (start token included) are always dense. *Gain*: thousandths of a nat a row in log-likelihood on items left out (ten folds) that surprisal
adds to the model without it; *over dense*: the same over the dense model's surprisal, on the same rows. Brackets are 95 % intervals over
the items of a response. *Loss*: rise of surprisal on the same words, bits a word. *Not read*: share of feed-forward bytes not read while
these words were processed. b: response's unit a standard deviation of surprisal.

Policies that were asked for: CLADA and two controls, without load and with random load; TEAL, WINA, CATS and GRIFFIN. CLADA and its controls reach
{reach:.2f} with the calibration that ships, which stands in place of 0.60; the thresholds of TEAL, WINA and CATS at 0.60, for which it has no
tables, are fitted on 16 texts as the calibration does.{left_out}
"""
LIMITS = """## What it does not show

One model of 135 million parameters and short texts, of which the first words are always dense; a larger model may lose less. The lines of a
panel share rows and items, so their intervals are not independent of each other. With {tests} comparisons with the dense model and no
correction for their number, about {chance:.0f} intervals would leave zero out by chance alone. Surprisal of the word before
is in no model. Amplitudes and times of the 205 sentences are of the same {words:,} words or fewer, from several groups of readers.
"""


def page(table: pd.DataFrame, left_out: Sequence[str] = ()) -> str:
    """Return the page; ``left_out`` names policies at sparsities that were not traced."""
    policies = table[table["policy"] != "dense"]
    reach = policies.loc[policies["policy"].isin(("clada", "no-load", "random-load")), "asked"].max()
    missing = f" Not traced so far: {', '.join(left_out)}." if left_out else ""
    parts = [
        HEAD.format(reach=reach, left_out=missing),
        "![Gains by sparsity](brain_fit.png)\n",
        "Bars are intervals of the difference from the dense model, whose own interval is grey.\n",
        "## In words\n",
        *_in_words(table),
    ]
    for title, rows in table.groupby("title", sort=False):
        first = rows.iloc[0]
        parts += [
            f"\n## {title}\n",
            f"{first['n_rows']:,} rows, {first['n_words']:,} words, {first['n_items']} items of folds.\n",
            "| policy | asked | not read | loss | gain | over dense | b (SE) |",
            "|---|---|---|---|---|---|---|",
            *(_line(row) for _, row in rows.sort_values(["asked", "loss"]).iterrows()),
        ]
    words = int(table.loc[table["texts"] == "devarda2023", "n_words"].max())
    parts += ["", LIMITS.format(tests=len(policies), chance=0.05 * len(policies), words=words)]
    return "\n".join(parts)


def _in_words(table: pd.DataFrame) -> list[str]:
    lines = []
    for title, rows in table.groupby("title", sort=False):
        dense = rows[rows["policy"] == "dense"].iloc[0]
        others = rows[rows["policy"] != "dense"]
        worse, better = others[others["over_dense_high"] < 0], others[others["over_dense_low"] > 0]
        told = f"- {title}: the dense model's surprisal gains {_interval(dense, 'gain')}"
        if dense["gain_low"] <= 0:
            told += ", not distinguishable from none"
        told += f". Worse than dense: {_named(worse)}. Better than dense: {_named(better)}."
        lines.append(told)
    return lines


def _named(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "none"
    return ", ".join(
        f"{policy} at {', '.join(f'{asked:g}' for asked in sorted(own['asked']))}"
        for policy, own in rows.groupby("policy", sort=False)
    )


def _line(row: pd.Series) -> str:
    over = "" if row["policy"] == "dense" else _interval(row, "over_dense")
    loss = (
        ""
        if row["policy"] == "dense"
        else f"{row['loss']:+.3f} [{row['loss_low']:+.3f}, {row['loss_high']:+.3f}]"
    )
    return (
        f"| {row['policy']} | {row['asked']:g} | {row['ffn_sparsity']:.3f} | {loss} | {_interval(row, 'gain')} | {over} | "
        f"{row['estimate']:.3f} ({row['se']:.3f}) |"
    )


def _interval(row: pd.Series, name: str) -> str:
    value, low, high = (MILLI * row[f"{name}{end}"] for end in ("", "_low", "_high"))
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def figure(table: pd.DataFrame, path: Path) -> None:
    """Draw gains by bytes not read, a panel a response, beside the loss on the same words."""
    titles = list(dict.fromkeys(table["title"]))
    policies = [name for name in dict.fromkeys(table["policy"]) if name != "dense"]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots(2, -(-(len(titles) + 1) // 2), squeeze=False).ravel()
        for panel, title in zip(axes, titles, strict=False):
            _gains(panel, table[table["title"] == title], policies)
            panel.set_title(title, fontsize=9)
        _loss(axes[len(titles)], table, policies)
        for spare in axes[len(titles) + 1 :]:
            spare.set_axis_off()
        axes[0].set_ylabel("held-out gain, 0.001 nats a row")
        canvas.legend(
            *axes[0].get_legend_handles_labels(), fontsize=8, ncols=len(policies), loc="outside lower center"
        )

    drawn = compose(path.stem, "Gains and loss by sparsity.", "Lines by policy.", paint, (10.5, 6.4))
    path.write_bytes(drawn.png)


def _gains(axes: Axes, rows: pd.DataFrame, policies: list[str]) -> None:
    dense = rows[rows["policy"] == "dense"].iloc[0]
    low, value, high = (MILLI * dense[f"gain{end}"] for end in ("_low", "", "_high"))
    axes.axhspan(low, high, color="0.92", zorder=0)
    axes.axhline(value, color="0.4", linewidth=1)
    axes.axhline(0, color="black", linewidth=0.8)
    for place, (policy, color) in enumerate(zip(policies, COLORS, strict=False)):
        own = rows[rows["policy"] == policy].sort_values("ffn_sparsity")
        x = own["ffn_sparsity"] + _APART * (place - len(policies) / 2)
        axes.plot(
            [0.0, *x],
            [value, *(MILLI * own["gain"])],
            "o-",
            color=color,
            markersize=3,
            linewidth=1,
            label=policy,
        )
        apart = (value + MILLI * own[f"over_dense{end}"] for end in ("_low", "_high"))
        axes.vlines(x, *apart, color=color, linewidth=0.7)
    axes.set_xlabel("bytes not read")


def _loss(axes: Axes, table: pd.DataFrame, policies: list[str]) -> None:
    """Draw the rise of loss: of the nouns dashed, of the sentences' words solid."""
    for texts, style in (("nieuwland2018", "--"), ("devarda2023", "-")):
        rows = table[table["texts"] == texts].drop_duplicates(["policy", "asked"])
        for policy, color in zip(policies, COLORS, strict=False):
            own = rows[rows["policy"] == policy].sort_values("ffn_sparsity")
            axes.plot([0.0, *own["ffn_sparsity"]], [0.0, *own["loss"]], style, color=color, linewidth=1)
            axes.vlines(own["ffn_sparsity"], own["loss_low"], own["loss_high"], color=color, linewidth=0.7)
    axes.set_yscale("symlog", linthresh=0.1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axes.set(xlabel="bytes not read", ylabel="rise of loss, bits a word")
    axes.set_title("loss (dashed: nouns)", fontsize=9)
