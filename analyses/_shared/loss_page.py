"""The results page of 02_loss_at_equal_sparsity.py: tables in words that follow from the numbers."""

import math
from collections.abc import Callable

import pandas as pd

Difference = Callable[[str, str, float], pd.Series]  # of two policies' divergence, one value a document

HEAD = """# Loss at equal feed-forward sparsity

Made by `python analyses/02_loss_at_equal_sparsity.py` (see there) with the calibration that ships
({calibration}). SmolLM2-135M; C4 documents that calibration has not seen and
WikiText-2 articles; 32 dense tokens, then the policy at every token. *Loss* is the rise over dense in nats per token, *divergence* KL(dense ‖ policy), its
expectation with less noise. All policies sparsify the feed-forward blocks only and are carried to exactly the sparsity
of the heading. Brackets are 95 % intervals over documents. *Smallest* is the difference from CLADA in divergence that
this run would have found four times in five.
"""
SINGLE = (
    "| policy | read as asked | loss | divergence | CLADA − policy (divergence) | smallest | CLADA / policy |"
)
PLACES = {
    "scale": ("as a scale of the thresholds", "clada", "no-load", "random-load", "reversed-load"),
    "fifth": (
        "as that scale, for the most surprising fifth only",
        "fifth-load",
        "no-load",
        "fifth-random",
        "fifth-reversed",
    ),
    "budget": (
        "as a budget of ranks",
        "budget-load",
        "budget-fixed",
        "budget-random",
        "budget-reversed",
    ),
    "dense": (
        "as the trigger of dense tokens",
        "dense-load",
        "no-load",
        "dense-random",
        "dense-reversed",
    ),
}


def page(table: pd.DataFrame, difference: Difference, needed: float, calibration: str) -> str:
    """Return the page; ``needed`` is the effect in nats whose number of documents is worked out."""
    parts = [HEAD.format(calibration=calibration)]
    complete = table.loc[table["policy"] == "clada", "asked"]
    for asked in sorted(complete, key=lambda value: (value != 0.4, value)):
        cells = table.loc[table["asked"] == asked]
        tokens = int(cells.loc[cells["policy"] == "clada", "tokens"].iloc[0])
        parts += [f"## ffn_sparsity {asked:g}, {tokens:,} tokens\n", SINGLE, "|" + "---|" * 7]
        shown = cells.loc[~cells["policy"].str.startswith(tuple(f"{place}-" for place in PLACES))]
        same = shown["smallest_divergence"] == 0
        parts += [_row(row) for _, row in shown.loc[~same].iterrows()]
        if same.any():
            names = ", ".join(shown.loc[same, "policy"])
            parts.append(f"\n{names}: CLADA itself, since what they take out or replace was not chosen.")
        parts.append("")
    return "\n".join([*parts, *_places(table, difference, needed)]) + "\n"


def _row(row: pd.Series) -> str:
    start = (
        f"| {row['policy']} | {row['ffn_sparsity']:.3f} | {_interval(row, 'loss')} | "
        f"{_interval(row, 'divergence')} | "
    )
    if pd.isna(row.get("clada_ratio_divergence")):
        return start + "| | |"
    return (
        start + f"{_interval(row, 'clada_minus_divergence')} | {row['smallest_divergence']:.4f} | "
        f"{row['clada_ratio_divergence']:.2f} |"
    )


def _interval(row: pd.Series, name: str) -> str:
    return f"{row[name]:+.4f} [{row[f'{name}_low']:+.4f}, {row[f'{name}_high']:+.4f}]"


def _places(table: pd.DataFrame, difference: Difference, needed: float) -> list[str]:
    lines = [
        "## Where load helps, at 0.4\n",
        "Divergence of the policy that follows load minus the same without it, with random and with reversed load; "
        "below zero, load helps. *Documents* is what an effect of "
        f"{needed:g} nats would need to be found four times in five.\n",
        "| load acts | against | difference | documents run | smallest | documents needed |",
        "|---|---|---|---|---|---|",
    ]
    known = set(table.loc[table["asked"] == 0.4, "policy"])
    for words, load, *others in PLACES.values():
        for label, other in zip(("fixed", "random", "reversed"), others, strict=True):
            if {load, other} <= known:
                lines.append(_place_row(words, label, difference(load, other, 0.4), needed))
    return lines


def _place_row(words: str, label: str, difference: pd.Series, needed: float) -> str:
    error = difference.std() / math.sqrt(len(difference))
    mean = difference.mean()
    enough = math.ceil((2.8 * difference.std() / needed) ** 2)
    verdict = "**" if abs(mean) > 1.96 * error else ""
    return (
        f"| {words} | {label} | {verdict}{mean:+.4f} ± {1.96 * error:.4f}{verdict} | {len(difference)} | "
        f"{2.8 * error:.4f} | {enough:,} |"
    )
