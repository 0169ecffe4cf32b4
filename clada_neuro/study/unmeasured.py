"""What a study leaves out for a language model whose activity is not measured, and takes of one that is masked."""

import re
from dataclasses import replace

from clada_neuro.errors import DataError
from clada_neuro.measures.activity import ACTIVITY
from clada_neuro.stats.formula import parse
from clada_neuro.stats.specification import Analysis
from clada_neuro.study.target import Target

# As a formula names them: also of words before or after (sparsity_energy99_lag1).
_MEASURE = re.compile(rf"(?:{'|'.join(measure.name for measure in ACTIVITY)})(?:_lag\d+|_next)?")
_PSEUDO = "pseudo_surprisal_bits"
_SURPRISAL = re.compile(r"\bsurprisal_bits")
# Of predictions from the left.
_CAUSAL = re.compile(
    r"(?:surprisal|surprisal_corrected|surprisal_with_punct|entropy|entropy_boundary|renyi_half|entropy_next)_bits"
    r"(?:_lag\d+|_next)?|rank(?:_lag\d+|_next)?"
)


def without_activity(plan: Target, reason: str, own: bool) -> tuple[Target, list[str]]:
    """Leave measures of activity out of an analysis; say what.

    Parameters
    ----------
    plan : Target
    reason : str
        Why the model has none, as the trace's manifest says; nothing is left out where it is empty.
    own : bool
        Whether the analysis is the user's own, from which nothing is left out.

    Raises
    ------
    DataError
        When the user's own analysis, or the simulation of responses, needs what is not measured.
    """
    named = _named(plan.analysis) if reason else []
    if plan.simulated and reason:
        raise DataError(f"responses of '{plan.name}' are simulated from activity, but {reason}")
    if not named:
        return plan, []
    if own:
        raise DataError(f"the analysis names {', '.join(named)}, but {reason}")
    analysis = plan.analysis
    for name in named:
        analysis = analysis.without(name)
    lines = [f"{', '.join(named)} left out of models: not measured for this language model"]
    if (synergy := analysis.synergy) and set(synergy.predictors) & set(named):
        analysis = replace(analysis, synergy=None)
        lines.append(
            f"no synergy of {' and '.join(synergy.predictors)}: not measured for this language model"
        )
    return replace(plan, analysis=analysis, decided=plan.specified), lines


def _named(analysis: Analysis) -> list[str]:
    """Return the measures of activity that an analysis names."""
    names = [name for model in analysis.models for name in parse(model.formula).variables()]
    if analysis.synergy is not None:
        names += [*analysis.synergy.predictors, *analysis.synergy.controls]
    return [name for name in dict.fromkeys(names) if _MEASURE.fullmatch(name)]


def with_pseudo_surprisal(plan: Target, masked: bool, own: bool) -> tuple[Target, list[str]]:
    """Put pseudo-surprisal in the place of surprisal for a masked language model; say so.

    Parameters
    ----------
    plan : Target
    masked : bool
        Whether the language model is one; nothing changes where it is not.
    own : bool
        Whether the analysis is the user's own, in which nothing is replaced.

    Raises
    ------
    DataError
        When the user's own analysis needs what only a causal model has.
    """
    names = [name for model in plan.analysis.models for name in parse(model.formula).variables()]
    causal = [name for name in dict.fromkeys(names) if _CAUSAL.fullmatch(name)] if masked else []
    if not causal:
        return plan, []
    if own:
        raise DataError(
            f"the analysis names {', '.join(causal)}, which a masked language model has not; it has {_PSEUDO}"
        )
    analysis = plan.analysis
    lines = [f"{_PSEUDO} in place of surprisal_bits: a masked language model sees the words on both sides"]
    for name in causal:
        if not name.startswith("surprisal_bits"):
            analysis = analysis.without(name)
            lines.append(f"{name} left out of models: a masked language model has none")
    models = tuple(
        replace(
            model,
            formula=_SURPRISAL.sub(_PSEUDO, model.formula),
            directions={
                _SURPRISAL.sub(_PSEUDO, term): sign for term, sign in (model.directions or {}).items()
            }
            or None,
        )
        for model in analysis.models
    )
    return replace(
        plan, analysis=replace(analysis, models=models, synergy=None), decided=plan.specified
    ), lines
