"""Distributions of the model's measures over words and layers, and of the responses over trials."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.measures.tokens import MAIN

_BINS, _MOST_CONDITIONS, _WHISKER = 40, 12, 1.5
_SHADED = (*MAIN, "load", "ffn_sparsity", "linear_sparsity")


def critical_words(words: pd.DataFrame, stimuli: pd.DataFrame) -> pd.DataFrame:
    """Return the critical words (every word when none is marked), with their stimulus's condition."""
    if "is_critical" in words and words["is_critical"].any():
        words = words[words["is_critical"].astype(bool)]
    if "condition" not in words and len(words) and "condition" in stimuli:
        labels = stimuli.drop_duplicates("stimulus_id").set_index("stimulus_id")["condition"]
        words = words.assign(condition=words["stimulus_id"].map(labels))
    return words


def of_words(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the distribution of each main measure over critical words, by condition where there are a few."""
    measures = [name for name in MAIN if name in frame and frame[name].notna().any()]
    return [_distribution(frame.dropna(subset=[name]), name) for name in measures]


def of_trials(trials: pd.DataFrame, responses: Sequence[str]) -> list[dict[str, Any]]:
    """Return the distribution of each response over trials."""
    present = [name for name in responses if trials[name].notna().any()]
    return [_distribution(trials[[name]].dropna(), name) for name in present]


def _distribution(frame: pd.DataFrame, name: str) -> dict[str, Any]:
    order = list(dict.fromkeys(frame["condition"].dropna())) if "condition" in frame else []
    few = order if 1 < len(order) <= _MOST_CONDITIONS else []
    boxes = [_box(str(one), frame.loc[frame["condition"] == one, name].to_numpy(float)) for one in few]
    return {"column": name, "n": len(frame), "histogram": histogram(frame[name]), "boxes": boxes}


def histogram(values: pd.Series, edges: int | np.ndarray = _BINS) -> dict[str, Any]:
    """Return counts between edges of equal distance."""
    counts, edges = np.histogram(values.to_numpy(float), edges)
    return {"edges": edges, "counts": counts}


def _box(condition: str, values: np.ndarray) -> dict[str, Any]:
    q1, median, q3 = np.percentile(values, [25, 50, 75])
    reach = _WHISKER * (q3 - q1)
    low, high = values[values >= q1 - reach].min(), values[values <= q3 + reach].max()
    return {
        "condition": condition, "low": min(low, q1), "q1": q1, "median": median, "q3": q3, "high": max(high, q3),
    }  # fmt: skip


def of_layers(layers: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the quartiles of each measure over tokens, layer by layer."""
    found = []
    for name in (name for name in MAIN if name in layers):
        quartiles = layers.groupby("layer")[name].quantile([0.25, 0.5, 0.75]).unstack()
        q1, median, q3 = (quartiles[at] for at in (0.25, 0.5, 0.75))
        found.append(
            {"measure": name, "layer": quartiles.index.to_numpy(), "q1": q1, "median": median, "q3": q3}
        )
    return found


def ranges(words: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return the 2nd and the 98th percentile of each measure that words can be shaded by."""
    shaded = [name for name in _SHADED if name in words and words[name].notna().any()]
    return {name: tuple(np.nanquantile(words[name].to_numpy(float), [0.02, 0.98])) for name in shaded}
