"""Rows of one person, one text and one word: copies, presentations, or many measurements of one presentation."""

from collections.abc import Sequence

import pandas as pd

from clada_neuro.stimuli.keys import as_key

_SHOWN = 8  # columns that are named


def repeats(trials: pd.DataFrame, key: Sequence[str]) -> list[str]:
    """Say how many rows share a key with an earlier one, and which columns differ between them; the index names rows.

    Rows that are the same in every column are copies; those of electrodes, times or regions of one presentation differ
    in what they were measured at, and each counts as a trial.
    """
    if "subject" not in key or not len(trials):
        return []
    same = trials.astype(str).duplicated()
    copies = [
        f"{int(same.sum()):,} of {len(trials):,} trials equal an earlier one in every column (the first is row "
        f"{same.index[same.to_numpy().argmax()]}); they count twice"
    ]
    keys = pd.DataFrame({name: as_key(trials[name]) for name in key})
    again = keys.duplicated() & ~same
    return (copies if same.any() else []) + (_several(trials, keys, again) if again.any() else [])


def _several(trials: pd.DataFrame, keys: pd.DataFrame, again: pd.Series) -> list[str]:
    number = keys.groupby(list(keys), sort=False).ngroup()
    most = int(number.value_counts().iloc[0])
    texts = trials.drop(columns=[name for name in keys if name in trials]).astype(str)
    differ = [str(name) for name in texts if (texts[name].groupby(number).nunique() > 1).any()]
    named = ", ".join(differ[:_SHOWN]) + (f" and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else "")
    return [
        f"{int(again.sum()):,} of {len(trials):,} rows share {', '.join(keys)} with an earlier one (up to {most} rows each); "
        f"they differ in {named}. Each counts as a trial: where they are electrodes, times or regions of one presentation, "
        "fit one of them (--where) or their mean"
    ]


def repeats_in(data: pd.DataFrame) -> list[str]:
    """Say what `repeats` says of a table that names people and texts; nothing of others."""
    text = (
        ["stimulus_id"] if "stimulus_id" in data else [name for name in ("item", "condition") if name in data]
    )
    word = [name for name in ("word_index", "word") if name in data]
    return repeats(data, ["subject", *text, *word]) if "subject" in data and text else []
