"""Means by condition with 95 % intervals: measures over texts, responses over people."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.measures.tokens import MAIN

_UNIT = "subject"
MEASURES = (*MAIN, "pseudo_surprisal_bits", "length", "zipf_frequency")


def means(
    rows: pd.DataFrame, values: Sequence[str], by: Sequence[str], unit: str | None = None
) -> pd.DataFrame:
    """Return mean and interval of each value in each cell of `by`.

    Parameters
    ----------
    unit : str, optional
        Column whose levels are averaged first, such as ``subject``; rows count on their own without.

    Returns
    -------
    DataFrame
        Columns measure, those of `by`, mean, ci_low, ci_high (missing for a single unit), n.
    """
    columns = ["measure", *by, "mean", "ci_low", "ci_high", "n"]
    if not values:
        return pd.DataFrame(columns=columns)
    order = rows[list(by)].dropna().drop_duplicates()  # that of the rows, whichever of them lack a value
    found = [
        order.merge(_cells(rows.dropna(subset=[name, *by]), name, list(by), unit), on=list(by))
        for name in values
    ]
    return pd.concat(found, ignore_index=True)[columns]


def at_critical_words(words: pd.DataFrame, stimuli: pd.DataFrame) -> pd.DataFrame:
    """Return the means of the model's measures at the critical words, by condition; empty without conditions."""
    if "condition" not in stimuli or "is_critical" not in words:
        return means(words, [], ["condition"])
    condition = stimuli.drop_duplicates("stimulus_id").set_index("stimulus_id")["condition"]
    critical = words[words["is_critical"].astype(bool)]
    critical = critical.assign(condition=critical["stimulus_id"].map(condition))
    return means(critical, [name for name in MEASURES if name in critical], ["condition"])


def of_responses(trials: pd.DataFrame, responses: Sequence[str]) -> pd.DataFrame:
    """Return the means of responses by condition, over the means of subjects where there are subjects."""
    if "condition" not in trials:
        return means(trials, [], ["condition"])
    return means(trials, responses, ["condition"], _UNIT if _UNIT in trials else None)


def _cells(rows: pd.DataFrame, name: str, by: list[str], unit: str | None) -> pd.DataFrame:
    if unit is not None:
        rows = rows.groupby([*by, unit], sort=False, observed=True)[name].mean().reset_index()
    cells = rows.groupby(by, sort=False, observed=True)[name].agg(["mean", "sem", "size"]).reset_index()
    with np.errstate(invalid="ignore"):
        half = cells["sem"] * stats.t.ppf(0.975, cells["size"] - 1)
    return cells.assign(
        measure=name, ci_low=cells["mean"] - half, ci_high=cells["mean"] + half, n=cells["size"]
    )
