"""What a reader looks at first: waveforms over subjects, how much was used, and what became of every event."""

from collections.abc import Iterable, Mapping
from typing import Any

import mne
import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.erp.components import PRESETS, Component
from clada_neuro.erp.epochs import MICROVOLTS
from clada_neuro.erp.evoked import seen_from_above
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


def over_scalp(
    averages: Mapping[str, mne.Evoked], components: Iterable[Component] = tuple(PRESETS.values())
) -> pd.DataFrame:
    """Return the mean of each waveform in the components' windows: event, predictor, from_ms, to_ms, channel, x, y, amplitude_uv.

    Parameters
    ----------
    averages
        Waveforms over subjects by ``event/predictor``.
    components
        Those whose window lies in a waveform are looked at.
    """
    frames = [
        _in_window(name, average, component)
        for name, average in averages.items()
        for component in components
        if component.within(average.tmin, average.tmax)
    ]
    columns = ["event", "predictor", "from_ms", "to_ms", "channel", "x", "y", "amplitude_uv"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _in_window(name: str, average: mne.Evoked, component: Component) -> pd.DataFrame:
    event, _, predictor = name.partition("/")
    inside = (average.times >= component.tmin - 1e-6) & (average.times <= component.tmax + 1e-6)
    places = pd.DataFrame(seen_from_above(average.info, average.ch_names), columns=["x", "y"])
    return places.assign(
        event=event, predictor=predictor, from_ms=1e3 * component.tmin, to_ms=1e3 * component.tmax,
        channel=average.ch_names, amplitude_uv=MICROVOLTS * average.data[:, inside].mean(axis=1),
    )  # fmt: skip
