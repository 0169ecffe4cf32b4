"""What a reader looks at first: waveforms over subjects, how much was used, and what became of every event."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.erp.overlap.result import OverlapRerp


def over_subjects(waveforms: pd.DataFrame) -> pd.DataFrame:
    """Return mean waveforms with 95 % t intervals over subjects: event, predictor, channel, time_ms, mean_uv, ci_low, ci_high, n_subjects."""
    keys = ["event", "predictor", "channel", "time_ms"]
    over = waveforms.groupby(keys, sort=False)["estimate_uv"].agg(["mean", "sem", "size"])
    with np.errstate(invalid="ignore"):
        half = stats.t.isf(0.025, over["size"] - 1) * over["sem"]
    return pd.DataFrame(
        {
            "mean_uv": over["mean"],
            "ci_low": over["mean"] - half,
            "ci_high": over["mean"] + half,
            "n_subjects": over["size"],
        }
    ).reset_index()


def totals(fits: Mapping[str, OverlapRerp], events: pd.DataFrame) -> dict[str, Any]:
    """Return seconds used of all recordings, the worst inflation and condition number, and events by outcome."""
    counts = events.groupby(["stage", "event", "outcome"], sort=False, as_index=False)["n"].sum()
    return {
        "seconds_used": sum(fit.seconds["estimated from"] for fit in fits.values()),
        "worst_inflation": max(value for fit in fits.values() for value in fit.inflation.values()),
        "worst_condition": max(fit.condition for fit in fits.values()),
        "outcomes": counts[counts["n"] > 0].to_dict("records"),
    }
