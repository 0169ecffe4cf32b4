"""The default analysis, which knows nothing of the stimuli, narrowed to what the trials at hand can carry.

A model's predictors vary over texts, however many people read them: that is why the number of texts decides how many
predictors there are, and whether an interaction is tested.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

import pandas as pd

from clada_neuro.stats.formula import names_of, parse
from clada_neuro.stats.specification import Analysis

SPILLOVER = "surprisal_bits_lag1"
# Of the limiting sample size, 10 to 20 for each coefficient (Harrell, 2015, Regression Modeling Strategies, section 4.4).
TEXTS_A_TERM = 15
# What stays longest first: surprisal, then what every reader of such a model expects beside it.
_RANKED = (
    "surprisal_bits", "zipf_frequency", "length", SPILLOVER, "position", "sparsity_energy99", "entropy_bits",
)  # fmt: skip
_GROUPS = ("subject", "item", "stimulus")
_ROUNDING = 1e-4  # bits, letters, words or µV: one text in two batches may differ in the last digits


def suited(analysis: Analysis, controls: Collection[str], trials: pd.DataFrame) -> tuple[Analysis, list[str]]:
    """Leave out of an analysis what these trials cannot carry; say what, and why.

    These are `controls` that have one value in all trials (critical words often stand in the same place); random
    intercepts of factors with one level, with one trial a level, or with the levels of another factor; predictors, and the
    synergy, for which there are too few texts.
    """
    lines = []
    for name in controls:
        if name not in trials or trials[name].max() - trials[name].min() >= _ROUNDING:
            continue
        without = analysis.without(name)
        if without != analysis:  # the default models of some responses only have it
            analysis = without
            why = "has no value" if trials[name].isna().all() else "has one value in all trials"
            lines.append(f"{name} {why}: left out of models and synergy")
    for group, why in _needless_groups(trials):
        analysis = analysis.without_group(group)
        lines.append(f"(1|{group}) left out of models and synergy: {why}")
    if "stimulus" not in trials:
        return analysis, lines
    analysis, said = _for_texts(analysis, trials["stimulus"].nunique())
    return analysis, lines + said


def _for_texts(analysis: Analysis, texts: int) -> tuple[Analysis, list[str]]:
    """Leave out predictors, the last of `_RANKED` first, and the synergy, where there are too few texts for them."""
    lines = []
    if wanted := analysis.synergy:
        needed = TEXTS_A_TERM * (5 + len(wanted.controls))  # two predictors, their squares and their product
        if texts < needed:
            names = " and ".join(wanted.predictors)
            lines = [f"no synergy of {names}: {needed} texts would carry it, there are {texts}"]
            analysis = replace(analysis, synergy=None)
    named = {name for model in analysis.models for name in names_of(parse(model.formula).fixed)}
    present = [name for name in _RANKED if name in named]
    carried = max(1, texts // TEXTS_A_TERM)
    if gone := present[carried:]:
        for name in gone:
            analysis = analysis.without(name)
        lines = [
            f"{texts} texts carry {carried} predictor{'s' * (carried > 1)}, one for {TEXTS_A_TERM} texts: "
            f"{', '.join(gone)} left out of models",
            *lines,
        ]
    return analysis, lines


def _needless_groups(trials: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield the default analysis's grouping factors that have no variance of their own in these trials, and why."""
    kept: list[str] = []
    for group in _GROUPS:
        if group not in trials:
            yield group, "the trials have no such column"
            continue
        levels = trials[group].nunique()
        same = [
            other
            for other in kept
            if levels == trials[other].nunique() == len(trials[[group, other]].drop_duplicates())
        ]
        if levels < 2:
            yield group, "the trials have one level of it"
        elif levels == len(trials):
            yield group, "every trial has a level of its own"
        elif same:
            yield group, f"it groups the trials exactly as {same[0]} does"
        else:
            kept.append(group)
