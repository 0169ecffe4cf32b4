"""The results page of 30_whole_model.py."""

from collections.abc import Sequence

import pandas as pd

from clada_neuro.policies.artifact import Calibration

_HEAD = """# Weights of attention left out, too

Made by `python analyses/30_whole_model.py` (see there) with calibration {calibration} of scope all. SmolLM2-135M; C4 documents that calibration has not
seen and WikiText-2 articles, {documents} of them, {tokens:,} tokens; 32 dense tokens, then the policy at every token. Sparsity is the share of the
bytes of all linear maps of the layers that is not read. *Loss* is the rise over dense in nats per token, *divergence* KL(dense ‖ policy), its
expectation with less noise, both at exactly the sparsity of the heading; brackets are 95 % intervals over documents. The four
columns after what was read are shares of rows left out at each site: what queries, keys and values read together, what the output map reads, what gate and
up read together, and neurons. *clada-ffn* leaves out as many bytes from feed-forward blocks alone.
"""
_TITLES = (
    "policy", "linear_sparsity", "qkv", "out", "input", "hidden", "loss", "divergence", "{reference} − policy (divergence)",
)  # fmt: skip


TIMED = "## How fast decoding is"
_COLUMNS = (
    "engine", "policy", "linear_sparsity", "qkv", "out", "input", "hidden", "tokens/s [quartiles]", "against dense [quartiles]",
    "ceiling", "of the streaming rate",
)  # fmt: skip


def timings(speeds: Sequence[tuple[str, pd.DataFrame]]) -> str:
    """Return the page's last part: how fast decoding is, a table a command."""
    return "\n".join(line for command, rows in speeds for line in _speed(command, rows))


def page(table: pd.DataFrame, limits: pd.DataFrame, calibration: Calibration) -> str:
    """Return the page: policies by sparsity, the certificate, and how fast decoding can become."""
    first = table.iloc[0]
    parts = [
        _HEAD.format(
            documents=int(first["documents"]), tokens=int(first["tokens"]), calibration=calibration.identity
        )
    ]
    for asked, cells in table.groupby("asked", sort=True):
        parts += [
            f"## {asked:g} of all linear weights\n",
            _row(_TITLES).format(reference=first["compared_with"]),
            _row(["---"] * len(_TITLES)),
        ]
        parts += [_row(_cells(row)) for _, row in cells.sort_values("loss").iterrows()]
        parts.append("")
    return "\n".join([*parts, *_certificate(calibration), *_limits(limits), ""])


def _cells(row: pd.Series) -> list[str]:
    sites = [f"{row[site]:.2f}" for site in ("qkv", "out", "input", "hidden")]
    difference = (
        "" if pd.isna(row.get("clada_minus_divergence")) else _interval(row, "clada_minus_divergence")
    )
    return [
        row["policy"],
        f"{row['linear_sparsity']:.3f}",
        *sites,
        *(_interval(row, name) for name in ("loss", "divergence")),
        difference,
    ]


def _interval(row: pd.Series, name: str) -> str:
    return f"{row[name]:+.4f} [{row[f'{name}_low']:+.4f}, {row[f'{name}_high']:+.4f}]"


def _certificate(calibration: Calibration) -> list[str]:
    found = calibration.header["certificate"]
    if not found["frontier"]:
        return []
    rows = [
        f"- {row['asked']:g}: +{row['loss_nats']:.4f} nats per token, upper bound {row['upper_bound_nats']:.4f}"
        for row in found["frontier"]
    ]
    held = found[calibration.share]
    said = f"holds up to {held:g}" if held is not None else f"does not hold: {found['reason']}"
    return [
        "## The certificate of scope all\n",
        f"On {found['documents']} documents that no choice has seen, the limit of {found['bound_nats']:g} nats per token (one-sided, "
        f"confidence {found['confidence']:g}) {said}.\n",
        *rows,
        "",
    ]


def _limits(limits: pd.DataFrame) -> list[str]:
    wide = limits.pivot(index="sparsity", columns="scope", values="ceiling")
    return [
        "## How fast decoding can become\n",
        "All weight bytes that a token reads over those left, embedding rows left out, the output layer dense, where each scope "
        "leaves out the sparsity *of its own weights*:\n",
        _row(["sparsity", *wide.columns]),
        _row(["---"] * (1 + len(wide.columns))),
        *(_row([f"{s:g}", *(f"{value:.2f}" for value in row)]) for s, row in wide.iterrows()),
        "",
    ]


def _speed(command: str, rows: pd.DataFrame) -> list[str]:
    first = rows.iloc[0]
    return [
        f"{TIMED}: {first['dtype']}\n",
        f"`{command}`: batch 1, {first['threads']} threads, medians of {first['rounds']} interleaved rounds of {first['tokens']} tokens, load of "
        f"the machine {first['load_average']:.1f}. Sparsities are realised ones.\n",
        _row(_COLUMNS),
        _row(["---"] * len(_COLUMNS)),
        *(_row(_timed(row)) for _, row in rows.iterrows()),
        "",
    ]


def _timed(row: pd.Series) -> list[str]:
    sites = [row[f"{site}_dropped"] for site in ("qkv", "out", "input", "hidden")]
    return [
        row["engine"],
        row["policy"],
        f"{row['linear_sparsity']:.2f}",
        *("" if pd.isna(share) else f"{share:.2f}" for share in sites),
        f"{row['tokens_per_s']:.1f} [{row['tokens_per_s_low']:.1f}, {row['tokens_per_s_high']:.1f}]",
        f"{row['ratio_vs_dense']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]",
        f"{row['ceiling']:.2f}",
        f"{row['stream_share']:.2f} of {row['stream_gb_s']:.1f} GB/s",
    ]


def _row(cells: "list[str] | tuple[str, ...]") -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
