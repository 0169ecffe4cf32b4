"""Which predictors vary over stimuli rather than trials, and whether the model says so.

A stimulus is one item's critical word. A predictor that is constant within it carries as many independent values
as there are stimuli; without ``(1 | stimulus)`` its standard error is too small (on the Nieuwland design one null
interaction in four comes out "significant").
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clada_neuro.stats.design import Design, group_labels

STIMULUS = "stimulus"
_ITEM, _WORD = "item", "critical_word"
# Without a stimulus column, a predictor repeated this often within items is taken to belong to the stimulus.
_MIN_REPEATS = 5


def stimulus_codes(data: pd.DataFrame) -> pd.Series | None:
    """Return each row's stimulus: the column ``stimulus``, else item x critical word, else nothing."""
    if STIMULUS in data:
        return group_labels(data, (STIMULUS,))
    if _ITEM in data and _WORD in data:
        return group_labels(data, (_ITEM, _WORD))
    return None


def missing_stimulus_warnings(
    design: Design, data: pd.DataFrame, predictors: Sequence[str]
) -> tuple[str, ...]:
    """Warn of predictors that are constant within stimuli while no random intercept covers them.

    ``data`` holds the rows of ``design``; ``predictors`` are numeric columns of the fixed part.
    """
    intercepts = [block.codes for block in design.blocks if _has_intercept(block.values)]
    stimuli = stimulus_codes(data)
    uncovered = []
    for name in predictors:
        values = pd.Series(data[name].to_numpy())
        unit = _unit(values, data, stimuli)
        if unit is None or any(_is_constant_within(values, pd.Series(codes)) for codes in intercepts):
            continue
        uncovered.append(f"'{name}' ({values.nunique()} distinct values over {unit.nunique()} stimuli)")
    if not uncovered:
        return ()
    verb = "varies" if len(uncovered) == 1 else "vary"
    return (
        f"{', '.join(uncovered)} {verb} over stimuli, not over the {len(data)} trials; add (1 | {STIMULUS}), "
        "or degrees of freedom and p values are too optimistic",
    )


def _unit(values: pd.Series, data: pd.DataFrame, stimuli: pd.Series | None) -> pd.Series | None:
    """Return the stimuli that ``values`` belong to, or nothing when they vary over trials or subjects."""
    if stimuli is None and _ITEM in data:
        labels = group_labels(data, (_ITEM,)).reset_index(drop=True).str.cat(values.astype(str), sep=":")
        return labels if labels.nunique() * _MIN_REPEATS <= len(values) else None
    if stimuli is None:
        return None
    unit = stimuli.reset_index(drop=True)
    return unit if unit.nunique() < len(unit) and _is_constant_within(values, unit) else None


def _is_constant_within(values: pd.Series, groups: pd.Series) -> bool:
    return bool((values.groupby(groups.to_numpy()).nunique() <= 1).all())


def _has_intercept(values: np.ndarray) -> bool:
    return bool(((values == values[0]).all(axis=0) & (values[0] != 0)).any())
