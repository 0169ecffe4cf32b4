"""The analysis tried on stand-ins before the model runs, so that what cannot be fitted is refused at once, not hours later.

Texts, keys, the caller's own columns and the responses are the real ones; what only the model can say (surprisal,
entropy, activity) is a random number. So joins, names, levels, contrasts and conditions are checked as they will be,
and no predictor is constant or a copy of another by chance.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.instrument.covariates import LAGS
from clada_neuro.instrument.given import with_given
from clada_neuro.measures.measure import UNDER_POLICY, Measure, Origin
from clada_neuro.measures.tokens import MAIN, TOKENS
from clada_neuro.measures.words import WORDS
from clada_neuro.responses.alignment import align
from clada_neuro.stats.exclusions import columns_of, exclude, keep
from clada_neuro.stats.formula import parse
from clada_neuro.stats.names import check_fits, check_synergy
from clada_neuro.stats.specification import Analysis
from clada_neuro.stats.stage import synergy_formula
from clada_neuro.stimuli.design import holds_lists
from clada_neuro.study.check import bare_words
from clada_neuro.study.target import Target

DENSE = "dense"


def rehearse(plan: Target, *, language: str = "en", policy: str = DENSE, scope: str = "ffn") -> None:
    """Raise what the study would raise after its trace, as far as that does not hang on what the model says.

    Parameters
    ----------
    plan : Target
    language, policy, scope : str
        Of the trace.

    Raises
    ------
    AlignmentError
        When too many trials find no word.
    FitError
        When a formula, a contrast, a direction, the synergy or a condition names what is not there.
    """
    words = stand_ins(plan.stimuli, language, policy, scope)
    if plan.epochs is not None:  # whose trials are there only after they were measured
        _check_names(plan, [*words, *_of_epochs(plan)])
        return
    trials = plan.trials if plan.trials is not None else _simulated(words)
    aligned = align(words, trials, index_base=plan.index_base, max_lost=plan.max_lost).trials
    _check_names(plan, list(map(str, aligned)))
    made = {measure.name for measure in _measures(policy, scope)}
    aligned = _used(
        aligned, plan, [name for name in words if name in made or name.rpartition("_lag")[0] in made]
    )
    suited, _ = plan.suited_to(aligned)
    if suited.analysis.synergy is not None:
        check_synergy(aligned, synergy_formula(suited.analysis.synergy))
    check_fits(aligned, suited.analysis.models)


def stand_ins(
    stimuli: pd.DataFrame, language: str = "en", policy: str = DENSE, scope: str = "ffn"
) -> pd.DataFrame:
    """Return a words table as a trace of these stimuli would make it, with random numbers for what is measured."""
    words = bare_words(stimuli, language).drop(columns=["item", "condition"])
    made, rng = _measures(policy, scope), np.random.default_rng(0)
    names = [measure.name for measure in made if measure.name not in words]
    names += [f"{one.name}_lag{lag}" for lag in LAGS for one in made if one.lags]
    values = {name: rng.uniform(0.1, 0.9, len(words)) for name in names}
    counts = {"n_tokens": rng.integers(1, 9, len(words)), "shares_token": rng.random(len(words)) < 0.5}
    words = words.assign(**counts, **values)
    if "regions" in stimuli and holds_lists(stimuli["regions"]):
        words["region"] = [label for labels in stimuli["regions"] for label in labels]
    return with_given(words, stimuli)


def _measures(policy: str, scope: str) -> list[Measure]:
    lacking = UNDER_POLICY if policy == DENSE else () if scope == "all" else (Origin.WHOLE,)
    return [one for one in (*TOKENS, *WORDS) if one.origin not in lacking]


def _simulated(words: pd.DataFrame) -> pd.DataFrame:
    from clada_neuro.erp.simulate import simulate_trials

    return simulate_trials(words.loc[words["is_critical"]]).trials


def _of_epochs(plan: Target) -> list[str]:
    """Return the columns that epochs bring beside those of the words."""
    names = [*plan.described, "subject", "epoch", *(one.column for one in plan.measurement.components)]
    if plan.measurement.baseline == "covariate":
        names += [one.baseline_column for one in plan.measurement.components]
    return names + [f"{name}_next" for name in MAIN if plan.measurement.soa]


def _check_names(plan: Target, known: Sequence[str]) -> None:
    """Refuse columns that a model, its weights, the synergy or a condition names and that nothing will bring."""
    for what, names in _named(plan.analysis):
        for name in names:
            if name not in known:
                raise FitError(
                    f"{what}: no column '{name}'{did_you_mean(name, list(known))} in trials, stimuli or trace"
                )
    for condition in (*plan.analysis.exclusions, *plan.where):
        for name in columns_of(condition):
            if name not in known:
                raise FitError(
                    f"condition '{condition}': no column '{name}'{did_you_mean(name, list(known))} in trials, stimuli or trace"
                )


def _named(analysis: Analysis) -> list[tuple[str, list[str]]]:
    named = [
        (
            f"model '{model.name}'",
            [*parse(model.formula).variables(), *([model.weights] if model.weights else [])],
        )
        for model in analysis.models
    ]
    if analysis.synergy is not None:
        named.append(("synergy", parse(synergy_formula(analysis.synergy)).variables()))
    return named


def _used(trials: pd.DataFrame, plan: Target, measured: Sequence[str]) -> pd.DataFrame:
    """Apply the conditions that hang on no measure; of the others, only see that they can be evaluated."""
    for condition in (*plan.analysis.exclusions, *plan.where):
        if set(columns_of(condition)) & set(measured):
            exclude(trials, [condition])
        elif condition in plan.where:
            trials, _ = keep(trials, [condition])
        else:
            trials, _ = exclude(trials, [condition])
    return trials
