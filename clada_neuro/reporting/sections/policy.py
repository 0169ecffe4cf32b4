"""What a policy left uncomputed: the budget of each token, the load behind it, reanalysis, and what it cost."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from clada_neuro.records.manifest import PolicyFacts
from clada_neuro.reporting.blocks import Block, Facts, Paragraph
from clada_neuro.reporting.figures import COLORS, POINTS, Figure, compose, draw
from clada_neuro.reporting.labels import axis
from clada_neuro.reporting.prose import calibration_in_words, policy_name
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import cell, number, plural, share

_EVENT, _ACTION = "reanalysis_event", "reanalysis_action"
_BINS, _MOST_TOKENS = 10, 40


def present(results: Results) -> bool:
    """Return whether the trace was made under a policy and its tokens say what was skipped."""
    return policy_name(results.manifest) != "dense" and len(skipping(results)) > 0


def blocks(results: Results) -> Iterator[Block]:
    """Yield the facts and the figures."""
    yield Paragraph(
        "Part of the feed-forward weights was not read. Sparsity and adjustment are functions of load here, so what "
        "they predict is exploratory; see Limits."
    )
    yield Facts(facts(results))
    yield from figures(results)


def skipping(results: Results) -> pd.DataFrame:
    """Return the tokens at which the policy decided; those of the dense beginning are not among them."""
    tokens = results.tables.get("tokens", pd.DataFrame())
    if "ffn_sparsity" not in tokens:
        return tokens.iloc[:0]
    return tokens[(tokens["ffn_sparsity"] > 0) | _flag(tokens, _ACTION)]


def facts(results: Results) -> list[tuple[str, str]]:
    """Return asked and realised sparsity, reanalysis, the cost in prediction, and what the masks came from."""
    manifest, tokens = results.manifest, skipping(results)
    events, actions = _flag(tokens, _EVENT).sum(), _flag(tokens, _ACTION).sum()
    dense = len(results.tables["tokens"]) - len(tokens)
    found = [
        ("Policy", policy_name(manifest)),
        ("FFN sparsity asked for", share(manifest.sparsity)),
        (
            "FFN sparsity realized",
            f"{share(tokens['ffn_sparsity'].mean())}, mean of {plural(len(tokens), 'token')}",
        ),
        ("Dense beginnings", plural(dense, "token") + _first(manifest.policy)),
        (
            "Reanalysis",
            f"{plural(events, 'event')} (load above its rolling percentile), {plural(actions, 'action')}",
        ),
        ("Calibration", calibration_in_words(manifest) or "NA"),
        ("Hash of the policy", cell(manifest.policy.hash)),
    ]
    if "kl_dense_bits" in tokens:
        cost = (
            f"{number(tokens['kl_dense_bits'].mean(), 3)} bits a token (KL divergence from the dense model's)"
        )
        found.insert(5, ("Change of predictions", cost))
    return [(name, value) for name, value in found if value != "NA"]


def _first(policy: PolicyFacts) -> str:
    count = policy.dense_prefix
    return f"; the first {count} of a text, start token included, and any context" if count else ""


def figures(results: Results) -> list[Figure]:
    """Return one text token by token, the budget, and load with its events, budget and cost."""
    tokens = skipping(results)
    drawn = [_one_text(results, tokens), _budget(tokens, results.manifest.sparsity)]
    loaded = tokens.dropna(subset=["load"]) if "load" in tokens else tokens.iloc[:0]
    if len(loaded) >= _BINS and loaded["load"].nunique() > _BINS:
        drawn += [_load(loaded), _against_load(loaded, "ffn_sparsity")]
        if "kl_dense_bits" in loaded:
            drawn.append(_against_load(loaded, "kl_dense_bits"))
    return drawn


def _flag(tokens: pd.DataFrame, name: str) -> pd.Series:
    if name not in tokens:
        return pd.Series(False, index=tokens.index)
    return tokens[name].fillna(False).astype(bool)


def _one_text(results: Results, decided: pd.DataFrame) -> Figure:
    """Draw the first text with an event, or the first text."""
    tokens = results.tables["tokens"]
    with_event = decided.loc[_flag(decided, _EVENT), "stimulus_id"]
    chosen = with_event.iloc[0] if len(with_event) else decided["stimulus_id"].iloc[0]
    rows = tokens[tokens["stimulus_id"] == chosen].head(_MOST_TOKENS)
    places, labels = np.arange(len(rows)), [_readable(token) for token in rows["token"]]
    event, action = _flag(rows, _EVENT).to_numpy(), _flag(rows, _ACTION).to_numpy()
    by_policy = rows.index.isin(decided.index)
    read = 100 * (1 - rows["ffn_sparsity"].to_numpy(float))

    def paint(canvas: Canvas) -> None:
        above, below = canvas.subplots(2, 1, sharex=True)
        if "load" in rows:
            above.axhline(0, color="#6b7280", linewidth=1)
            above.plot(places, rows["load"], "o-", color=COLORS[0], markersize=4)
            above.plot(places[event], rows["load"][event], "D", color=COLORS[3], markersize=7, label="event")
            above.set_ylabel("Load (z)")
            if event.any():
                above.legend(loc="upper left")
        below.bar(places, read, color=np.where(by_policy, COLORS[0], POINTS))
        below.plot(places[action], read[action] + 4, "v", color=COLORS[3], markersize=6)
        below.set(ylim=(0, 112), ylabel="FFN weights\nread (%)")
        below.set_xticks(places, labels, rotation=60, ha="right", fontsize=8)

    dense = "Gray budgets: computed densely, before the policy sets in."
    caption = (
        f"One text token by token ({chosen}): the load of each token and the weights that were read. {dense}"
    )
    return compose("policy_text", caption, f"Two panels over tokens. {caption}", paint, (5.0, 3.9))


def _readable(token: str) -> str:
    return token.replace("Ġ", "").replace("▁", "").replace("Ċ", "↵") or "␣"


def _budget(tokens: pd.DataFrame, asked: float | None) -> Figure:
    values = tokens["ffn_sparsity"].to_numpy(float)

    def paint(axes: Axes) -> None:
        axes.hist(values, bins=30, color=COLORS[0], edgecolor="white")
        axes.axvline(values.mean(), color="#374151", linewidth=1.5, label="mean")
        if asked is not None:
            axes.axvline(asked, color=COLORS[3], linewidth=1.5, linestyle="--", label="asked for")
        axes.set(xlabel=axis("ffn_sparsity"), ylabel="Tokens")
        axes.legend()

    caption = f"Share of feed-forward weights not read, over {plural(len(tokens), 'token')}: mean {share(values.mean())}."
    return draw("policy_budget", caption, f"Histogram. {caption}", paint)


def _load(tokens: pd.DataFrame) -> Figure:
    event = _flag(tokens, _EVENT)
    parts = [tokens.loc[~event, "load"], tokens.loc[event, "load"]]

    def paint(axes: Axes) -> None:
        axes.hist(parts, bins=30, stacked=True, color=[COLORS[0], COLORS[3]], edgecolor="white",
                  label=["no event", "reanalysis event"])  # fmt: skip
        axes.set(xlabel=axis("load"), ylabel="Tokens")
        axes.legend()

    caption = (
        f"Load of {plural(len(tokens), 'token')} and the {plural(int(event.sum()), 'reanalysis event')} among them. The "
        "rolling percentile needs ten loads before it, so short texts have few events."
    )
    return draw("policy_load", caption, f"Stacked histogram. {caption}", paint)


def _against_load(tokens: pd.DataFrame, name: str) -> Figure:
    codes = pd.qcut(tokens["load"], _BINS, labels=False, duplicates="drop")
    means = tokens.groupby(codes)[["load", name]].mean()

    def paint(axes: Axes) -> None:
        axes.scatter(
            tokens["load"], tokens[name], s=9, color=POINTS, alpha=0.4, linewidths=0, rasterized=True
        )
        axes.plot(
            means["load"], means[name], "s-", color=COLORS[1], markersize=5, label="means of ten equal bins"
        )
        axes.set(xlabel=axis("load"), ylabel=axis(name))
        low, high = tokens[name].quantile([0.005, 0.99])
        axes.set_ylim(low - 0.1 * (high - low), high + 0.2 * (high - low))
        axes.legend(loc="upper right")

    low, high = means[name].iloc[[0, -1]]
    what = {"ffn_sparsity": "What was skipped", "kl_dense_bits": "What skipping changed in the prediction"}[
        name
    ]
    caption = f"{what}, by load: {number(low, 3)} in the lowest tenth, {number(high, 3)} in the highest. Gray: tokens, without the most extreme."
    return draw(f"policy_{name}", caption, f"Scatter plot. {caption}", paint)


SECTION = Declared("policy", "Under the policy", 600, blocks, shown=present)
