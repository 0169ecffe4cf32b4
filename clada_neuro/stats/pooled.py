"""One estimate for several language models that were fitted to the same trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from clada_neuro.errors import FitError


@dataclass(frozen=True)
class Pooled:
    """The mean of a coefficient over language models.

    The fits share their trials, so they are not independent. ``se`` is the mean of their standard errors: the
    standard error of the mean when the fits are perfectly dependent, and an upper bound otherwise. ``df`` is the
    smallest of theirs. Estimates are comparable when predictors are z-scored.
    """

    term: str
    n_models: int
    n_negative: int
    estimate: float
    se: float
    df: float
    t: float
    p: float
    ci_low: float
    ci_high: float
    lowest: float
    highest: float
    share_negative: float


def pool(entries: Sequence[Mapping[str, Any]], term: str, confidence: float = 0.95) -> Pooled:
    """Pool one term over entries of fits.json, one a language model.

    Raises
    ------
    FitError
        When an entry lacks the term, or the entries differ in formula or number of rows.
    """
    if not entries:
        raise FitError(f"there is no fit to pool '{term}' over")
    for entry in entries:
        if term not in entry["coefficients"]:
            raise FitError(f"fit '{entry['name']}' has no term '{term}' to pool")
    # What was specified: the reduction ladder may have taken other slopes out for each model.
    compared = {
        "formula": {entry.get("specified", entry["formula"]) for entry in entries},
        "n_obs": {entry["n_obs"] for entry in entries},
    }
    for key, found in compared.items():
        if len(found) > 1:
            raise FitError(f"fits to pool differ in {key}: {', '.join(map(str, sorted(found)))}")
    rows = [entry["coefficients"][term] for entry in entries]
    estimates = np.array([row["estimate"] for row in rows])
    se = float(np.mean([row["se"] for row in rows]))
    # An infinite df is written as null.
    df = min(np.inf if row["df"] is None else row["df"] for row in rows)
    mean = float(estimates.mean())
    half = float(stats.t.ppf((1 + confidence) / 2, df)) * se
    return Pooled(
        term, len(rows), int(np.sum(estimates < 0)), mean, se, float(df), mean / se, float(2 * stats.t.sf(abs(mean / se), df)), mean - half, mean + half,
        float(estimates.min()), float(estimates.max()), float(np.mean(estimates < 0)),
    )  # fmt: skip
