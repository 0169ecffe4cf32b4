"""What a policy left uncomputed: the budget of its tokens, the load behind it, reanalysis, and what it cost."""

from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.overview.distributions import histogram

EVENT, ACTION = "reanalysis_event", "reanalysis_action"
# The first that a trace has is what its policy's sparsity is a share of.
_SHARES = ("linear_sparsity", "ffn_sparsity")
_BINS, _TENTHS = 30, 10


def decided(tokens: pd.DataFrame) -> pd.DataFrame:
    """Return the tokens at which the policy decided; those of the dense beginning are not among them."""
    name = skipped(tokens)
    if name is None:
        return tokens.iloc[:0]
    return tokens[(tokens[name] > 0) | flag(tokens, ACTION)]


def skipped(tokens: pd.DataFrame) -> str | None:
    """Return the measure that the policy's sparsity is a share of, None in a dense trace."""
    return next((name for name in _SHARES if name in tokens), None)


def flag(tokens: pd.DataFrame, name: str) -> pd.Series:
    """Return a column of true and false, false where it is missing."""
    if name not in tokens:
        return pd.Series(False, index=tokens.index)
    return tokens[name].fillna(False).astype(bool)


def under_policy(tokens: pd.DataFrame) -> dict[str, Any] | None:
    """Return what the policy did; None where none decided anything, as in a dense trace."""
    share, rows = skipped(tokens), decided(tokens)
    if share is None or rows.empty:
        return None
    events = flag(rows, EVENT)
    with_event = rows.loc[events, "stimulus_id"]
    found = {
        "share": share,
        "n_tokens": len(tokens),
        "n_decided": len(rows),
        "n_events": events.sum(),
        "n_actions": flag(rows, ACTION).sum(),
        "sparsity": rows[share].mean(),
        "kl_dense_bits": rows["kl_dense_bits"].mean() if "kl_dense_bits" in rows else None,
        "text": with_event.iloc[0] if len(with_event) else rows["stimulus_id"].iloc[0],
        "budget": histogram(rows[share], _BINS),
    }
    return found | _by_load(rows.dropna(subset=["load"]) if "load" in rows else rows.iloc[:0], share)


def _by_load(rows: pd.DataFrame, share: str) -> dict[str, Any]:
    """Return the load of tokens and how their measures follow it; nothing where load hardly varies."""
    if len(rows) < _TENTHS or rows["load"].nunique() <= _TENTHS:
        return {}
    events, load = flag(rows, EVENT), histogram(rows["load"], _BINS)
    measures = [name for name in (share, "kl_dense_bits") if name in rows]
    return {
        "n_loaded": len(rows),
        "load": load,
        "events_by_load": histogram(rows.loc[events, "load"], load["edges"]),
        "n_loaded_events": events.sum(),
        "by_load": [_tenths(rows, name) for name in measures],
    }


def _tenths(rows: pd.DataFrame, name: str) -> dict[str, Any]:
    codes = pd.qcut(rows["load"], _TENTHS, labels=False, duplicates="drop")
    means = rows.groupby(codes)[["load", name]].mean()
    low, high = np.nanquantile(rows[name].to_numpy(float), [0.005, 0.99])
    return {"measure": name, "load": means["load"], "mean": means[name], "low": low, "high": high}
