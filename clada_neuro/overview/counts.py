"""How many texts, items, trials and people there are."""

from typing import Any

import pandas as pd

GROUPS = ("subject", "item", "stimulus")


def texts(stimuli: pd.DataFrame, words: pd.DataFrame) -> int | None:
    """Return how many texts there are; None where nothing says it."""
    table = stimuli if len(stimuli) else words
    return table["stimulus_id"].nunique() if "stimulus_id" in table else None


def groups(trials: pd.DataFrame) -> dict[str, int]:
    """Return the number of subjects, items and unique texts among the trials, as far as they name them."""
    return {column: trials[column].nunique() for column in GROUPS if column in trials}


def conditions(stimuli: pd.DataFrame, trials: pd.DataFrame) -> list[dict[str, Any]]:
    """Return texts, items, trials, unique texts and subjects by condition; nothing without conditions."""
    table = stimuli if len(stimuli) else trials
    if "condition" not in table or table["condition"].isna().all():
        return []
    counts = table.groupby("condition", sort=False).agg(
        texts=("stimulus_id", "nunique"), items=("item", "nunique")
    )
    if "condition" in trials:
        per_condition = trials.groupby("condition")
        counts["trials"] = per_condition.size()
        for column, name in (("stimulus", "stimuli"), ("subject", "subjects")):
            if column in trials:
                counts[name] = per_condition[column].nunique()
    rows = counts.fillna(0).astype(int).reset_index()
    return rows.assign(condition=rows["condition"].map(str)).to_dict("records")
