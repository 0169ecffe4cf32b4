"""The page and the figure of 32_long_generations.py."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from _shared.long_tables import DENSE, SURVIVAL, WHOLE
from clada_neuro.reporting.figures import COLORS, Figure, compose

_HEAD = """# Answers in steps, long continuations, and where texts part

Made by `python analyses/32_long_generations.py` (see there). SmolLM2-135M in float32, prompts read densely, what is written under the policy. Numbers after
a name are the asked share of feed-forward bytes that is not read, `ffn_sparsity` the realised one; *refresh 16* has a dense pass over every 16 tokens at as many bytes. Brackets are 95 %
intervals over items or prompts, paired with dense; *visible* is the smallest difference that four of five such runs would show (2.8 standard errors).
"""
_ITEMS = """## Answers in steps

Items are made from a seed (`analyses/_shared/made_items.py`), two examples before each question, greedy; right is the same number or word. *Same text* is the share of
answers that are dense's, letter by letter. `items.csv` has every kind of item.
"""
_GREEDY = """## Where greedy continuations part from dense

The number of tokens shared with the dense float32 continuation before the first other one (of 64; inf: not within them), its median with the interval of order
statistics, and the share of prompts still together after some tokens. `dense bfloat16` leaves nothing out: what it
does, any other numbers do.
"""
_SAMPLED = """## 512 tokens drawn at temperature 1, judged by the dense model

*Nats* are the dense model's surprisal of a token that was written, perplexity their exponential; *divergence* is KL(policy ‖ dense) of the next token on the policy's
own text, in nats; *growth* the last quarter's divergence minus the first's; *repetition* the share of runs of four tokens that stood in the continuation before.
"""


def page(tables: dict[str, pd.DataFrame]) -> str:
    """Return the page of the parts that are there."""
    parts = [_HEAD]
    for name, made in (("items", _items), ("greedy", _greedy), ("sampled", _sampled)):
        if name in tables:
            parts += made(tables[name])
    return "\n".join(parts)


def _items(table: pd.DataFrame) -> list[str]:
    rows = [_ITEMS]
    for name, cells in table.groupby("items", sort=False):
        if name not in ("all", "arithmetic", "tracking"):
            continue
        rows += [f"### {name}: {int(cells['n'].iloc[0])} items\n"]
        titles = (
            "policy",
            "ffn_sparsity",
            "right, %",
            "minus dense, points",
            "visible",
            "same text, %",
            "tokens",
        )
        rows += [_row(titles), _row(["---"] * len(titles))]
        for _, row in cells.iterrows():
            difference = _interval(row, "minus_dense", 100, 1)
            visible = "" if not difference else f"{100 * row['minus_dense_visible']:.1f}"
            found = [
                row["policy"],
                f"{row['ffn_sparsity']:.3f}",
                f"{100 * row['right']:.1f}",
                difference,
                visible,
            ]
            rows.append(_row([*found, f"{100 * row['same_text']:.0f}", f"{row['tokens']:.1f}"]))
        rows.append("")
    kinds = table[~table["items"].isin(["all", "arithmetic", "tracking"])]
    wide = kinds.pivot(index="policy", columns="items", values="right")[list(kinds["items"].unique())]
    wide = wide.loc[kinds["policy"].unique()]
    rows += [
        "### Right by kind, %\n",
        _row(["policy", *wide.columns]),
        _row(["---"] * (1 + len(wide.columns))),
    ]
    rows += [_row([name, *(f"{100 * value:.0f}" for value in row)]) for name, row in wide.iterrows()]
    return [*rows, ""]


def _greedy(table: pd.DataFrame) -> list[str]:
    titles = ("policy", "prompts", "median", *(f"together after {count}, %" for count in SURVIVAL))
    rows = [_GREEDY, _row(titles), _row(["---"] * len(titles))]
    for _, row in table.iterrows():
        median = f"{row['median']:g} [{row['median_low']:g}, {row['median_high']:g}]"
        shares = [f"{100 * row[f'together_{count}']:.0f}" for count in SURVIVAL]
        rows.append(_row([row["policy"], row["prompts"], median, *shares]))
    return [*rows, ""]


def _sampled(table: pd.DataFrame) -> list[str]:
    titles = (
        "policy", "prompts", "ffn_sparsity", "perplexity", "nats minus dense", "visible", "divergence", "growth", "repetition, %",
        "minus dense, points",
    )  # fmt: skip
    rows = [_SAMPLED, _row(titles), _row(["---"] * len(titles))]
    for _, row in table[table["part"] == WHOLE].iterrows():
        nats = _interval(row, "nats_minus_dense", 1, 3)
        rows.append(
            _row(
                [
                    row["policy"], row["prompts"], f"{row['ffn_sparsity']:.3f}", f"{row['perplexity']:.1f}", nats,
                    f"{row['nats_minus_dense_visible']:.3f}" if nats else "", _interval(row, "divergence", 1, 4),
                    _interval(row, "growth", 1, 4), f"{100 * row['repetition']:.1f}",
                    _interval(row, "repetition_minus_dense", 100, 1),
                ]
            )
        )  # fmt: skip
    places = table[table["part"] != WHOLE]
    names = list(places["part"].unique())
    for measure, title, digits in (("divergence", "Divergence", 4), ("perplexity", "Perplexity", 1)):
        rows += [
            "",
            f"{title} by place in the continuation:\n",
            _row(["policy", *names]),
            _row(["---"] * (1 + len(names))),
        ]
        for policy, own in places.groupby("policy", sort=False):
            by = own.set_index("part")[measure]
            rows.append(_row([policy, *(f"{by[name]:.{digits}f}" for name in names)]))
    return [*rows, ""]


def _interval(row: pd.Series, name: str, unit: float, digits: int) -> str:
    if pd.isna(row.get(name)):
        return ""
    mean, low, high = (unit * row[key] for key in (name, f"{name}_low", f"{name}_high"))
    return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def _row(cells: "list[object] | tuple[object, ...]") -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def figure(tables: dict[str, pd.DataFrame]) -> Figure:
    """Return what is lost of answers, when texts part, and how far policies are from dense, side by side."""
    painters = {"items": _paint_items, "greedy": _paint_greedy, "sampled": _paint_sampled}
    there = [name for name in painters if name in tables]
    policies = list(dict.fromkeys(policy for name in there for policy in tables[name]["policy"]))
    color = {policy: COLORS[place % len(COLORS)] for place, policy in enumerate(sorted(policies))}

    def paint(canvas: Canvas) -> None:
        for axes, name in zip(np.atleast_1d(canvas.subplots(1, len(there))), there, strict=True):
            painters[name](axes, tables[name], color)

    alt = "Points of answers lost by policy; survival of greedy continuations; divergence by place."
    return compose(
        "long_generations", "Where leaving weights out hurts.", alt, paint, (5.2 * len(there), 4.2)
    )


def _paint_items(axes: Axes, table: pd.DataFrame, color: dict[str, str]) -> None:
    cells = table[(table["items"] == "all") & (table["policy"] != DENSE)].iloc[::-1]
    for place, (_, row) in enumerate(cells.iterrows()):
        ends = [[100 * row["minus_dense_low"]], [100 * row["minus_dense_high"]]]
        axes.plot(np.ravel(ends), [place, place], color=color[row["policy"]], lw=2)
        axes.plot(100 * row["minus_dense"], place, "o", color=color[row["policy"]])
    axes.axvline(0, color="0.6", lw=1)
    axes.set_yticks(range(len(cells)), list(cells["policy"]))
    axes.set_xlabel("right answers minus dense, points")


def _paint_greedy(axes: Axes, table: pd.DataFrame, color: dict[str, str]) -> None:
    for _, row in table.iterrows():
        shares = [1.0, *(row[f"together_{count}"] for count in SURVIVAL)]
        axes.plot([1, *SURVIVAL], shares, "o-", ms=3, color=color[row["policy"]], label=row["policy"])
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, *SURVIVAL], [str(count) for count in (1, *SURVIVAL)])
    axes.set_xlabel("tokens")
    axes.set_ylabel("still the dense continuation")
    axes.legend(fontsize=7)


def _paint_sampled(axes: Axes, table: pd.DataFrame, color: dict[str, str]) -> None:
    places = table[(table["part"] != WHOLE) & (table["policy"] != DENSE)]
    for policy, own in places.groupby("policy", sort=False):
        at = [math.fsum(map(int, name.split("-"))) / 2 for name in own["part"]]
        axes.errorbar(
            at, own["divergence"], [own["divergence"] - own["divergence_low"], own["divergence_high"] - own["divergence"]],
            fmt="o-", ms=3, lw=1, color=color[policy], label=policy,
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_xlabel("token of the continuation")
    axes.set_ylabel("KL(policy ‖ dense), nats")
    axes.legend(fontsize=7)
