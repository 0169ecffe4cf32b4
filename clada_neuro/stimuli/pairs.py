"""Minimal pairs, whose outcome is an accuracy: how much more the bad sentence of each surprises."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from clada_neuro.stimuli.suites import ALL

# BLiMP's names of its two sentences, and of the phenomenon that a pair is about.
_GOOD, _BAD, _PHENOMENON = "good", "bad", "UID"


def are_pairs(conditions: Collection[str]) -> bool:
    """Return whether conditions are those of the two sentences of minimal pairs."""
    return {_GOOD, _BAD} <= set(conditions)


def pairs(stimuli: pd.DataFrame, path: str | Path | None) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Return minimal pairs with their suite, and the prediction that the bad sentence surprises more.

    A suite is what a column ``UID`` names (BLiMP), else the file.
    """
    if "suite" not in stimuli:
        file = Path(path).stem if path else "pairs"
        named = stimuli[_PHENOMENON].astype(str) if _PHENOMENON in stimuli else file
        stimuli = stimuli.assign(suite=named)
    formula = f"({ALL};%{_BAD}%) > ({ALL};%{_GOOD}%)"
    return stimuli, [
        {"suite": str(suite), "name": "good before bad", "formula": formula}
        for suite in stimuli["suite"].unique()
    ]
