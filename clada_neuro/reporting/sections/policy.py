"""What a policy left uncomputed: the budget of each token, the load behind it, reanalysis, and what it cost."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from clada_neuro.overview.policy import ACTION, EVENT, decided, flag
from clada_neuro.records.manifest import PolicyFacts
from clada_neuro.records.overview import Histogram, Tenths, UnderPolicy
from clada_neuro.reporting.blocks import Block, Facts, Paragraph
from clada_neuro.reporting.figures import COLORS, POINTS, Figure, bars, compose, draw
from clada_neuro.reporting.labels import axis, words
from clada_neuro.reporting.prose import calibration_in_words, policy_name, what_is_skipped
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import capitalized, cell, number, plural, share

_MOST_TOKENS = 40
_WEIGHTS = {"ffn_sparsity": "FFN", "linear_sparsity": "linear"}


def present(results: Results) -> bool:
    """Return whether the trace was made under a policy and its tokens say what was skipped."""
    return policy_name(results.manifest) != "dense" and results.overview.policy is not None


def blocks(results: Results) -> Iterator[Block]:
    """Yield the facts and the figures."""
    yield Paragraph(
        f"{capitalized(what_is_skipped(results.manifest))} was not read. Sparsity and adjustment are functions of load here, so what "
        "they predict is exploratory; see Limits."
    )
    yield Facts(facts(results))
    yield from figures(results)


def facts(results: Results) -> list[tuple[str, str]]:
    """Return asked and realised sparsity, reanalysis, the cost in prediction, and what the masks came from."""
    manifest, found = results.manifest, results.overview.policy
    assert found is not None
    realized = f"{share(found.sparsity)}, mean of {plural(found.n_decided, 'token')}"
    reanalysis = f"{plural(found.n_events, 'event')} (load above its rolling percentile), {plural(found.n_actions, 'action')}"
    cost = f"{number(found.kl_dense_bits, 3)} bits a token (KL divergence from the dense model's)"
    sparsity = capitalized(words(found.share))
    told = [
        ("Policy", policy_name(manifest)),
        ("Scope", manifest.policy.scope),
        (f"{sparsity} asked for", share(manifest.sparsity)),
        (f"{sparsity} realized", realized),
        ("Dense beginnings", plural(found.n_tokens - found.n_decided, "token") + _first(manifest.policy)),
        ("Reanalysis", reanalysis),
        ("Change of predictions", "NA" if found.kl_dense_bits is None else cost),
        ("Calibration", calibration_in_words(manifest) or "NA"),
        ("Hash of the policy", cell(manifest.policy.hash)),
    ]
    return [(name, value) for name, value in told if value != "NA"]


def _first(policy: PolicyFacts) -> str:
    count = policy.dense_prefix
    return f"; the first {count} of a text, start token included, and any context" if count else ""


def figures(results: Results) -> list[Figure]:
    """Return one text token by token, the budget, and load with its events, budget and cost."""
    found, tokens = results.overview.policy, results.tables["tokens"]
    assert found is not None
    drawn = [_one_text(tokens, found), _budget(found, results.manifest.sparsity)]
    if found.load:
        drawn += [_load(found), *(_against_load(tenths, decided(tokens)) for tenths in found.by_load)]
    return drawn


def _one_text(tokens: pd.DataFrame, found: UnderPolicy) -> Figure:
    """Draw a text token by token."""
    chosen, what = found.text, _WEIGHTS[found.share]
    rows = tokens[tokens["stimulus_id"] == chosen].head(_MOST_TOKENS)
    places, labels = np.arange(len(rows)), [_readable(token) for token in rows["token"]]
    event, action = flag(rows, EVENT).to_numpy(), flag(rows, ACTION).to_numpy()
    by_policy = rows.index.isin(decided(rows).index)
    read = 100 * (1 - rows[found.share].to_numpy(float))

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
        below.set(ylim=(0, 112), ylabel=capitalized(f"{what} weights\nread (%)"))
        below.set_xticks(places, labels, rotation=60, ha="right", fontsize=8)

    dense = "Gray budgets: computed densely, before the policy sets in."
    caption = (
        f"One text token by token ({chosen}): the load of each token and the weights that were read. {dense}"
    )
    return compose("policy_text", caption, f"Two panels over tokens. {caption}", paint, (5.0, 3.9))


def _readable(token: str) -> str:
    return token.replace("Ġ", "").replace("▁", "").replace("Ċ", "↵") or "␣"


def _budget(found: UnderPolicy, asked: float | None) -> Figure:
    def paint(axes: Axes) -> None:
        bars(axes, found.budget)
        if found.sparsity is not None:
            axes.axvline(found.sparsity, color="#374151", linewidth=1.5, label="mean")
        if asked is not None:
            axes.axvline(asked, color=COLORS[3], linewidth=1.5, linestyle="--", label="asked for")
        axes.set(xlabel=axis(found.share), ylabel="Tokens")
        axes.legend()

    caption = f"Share of {_WEIGHTS[found.share]} weights not read, over {plural(found.n_decided, 'token')}: mean {share(found.sparsity)}."
    return draw("policy_budget", caption, f"Histogram. {caption}", paint)


def _load(found: UnderPolicy) -> Figure:
    load, events = found.load, found.events_by_load
    assert load is not None
    assert events is not None
    others = [both - event for both, event in zip(load.counts, events.counts, strict=True)]
    without = Histogram(edges=load.edges, counts=others)

    def paint(axes: Axes) -> None:
        bars(axes, without, label="no event")
        bars(axes, events, on=without, color=COLORS[3], label="reanalysis event")
        axes.set(xlabel=axis("load"), ylabel="Tokens")
        axes.legend()

    caption = (
        f"Load of {plural(found.n_loaded, 'token')} and the {plural(found.n_loaded_events, 'reanalysis event')} among them. "
        "The rolling percentile needs ten loads before it, so short texts have few events."
    )
    return draw("policy_load", caption, f"Stacked histogram. {caption}", paint)


def _against_load(found: Tenths, tokens: pd.DataFrame) -> Figure:
    name, low, high = found.measure, found.low, found.high

    def paint(axes: Axes) -> None:
        axes.scatter(
            tokens["load"], tokens[name], s=9, color=POINTS, alpha=0.4, linewidths=0, rasterized=True
        )
        axes.plot(
            found.load, found.mean, "s-", color=COLORS[1], markersize=5, label="means of ten equal bins"
        )
        axes.set(xlabel=axis("load"), ylabel=axis(name))
        axes.set_ylim(low - 0.1 * (high - low), high + 0.2 * (high - low))
        axes.legend(loc="upper right")

    what = "What was skipped" if name in _WEIGHTS else "What skipping changed in the prediction"
    first, last = number(found.mean[0], 3), number(found.mean[-1], 3)
    caption = f"{what}, by load: {first} in the lowest tenth, {last} in the highest. Gray: tokens, without the most extreme."
    return draw(f"policy_{name}", caption, f"Scatter plot. {caption}", paint)


SECTION = Declared("policy", "Under the policy", 600, blocks, shown=present)
