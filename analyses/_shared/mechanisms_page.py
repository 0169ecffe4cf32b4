"""The results page and figure of 31_mechanisms.py: sentences that follow from the numbers."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure as Canvas

from _shared.mechanism_texts import LENGTH, PREFIX
from _shared.mechanisms import BASE, IDEAS
from clada_neuro.reporting.figures import COLORS, compose

_HEAD = """# What load and prefix can earn

Made by `python analyses/31_mechanisms.py` (see there) with calibration {calibration}. SmolLM2-135M; {documents} documents (C4 that calibration has not
seen and WikiText-2), {length} tokens each, {tokens:,} predictions; {prefix} dense tokens, then the policy at every token, at exactly {target:g} of
feed-forward bytes not read. *Loss*: rise over dense, nats per token; *divergence*: KL(dense ‖ policy), its expectation with less noise. *Over none*:
divergence minus that of CLADA without load, prefix term or other mechanism. *Idea − control*: divergence of the mechanism minus that of the control
of its row; below zero, the mechanism is better. Brackets are 95 % intervals over documents; *smallest* is the difference that these documents
would have shown four times in five (2.8 standard errors). Whatever is fitted or chosen comes from 24 documents of the calibration's part of C4.
"""
_TICKS = (-0.1, -0.01, 0.0, 0.01, 0.1)
_CONTROLS = {
    "random": "the same budgets for other tokens",
    "reversed": "the same budgets turned",
    "foreign": "another text's prefix",
    "general": "neurons that are least active on calibration texts",
    "flat": "load where the marginal loss is flat",
    "swapped": "surprisal at inputs, entropy at neurons",
}


def page(
    table: pd.DataFrame,
    tried: pd.DataFrame,
    known: dict[str, tuple[float, float]],
    kept: dict[str, tuple[float, float]],
    calibration: str,
    target: float,
) -> str:
    """Return the page: what each idea wins over none, and over its controls; what is known beforehand; what settings were tried."""
    first = table.iloc[0]
    documents = int(first["documents"])
    head = _HEAD.format(
        calibration=calibration, documents=documents, length=LENGTH, prefix=PREFIX, target=target,
        tokens=documents * (LENGTH - PREFIX - 1),
    )  # fmt: skip
    lines = [head, _row(["", "loss", "divergence", "over none", "smallest", "idea − control", "smallest"])]
    lines += [_row(["---"] * 7), *(_row(_cells(row)) for _, row in table.iterrows()), ""]
    return "\n".join([*lines, *_verdicts(table), *_known(known), *_kept(kept), *_settings(tried)])


def said(name: str) -> str:
    """Return a policy's row in words."""
    idea, _, variant = name.partition("-")
    if name == BASE:
        return "none (CLADA without load)"
    if variant and variant == IDEAS[idea].bound:
        return f"{IDEAS[idea].words}: *bound*, the rest of the text"
    return f"— {_CONTROLS[variant]}" if variant else IDEAS[idea].words


def wins(table: pd.DataFrame, idea: str) -> bool:
    """Return whether an idea loses less than none and than each of its controls, no interval reaching zero."""
    own = table.loc[table["policy"] == idea].iloc[0]
    controls = _controls(table, idea)
    return bool(own["base_divergence_high"] < 0 and (controls["idea_divergence_low"] > 0).all())


def _controls(table: pd.DataFrame, idea: str) -> pd.DataFrame:
    return table[table["policy"].isin([f"{idea}-{control}" for control in IDEAS[idea].controls])]


def _cells(row: pd.Series) -> list[str]:
    control = row["policy"] not in (BASE, row["idea"]) and not pd.isna(row.get("idea_divergence"))
    turned = row.copy()
    if control:
        turned["idea_divergence"] = -row["idea_divergence"]
        turned["idea_divergence_low"], turned["idea_divergence_high"] = (
            -row["idea_divergence_high"],
            -row["idea_divergence_low"],
        )
    none = row["policy"] == BASE
    return [
        said(row["policy"]),
        _interval(row, "loss"),
        _interval(row, "divergence"),
        "" if none else _bold(row, "base_divergence"),
        "" if none else f"{row['base_divergence_smallest']:.4f}",
        _bold(turned, "idea_divergence") if control else "",
        f"{row['idea_divergence_smallest']:.4f}" if control else "",
    ]


def _verdicts(table: pd.DataFrame) -> list[str]:
    """Return a line an idea and bound: does it win over none and all its controls, and how much is there to win?"""
    rows = table.set_index("policy")
    none = float(rows.loc[BASE, "divergence"])
    lines = ["## What wins\n"]
    for idea, own in IDEAS.items():
        bound = f"{idea}-{own.bound}"
        if bound in rows.index:
            most = 100 * max(0.0, -rows.loc[bound, "base_divergence_low"]) / none
            lines.append(
                f"- {said(bound)}: {_change(rows, bound, none)}; no more than {most:.1f} % are there to win."
            )
        if idea in rows.index:
            lines.append(f"- {own.words}: {_change(rows, idea, none)}; {_verdict(table, idea)}.")
    return [*lines, ""]


def _change(rows: pd.DataFrame, name: str, none: float) -> str:
    return f"{100 * rows.loc[name, 'base_divergence'] / none:+.1f} % of the divergence without it"


def _beside_load(own: pd.Series) -> str:
    """Return what a mechanism wins over the load that ships, if that was measured."""
    if pd.isna(own.get("ships_divergence")):
        return ""
    low, high = own["ships_divergence_low"], own["ships_divergence_high"]
    found = f"{own['ships_divergence']:+.4f} [{low:+.4f}, {high:+.4f}], smallest {own['ships_divergence_smallest']:.4f}"
    return f"; minus the load that ships {found}"


def _verdict(table: pd.DataFrame, idea: str) -> str:
    own = table.loc[table["policy"] == idea].iloc[0]
    if not IDEAS[idea].controls:
        return "not a policy: it looks at what the dense model would have said"
    if own["base_divergence_low"] > 0:
        return "**loses** against none"
    if len(_controls(table, idea)) < len(IDEAS[idea].controls):
        return "its controls were not all measured"
    return (
        f"**wins** over none and over each control{_beside_load(own)}"
        if wins(table, idea)
        else "is not shown to win over none and each control"
    )


def _known(known: dict[str, tuple[float, float]]) -> list[str]:
    lines = [
        "## How well a token's divergence is known beforehand\n",
        "Share of variance between tokens that what is known before a token is processed explains on texts left out (8 folds, least squares). *All* "
        "adds the square of surprisal and its product with entropy. What is not known cannot be spent.\n",
        _row(["from", "log divergence", "divergence"]),
        _row(["---"] * 3),
        *(_row([name, *(f"{100 * share:.1f} %" for share in both)]) for name, both in known.items()),
        "",
    ]
    return lines


def _kept(kept: dict[str, tuple[float, float]]) -> list[str]:
    words = {
        "lost": "mean of what a block loses (of its norm)",
        "input": "log threshold at inputs",
        "hidden": "log threshold at neurons",
    }
    return [
        "## What a prefix tells of the rest\n",
        "How far texts differ from each other after the prefix, and which share of a prefix's own deviation goes on (least-squares slope within 0 and 1, "
        "by which it is shrunk); means over layers, 24 documents of the calibration's part.\n",
        _row(["of", "spread between texts", "share that goes on"]),
        _row(["---"] * 3),
        *(_row([words[name], f"{size:.2f}", f"{share:.2f}"]) for name, (size, share) in kept.items()),
        "",
    ]


def _settings(tried: pd.DataFrame) -> list[str]:
    lines = [
        "## Settings that were tried on calibration documents\n",
        "Divergence minus that of CLADA without load at equal bytes, nats per token; the least was taken, also where it is above zero.\n",
        _row(["idea", "setting", "difference"]),
        _row(["---"] * 3),
    ]
    for _, row in tried.iterrows():
        lines.append(_row([IDEAS[row["idea"]].words, f"{row['setting']:g}", _interval(row, "difference")]))
    return [*lines, ""]


def _interval(row: pd.Series, name: str) -> str:
    return f"{row[name]:+.4f} [{row[f'{name}_low']:+.4f}, {row[f'{name}_high']:+.4f}]"


def _bold(row: pd.Series, name: str) -> str:
    text = _interval(row, name)
    return f"**{text}**" if row[f"{name}_low"] * row[f"{name}_high"] > 0 else text


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def figure(table: pd.DataFrame, path: Path) -> None:
    """Draw what each policy costs over none, controls grey below their idea, bounds as rings."""
    rows = table[table["policy"] != BASE].iloc[::-1].reset_index(drop=True)
    own = rows["policy"] == rows["idea"]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.axvline(0, color="0.5", linewidth=0.8)
        for place, row in rows.iterrows():
            color = COLORS[0] if own[place] else "0.55"
            axes.hlines(place, row["base_divergence_low"], row["base_divergence_high"], color=color)
            ring = "bound" in said(row["policy"])
            axes.plot(
                row["base_divergence"], place, "o", color=color, markersize=5, mfc="white" if ring else color
            )
        names = [said(name).replace("*", "") for name in rows["policy"]]
        axes.set_yticks(range(len(rows)), names, fontsize=8)
        axes.set_xscale("symlog", linthresh=0.01)
        axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS], fontsize=8)
        axes.set_xlabel("divergence over CLADA without load, nats a token", fontsize=8)

    drawn = compose(
        path.stem,
        "What each mechanism costs over none.",
        "Intervals by policy.",
        paint,
        (9.0, 0.25 * len(rows) + 1.2),
    )
    path.write_bytes(drawn.png)
