"""Which analysis is run: a file, formulas, or the default models of the responses that are asked for or are there.

The default model of a response has the predictors and random intercepts of ``data/analyses/default.toml``, whatever is
measured. Two things are added for a time: longer times are expected at higher surprisal, and where several words of a
text were measured, so that one word's processing spills over to the next, the surprisal of the previous word.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from pandas.api import types

from clada_neuro.artifacts import package_data
from clada_neuro.errors import DataError, FitError, did_you_mean
from clada_neuro.responses.columns import PARTS
from clada_neuro.responses.response import is_response, response_of
from clada_neuro.stats.analysis_file import read_analysis
from clada_neuro.stats.formula import names_of, parse
from clada_neuro.stats.names import check_models, near_misses
from clada_neuro.stats.specification import Analysis, ModelSpecification

SPILLOVER = "surprisal_bits_lag1"
_LINEAR = "The response is 0 or 1 and the model linear: coefficients are differences of its probability."
_TEXT_KEYS = (["stimulus_id"], ["item", "condition"])


@dataclass(frozen=True)
class Asked:
    """What the caller says of the analysis.

    Attributes
    ----------
    decided : Analysis
        From a file or from formulas; None where neither was given.
    by : mapping
        Who decided it, for the manifest: the user's ``file`` or a ``formula``.
    responses : tuple of str
        The left sides of the models that are wanted; empty for all.
    """

    decided: Analysis | None = None
    by: Mapping[str, str] | None = None
    responses: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        analysis: str | Path | None = None,
        formula: str | Sequence[str] | None = None,
        response: str | Sequence[str] | None = None,
        component: str | None = None,
    ) -> "Asked":
        """Read what was given; arguments as in `clada_neuro.study.run.run`.

        Raises
        ------
        DataError
            For formulas beside an analysis or beside responses, and a response beside a component.
        """
        formulas, responses = _several(formula), _several(response)
        if formulas and (analysis is not None or responses or component):
            raise DataError(
                "--formula says itself what is explained and how; leave --analysis, --response and --component out"
            )
        if component and responses:
            raise DataError(f"--component {component} is --response {component}_uv; give one of both")
        wanted = (f"{component}_uv",) if component else responses
        if analysis is not None:
            return cls(read_analysis(analysis), {"kind": "file", "name": str(analysis)}, wanted)
        if formulas:
            return cls(_of_formulas(formulas), {"kind": "formula", "name": "; ".join(formulas)})
        return cls(responses=wanted)

    @property
    def columns(self) -> set[str]:
        """The columns of trials that must be numbers, as far as they are known before the trials are read."""
        if self.decided is None:
            return {name for side in self.responses for name in _columns_of(side)}
        return {name for model in self.chosen(self.decided).models for name in model.response_columns}

    def chosen(self, shipped: Analysis) -> Analysis:
        """Return the models that are wanted of what was decided, else of the analysis that ships."""
        return _chosen(self.decided or shipped, self.responses)

    def on(
        self, trials: pd.DataFrame, origin: str, shipped: Analysis | None = None
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
        decided = self.decided or shipped
        if decided is not None and (self.decided is not None or _explains(decided, self.responses)):
            chosen = self.chosen(decided)
            names = [name for model in chosen.models for name in model.response_columns]
            names += [chosen.synergy.response] if chosen.synergy else []
            _refuse_missing(trials, names, origin)
            return chosen, decided, False
        made = default_for(trials, self.responses or _present(trials, origin), origin)
        return made, made, True


def default_for(trials: pd.DataFrame, responses: Iterable[str], origin: str) -> Analysis:
    """Return the built-in default analysis of these responses: left sides of formulas such as ``log(rt_ms)``.

    Raises
    ------
    DataError
        When the trials have no such column, or not of numbers.
    """
    default, models = shipped_analysis("default"), []
    known = {model.response: model for model in default.models}
    for side in dict.fromkeys(responses):
        _refuse_missing(trials, _columns_of(side), origin)
        models.append(known.get(side) or _model(default.models[0], side, trials))
    explained = {model.response for model in models}
    synergy = default.synergy if default.synergy and default.synergy.response in explained else None
    return replace(default, models=tuple(models), synergy=synergy)


def others(trials: pd.DataFrame, analysis: Analysis) -> list[str]:
    """Return the columns known as responses that no model of the analysis explains."""
    explained = {name.casefold() for model in analysis.models for name in model.response_columns}
    return [name for name in _known(trials) if name.casefold() not in explained]


def shipped_analysis(name: str) -> Analysis:
    """Return the analysis that ships for a target, else the default one."""
    path = package_data("analyses", f"{name}.toml")
    return read_analysis(path if path.is_file() else package_data("analyses", "default.toml"))


def _several(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _of_formulas(formulas: Sequence[str]) -> Analysis:
    sides = [formula.partition("~")[0].strip() for formula in formulas]
    names = [
        side if sides.count(side) == 1 else f"{side}, model {at}" for at, side in enumerate(sides, start=1)
    ]
    models = tuple(ModelSpecification(*named) for named in zip(names, formulas, strict=True))
    check_models(models)
    return Analysis("; ".join(dict.fromkeys(response_of(model.response).plural for model in models)), models)


def _columns_of(side: str) -> list[str]:
    """Return the columns in the left side of a formula."""
    if "~" in side:
        raise FitError(f"response '{side}' is a formula; give it as --formula")
    return names_of(parse(f"{side} ~ 1").response_side)


def _explains(analysis: Analysis, responses: Sequence[str]) -> bool:
    return all(any(_is_of(model, side) for model in analysis.models) for side in responses)


def _is_of(model: ModelSpecification, side: str) -> bool:
    """Return whether a model explains a response, written as in its formula or as the one column in it."""
    return side == model.response or [side] == model.response_columns


def _chosen(decided: Analysis, responses: Sequence[str]) -> Analysis:
    """Return the models of these responses, all of them where none is asked for."""
    if not responses:
        return decided
    for side in responses:
        if not _explains(decided, [side]):
            decided.for_response(side)  # which says what there is
    models = tuple(model for model in decided.models if any(_is_of(model, side) for side in responses))
    synergy = decided.synergy if decided.synergy and decided.synergy.response in responses else None
    return replace(decided, models=models, synergy=synergy)


def _model(pattern: ModelSpecification, side: str, trials: pd.DataFrame) -> ModelSpecification:
    """Return the default model of a response that the default analysis does not name."""
    _, _, right = pattern.formula.partition("~")
    directions = None
    if response_of(side).is_time:
        directions = {"surprisal_bits": "positive" if response_of(side).rising else "negative"}
        if _word_by_word(trials):
            right = right.replace(" + (1|", f" + {SPILLOVER} + (1|", 1)
    note = _LINEAR if side in trials and set(trials[side].dropna()) <= {0, 1} else ""
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


def _refuse_missing(trials: pd.DataFrame, names: Iterable[str], origin: str) -> None:
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
        if not types.is_numeric_dtype(trials[name]):
            raise DataError(f"{origin}: '{name}' is to be explained but holds text; give a column of numbers")


def _numbers(trials: pd.DataFrame) -> list[str]:
    """Return the columns that could be a response."""
    return [str(name) for name in trials if types.is_numeric_dtype(trials[name]) and name not in PARTS]
