"""Which analysis is run: a file, formulas, or the default models of the responses that are asked for or are there.

The default model of a response has the predictors and random intercepts of ``data/analyses/default.toml``, whatever is
measured. Two things are added for a time: longer times are expected at higher surprisal, and where several words of a
text were measured, so that one word's processing spills over to the next, the surprisal of the previous word.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

import pandas as pd
from pandas.api import types

from clada_neuro.artifacts import package_data
from clada_neuro.errors import DataError, did_you_mean
from clada_neuro.responses.columns import PARTS
from clada_neuro.responses.response import is_response, response_of, unknown_unit
from clada_neuro.stats.analysis_file import shipped_analysis
from clada_neuro.stats.generalized.family import GAUSSIAN
from clada_neuro.stats.names import near_misses
from clada_neuro.stats.specification import Analysis, ModelSpecification
from clada_neuro.study.asked import Asked
from clada_neuro.study.fitting import LINEAR
from clada_neuro.study.named import DEMO
from clada_neuro.study.suited import SPILLOVER
from clada_neuro.study.target import DEFAULT, Target

# Of the default analysis, which knows nothing of the stimuli: left out where they do not vary.
_CONTROLS = ("entropy_bits", "length", "zipf_frequency", "position", SPILLOVER)
_TEXT_KEYS = (["stimulus_id"], ["item", "condition"])


def decide(target: Target, asked: Asked, origin: str) -> Target:
    """Settle the analysis: as it was asked for, else the target's own, else the default for the responses there are."""
    ships = target.dataset is not None and package_data("analyses", f"{target.name}.toml").is_file()
    own = {"kind": "data set", "name": target.name} if ships or target.name == DEMO else DEFAULT
    if target.trials is None:  # what is measured or simulated follows the analysis
        decided, chosen = asked.decided or target.analysis, asked.chosen(target.analysis)
        by, controls = asked.by or own, () if asked.by else _controls(target)
        return replace(target, analysis=chosen, decided=decided, controls=controls, decided_by=by)
    chosen, decided, default = decide_on(asked, target.trials, origin, target.analysis if ships else None)
    by, controls = (DEFAULT, _CONTROLS) if default else (asked.by or own, ())
    notes = _explained(target.trials, chosen) if default and not asked.responses else ()
    notes += _units(chosen)
    return replace(target, analysis=chosen, decided=decided, controls=controls, decided_by=by, notes=notes)


def decide_on(
    asked: Asked, trials: pd.DataFrame, origin: str, shipped: Analysis | None = None
) -> tuple[Analysis, Analysis, bool]:
    """Return what is run on the trials, what was decided in advance, and whether that is the built-in default.

    Parameters
    ----------
    origin
        What the trials are called in messages.
    shipped
        The analysis that comes with a data set.

    Raises
    ------
    DataError, FitError
        When the trials lack a response, or an analysis that was given does not explain it.
    """
    decided = asked.decided or shipped
    if decided is not None and (asked.decided is not None or asked.explained_by(decided)):
        chosen = asked.chosen(decided)
        names = [name for model in chosen.models for name in model.response_columns]
        names += [chosen.synergy.response] if chosen.synergy else []
        counted = {name for one in chosen.models if one.family != GAUSSIAN for name in one.response_columns}
        _refuse_missing(trials, names, origin, counted)
        return chosen, decided, False
    sides = asked.responses or _present(trials, origin)
    made = asked.fitting.of(default_for(trials, sides, origin, counted=asked.fitting.family != GAUSSIAN))
    return made, made, True


def _controls(target: Target) -> tuple[str, ...]:
    """Return what may be left out of the default analysis of responses that are measured later."""
    if target.simulated:
        return ()
    # A baseline that other software subtracted is 0 in every trial.
    return (*_CONTROLS, *sorted(target.baselines))


def _explained(trials: pd.DataFrame, analysis: Analysis) -> tuple[str, ...]:
    """Say which responses the default analysis explains where nobody named them, and which others there are."""
    known = [response_of(model.response) for model in analysis.models]
    named = [
        f"{response.column} ({', '.join(filter(None, (response.plural, response.unit)))})"
        for response in known
    ]
    more = others(trials, analysis)
    rest = f"; {', '.join(more)} with --response" if more else ""
    return (f"no response, formula or analysis was given: the default explains {', '.join(named)}{rest}",)


def _units(analysis: Analysis) -> tuple[str, ...]:
    """Say which responses are in a unit that is not known here, so that their numbers go without one."""
    columns = dict.fromkeys(name for model in analysis.models for name in model.response_columns)
    return tuple(
        f"{name}: the unit '{unit}' is not known, so its numbers stand without one; amplitudes are in µV (…_uv), times in ms "
        "(…_ms), pupils in mm (…_mm)"
        for name in columns
        if (unit := unknown_unit(name))
    )


def default_for(
    trials: pd.DataFrame, responses: Iterable[str], origin: str, *, counted: bool = False
) -> Analysis:
    """Return the built-in default analysis of these responses: left sides of formulas such as ``log(rt_ms)``.

    Raises
    ------
    DataError
        When the trials have no such column, or not of numbers.
    """
    default, models = shipped_analysis("default"), []
    known = {model.response: model for model in default.models}
    for side in dict.fromkeys(responses):
        names = ModelSpecification(side, f"{side} ~ 1").response_columns
        _refuse_missing(trials, names, origin, names if counted else ())
        models.append(known.get(side) or _model(default.models[0], side, trials))
    explained = {model.response for model in models}
    synergy = default.synergy if default.synergy and default.synergy.response in explained else None
    return replace(default, models=tuple(models), synergy=synergy)


def others(trials: pd.DataFrame, analysis: Analysis) -> list[str]:
    """Return the columns known as responses that no model of the analysis explains."""
    explained = {name.casefold() for model in analysis.models for name in model.response_columns}
    return [name for name in _known(trials) if name.casefold() not in explained]


def _model(pattern: ModelSpecification, side: str, trials: pd.DataFrame) -> ModelSpecification:
    """Return the default model of a response that the default analysis does not name."""
    _, _, right = pattern.formula.partition("~")
    directions = None
    if response_of(side).is_time:
        directions = {"surprisal_bits": "positive" if response_of(side).rising else "negative"}
        if _word_by_word(trials):
            right = right.replace(" + (1|", f" + {SPILLOVER} + (1|", 1)
    note = LINEAR if side in trials and set(trials[side].dropna()) <= {0, 1} else ""
    return replace(pattern, name=side, formula=f"{side} ~{right}", directions=directions, note=note)


def _word_by_word(trials: pd.DataFrame) -> bool:
    """Return whether several words of a text were measured."""
    key = next((key for key in _TEXT_KEYS if set(key) <= set(trials)), None)
    if key is None or "word_index" not in trials:
        return False
    return bool((trials.groupby(key)["word_index"].nunique() > 1).any())


def _known(trials: pd.DataFrame) -> list[str]:
    numbers = [str(name) for name in trials if types.is_numeric_dtype(trials[name])]
    return [name for name in numbers if is_response(name) and trials[name].notna().any()]


def _present(trials: pd.DataFrame, origin: str) -> list[str]:
    """Return the responses that the default explains where none is asked for: its own, else all known ones."""
    named = [model.response for model in shipped_analysis("default").models]
    for name in named:
        if name not in trials and (meant := near_misses(trials, name)):
            raise DataError(
                f"{origin} has no {name} but {', '.join(meant)}; rename '{meant[0]}' (--trial-column {name}={meant[0]}), "
                "or say what to explain with --response or --analysis FILE"
            )
    found = [name for name in named if name in trials] or _known(trials)
    if not found:
        raise DataError(
            f"{origin} has no column that is known as a response (amplitudes …_uv, times …_ms or rt); say which it is "
            f"with --response, of the columns of numbers: {', '.join(_numbers(trials)) or 'none'}"
        )
    return found


def _refuse_missing(
    trials: pd.DataFrame, names: Iterable[str], origin: str, counted: Collection[str] = ()
) -> None:
    """Refuse responses that are not there, or hold text; of `counted` ones their model says what they must hold."""
    for name in names:
        if name not in trials:
            meant = near_misses(trials, name)
            having = meant or _known(trials) or _numbers(trials)
            hint = "" if meant else did_you_mean(name, list(map(str, trials)))
            raise DataError(
                f"{origin} has no {name}{hint} but {', '.join(having) or 'no column of numbers'}; "
                + (f"rename '{meant[0]}', or " if meant else "")
                + "say which column to explain with --response, or give --analysis FILE"
            )
        if name not in counted and not types.is_numeric_dtype(trials[name]):
            raise DataError(f"{origin}: '{name}' is to be explained but holds text; give a column of numbers")


def _numbers(trials: pd.DataFrame) -> list[str]:
    """Return the columns that could be a response."""
    return [str(name) for name in trials if types.is_numeric_dtype(trials[name]) and name not in PARTS]
