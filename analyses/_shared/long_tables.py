"""Tables of 32_long_generations.py: what each policy loses against dense on the same items and prompts, with intervals."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from _shared.equal_sparsity import POWER, estimate
from _shared.made_items import ARITHMETIC, CLOZE

DENSE = "dense"
SPAN = 128  # tokens of a part of a continuation
WORDS = 4  # tokens of what counts as repeated
SURVIVAL = (2, 4, 8, 16, 32, 64)
WHOLE = "whole"
_GROUPS = {"all": (*ARITHMETIC, *CLOZE), "arithmetic": ARITHMETIC, "tracking": CLOZE}


def paired(name: str, values: pd.Series, reference: pd.Series) -> dict[str, float]:
    """Return the mean difference with its 95 % interval, and the smallest that four of five such runs would show."""
    difference = (values - reference).dropna()
    visible = POWER * difference.std() / math.sqrt(len(difference))
    return {**estimate(name, difference), f"{name}_visible": visible}


def matched(name: str, right: pd.Series, reference: pd.Series) -> dict[str, float]:
    """Return the same for answers that are right (1) or wrong (0), whose interval is no point where no answer differs.

    Half an item is added to each cell of the table of both, for the interval alone (Agresti & Min 2005, Stat. Med. 24).
    """
    n, won, lost = len(right) + 2, (right > reference).sum() + 0.5, (right < reference).sum() + 0.5
    error = math.sqrt(won + lost - (won - lost) ** 2 / n) / n
    middle, reach = (won - lost) / n, stats.norm.ppf(0.975) * error
    ends = {f"{name}_low": middle - reach, f"{name}_high": middle + reach, f"{name}_visible": POWER * error}
    return {name: (right - reference).mean(), **ends}


def of_items(found: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row a group of items and policy: share right, the difference from dense in paired items, and sparsity.

    Items that not every policy has answered are left out.
    """
    answers = pd.DataFrame(found)
    answers = answers[answers.groupby("item")["policy"].transform("size") == answers["policy"].nunique()]
    groups = {**_GROUPS, **{kind: (kind,) for kind in _GROUPS["all"]}}
    return pd.DataFrame([row for name, kinds in groups.items() for row in _group(name, kinds, answers)])


def _group(name: str, kinds: tuple[str, ...], answers: pd.DataFrame) -> Iterator[dict[str, Any]]:
    own = answers[answers["kind"].isin(kinds)]
    if own.empty:
        return
    right = own.pivot(index="item", columns="policy", values="right").astype(float)
    text = own.pivot(index="item", columns="policy", values="text")
    for policy in own["policy"].unique():
        cell = own[own["policy"] == policy]
        row = {
            "items": name,
            "policy": policy,
            "n": len(cell),
            "right": right[policy].mean(),
            "ffn_sparsity": np.average(cell["ffn_sparsity"], weights=cell["tokens"] - 1),
            "tokens": cell["tokens"].mean(),
            "same_text": (text[policy] == text[DENSE]).mean(),
        }
        if policy != DENSE:
            row |= matched("minus_dense", right[policy], right[DENSE])
        yield row


def of_greedy(found: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row a policy: the median token at which it departs from dense, its interval, and the share that has not after some.

    The interval of the median is that of order statistics (binomial, at least 95 %).
    """
    rows = []
    for policy, cell in pd.DataFrame(found).groupby("policy"):
        # One that never departed did so after all that was written: it is no missing value.
        places = cell["departs"].astype(float).fillna(np.inf).sort_values().to_numpy()
        low = int(stats.binom.ppf(0.025, len(places), 0.5))
        ends = {
            "median_low": places[max(low - 1, 0)],
            "median_high": places[min(len(places) - low, len(places) - 1)],
        }
        shares = {f"together_{count}": float((places >= count).mean()) for count in SURVIVAL}
        rows.append({"policy": policy, "prompts": len(places), "median": np.median(places), **ends, **shares})
    return pd.DataFrame(rows).sort_values("median", ascending=False, ignore_index=True)


def repetition(tokens: list[int]) -> float:
    """Return the share of a text's runs of four tokens that stood in it before."""
    runs = [tuple(tokens[at : at + WORDS]) for at in range(len(tokens) - WORDS + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def of_sampled(found: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row a policy and part of the continuation: surprise and distance by the dense model, repetition, sparsity.

    ``growth`` is the last part's distance minus the first's; differences are over prompts that dense has continued, too.
    """
    cells = pd.DataFrame([row for one in found for row in _parts(one)])
    return pd.DataFrame(
        [row for name, part in cells.groupby("part", sort=False) for row in _part(str(name), part)]
    )


def _parts(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    last = len(one["nats"])
    spans = {WHOLE: (0, last)} | {f"{at + 1}-{at + SPAN}": (at, at + SPAN) for at in range(0, last, SPAN)}
    distances = {name: float(np.mean(one["divergence"][slice(*span)])) for name, span in spans.items()}
    first, *_, final = list(distances.values())[1:]
    for name, span in spans.items():
        yield {
            "part": name,
            "prompt": one["prompt"],
            "policy": one["policy"],
            "nats": float(np.mean(one["nats"][slice(*span)])),
            "divergence": distances[name],
            "growth": final - first if name == WHOLE else np.nan,
            "repetition": repetition(one["tokens"][slice(*span)]),
            "ffn_sparsity": float(np.mean(one["ffn_sparsity"][slice(*span)])),
        }


def _part(name: str, cells: pd.DataFrame) -> Iterator[dict[str, Any]]:
    measures = ("nats", "divergence", "growth", "repetition")
    wide = {measure: cells.pivot(index="prompt", columns="policy", values=measure) for measure in measures}
    for policy in cells["policy"].unique():
        own = {measure: table[policy] for measure, table in wide.items()}
        row: dict[str, Any] = {
            "part": name,
            "policy": policy,
            "prompts": len(own["nats"]),
            "ffn_sparsity": cells.loc[cells["policy"] == policy, "ffn_sparsity"].mean(),
            "perplexity": math.exp(own["nats"].mean()),
            **estimate("divergence", own["divergence"]),
            "repetition": own["repetition"].mean(),
        }
        if name == WHOLE:
            row |= estimate("growth", own["growth"])
        if policy != DENSE:
            row |= paired("nats_minus_dense", own["nats"], wide["nats"][DENSE])
            row |= paired("repetition_minus_dense", own["repetition"], wide["repetition"][DENSE])
        yield row
