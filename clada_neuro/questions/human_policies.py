"""Exploratory: the same words read under CLADA and under the controls that take its load away.

Under a policy sparsity and adjustment follow surprisal by construction, so these comparisons confirm nothing. What
CLADA adds is what its own trace gains over that of its controls at equal cost. Every policy is compared on the same
rows, with random intercepts alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro import artifacts
from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import LanguageModel
from clada_neuro.policies.artifact import load_calibration
from clada_neuro.policies.registry import policy_for
from clada_neuro.questions.nested import Nested
from clada_neuro.stats.steps import LadderSpecification, StepSpecification

Words = Mapping[str, pd.DataFrame]
# CLADA beside the controls that take its load out, draw it at random and turn it round.
POLICIES = ("clada", "no-load", "random-load", "reversed-load")
SURPRISAL = ("surprisal_bits", "surprisal_bits_lag1")
ACTIVITY = ("sparsity_energy99", "adjustment_prev")
DONE, EVENT = "ffn_sparsity", "reanalysis_event"
# Surprisal, then each thing the policy did, beyond surprisal.
_STEPS = (
    StepSpecification("surprisal", SURPRISAL),
    *(StepSpecification(name, (name,), over="surprisal") for name in (*ACTIVITY, DONE)),
    StepSpecification(EVENT, (EVENT,), over="surprisal", optional=True),
)
_WORD = ["stimulus_id", "word_index"]
_TEXT = ["stimulus_id", "item", "condition", "sentence"]
_MEASURES = [*SURPRISAL, *ACTIVITY, DONE]


def words_under_policies(
    stimuli: pd.DataFrame, model: LanguageModel, sparsity: float, folder: Path
) -> dict[str, pd.DataFrame]:
    """Trace the sentences under each of `POLICIES`; data sets with the same sentences share a trace in `folder`."""
    texts = stimuli[_TEXT]
    place = folder / artifacts.content_hash(texts)
    return {
        name: trace(texts, model, policy=policy_for(model, name, sparsity), out=place / name).words
        for name in POLICIES
    }


def calibration_facts(model: LanguageModel) -> dict[str, Any]:
    """Return which calibration the policies come from, for the manifest."""
    return {"calibration": load_calibration(model).identity, "policies": list(POLICIES)}


def explore(
    trials: pd.DataFrame,
    words: Words,
    ladder: LadderSpecification,
    *,
    folds: int,
    seed: int,
    progress: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Return a row a policy and step; the reanalysis event has its own rows, because it needs a window of tokens.

    Where nearly all words of a policy have the event, or nearly none, its step is left out.
    """
    explored = replace(ladder, steps=_STEPS, slopes=(), directions={})
    *steps, event_step = explored.models([EVENT])
    read = {name: _joined(trials, table) for name, table in words.items()}
    complete = pd.concat(
        [table[[*_MEASURES, *ladder.controls]].notna().all(axis=1) for table in read.values()], axis=1
    )
    # Words inside the dense beginning of a text were not read under a policy.
    begun = pd.concat([table[DONE] > 0 for table in read.values()], axis=1)
    event = pd.concat([table[EVENT].notna() for table in read.values()], axis=1)
    usable = (complete.all(axis=1) & begun.all(axis=1)).to_numpy()
    seen = usable & event.all(axis=1).to_numpy()
    rows = []
    for name, table in read.items():
        models = Nested(_rows(table, usable, ladder), explored, ladder.random, folds, seed)
        found = [models.compare(step) for step in steps]
        events = _rows(table, seen, ladder)
        events[EVENT] = events[EVENT].astype(float)
        if _is_frequent(events, folds):
            found.append(Nested(events, explored, ladder.random, folds, seed).compare(event_step))
        rows += [{"policy": name, **row} for row in found]
        progress(f"{ladder.name} under {name}: {len(found)} steps")
    return pd.DataFrame(rows)


def _is_frequent(events: pd.DataFrame, folds: int) -> bool:
    """Return whether stimuli with and without the event are enough for every fold to have seen both."""
    by_stimulus = events.groupby("stimulus")[EVENT].first()
    return bool(min((by_stimulus == 1).sum(), (by_stimulus == 0).sum()) >= 2 * folds)


def _joined(trials: pd.DataFrame, words: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with a policy's measures in place of the dense ones."""
    kept = trials.drop(columns=[name for name in (*_MEASURES, EVENT) if name in trials])
    measures = words[[*_WORD, *_MEASURES, EVENT]]
    return kept.merge(measures, on=_WORD, how="left", validate="many_to_one")


def _rows(table: pd.DataFrame, kept: Any, ladder: LadderSpecification) -> pd.DataFrame:
    rows = table.loc[kept].reset_index(drop=True)
    if ladder.weights:
        rows[ladder.weights] = rows[ladder.weights] / rows[ladder.weights].mean()
    return rows
