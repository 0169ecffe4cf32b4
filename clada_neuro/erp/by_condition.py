"""Averages of critical words by condition, and what each condition adds to the first: difference waves."""

from collections.abc import Mapping, Sequence

import mne
import numpy as np
import pandas as pd

from clada_neuro.erp.predictors import PredictedEpochs, averages_by
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import DataError


def conditions_of(words: pd.DataFrame) -> list[str]:
    """Return the conditions of the critical words in their order; none where the words have one or do not tell."""
    if not {"condition", "is_critical"} <= set(words):
        return []
    found = words.loc[words["is_critical"].astype(bool), "condition"].dropna()
    names = list(dict.fromkeys(map(str, found)))
    return names if len(names) > 1 else []


@quiet
def condition_averages(
    data: PredictedEpochs,
    conditions: Sequence[str],
    baseline: tuple[float | None, float] | None = (None, 0.0),
) -> dict[str, list[mne.Evoked]]:
    """Average each subject's epochs of critical words by condition.

    Parameters
    ----------
    data
        Epochs with the condition of their words.
    conditions
        In the order of the result (see `conditions_of`).
    baseline
        Window subtracted from each average, for display; None for data that were corrected before.

    Returns
    -------
    dict
        For each condition one Evoked per subject who has critical words in every condition, in one order of subjects.

    Raises
    ------
    DataError
        When no subject has epochs in every condition.
    """

    def condition(metadata: pd.DataFrame) -> np.ndarray:
        named = metadata["condition"].astype(object).where(metadata["is_critical"].astype(bool))
        return named.map(str, na_action="ignore").to_numpy()

    groups = averages_by(data, condition, conditions, baseline)
    if not groups[conditions[0]]:
        raise DataError(
            f"no subject has epochs of critical words in every condition ({', '.join(conditions)})"
        )
    return groups


def difference_waves(groups: Mapping[str, Sequence[mne.Evoked]]) -> dict[str, list[mne.Evoked]]:
    """Return each condition minus the first, subject by subject: ``unexpected − expected``."""
    first, *others = groups
    return {
        f"{name} − {first}": [
            mne.combine_evoked(list(pair), weights=[1, -1])
            for pair in zip(groups[name], groups[first], strict=True)
        ]
        for name in others
    }
