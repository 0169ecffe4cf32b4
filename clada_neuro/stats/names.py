"""Names that an analysis gives and that would act on nothing: an error with the name that was meant.

What can be read off the formulas is checked when the analysis is read, before any long work; terms of factors and
columns when the trials are there, before the first fit.
"""

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.design import check_columns
from clada_neuro.stats.formula import check_contrasts, names_of, parse
from clada_neuro.stats.generalized.family import GAUSSIAN
from clada_neuro.stats.generalized.fit_counts import specify_counts
from clada_neuro.stats.model import Model, specify
from clada_neuro.stats.specification import ModelSpecification

_LEVEL = re.compile(r"\[.*?\]")
# What a response's column may be called beside its component.
_MEASURE = {"uv", "µv", "μv", "microvolt", "microvolts", "amplitude", "amp", "mean"}


def check_models(models: Sequence[ModelSpecification]) -> None:
    """Check what the formulas themselves tell: names of models, and the columns of directions and contrasts.

    Raises
    ------
    FitError
        For two models of one name (tables, files and departures tell them apart by it), and for a direction or a
        contrast of what is not in the model's formula.
    """
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise FitError(f"{names.count(name)} models are named '{name}'; give each a name of its own")
    for model in models:
        formula = parse(model.formula)
        predictors = list(dict.fromkeys(names_of(formula.fixed)))
        for term in model.directions or {}:
            # A level stands in brackets; the column of log(x) is found inside.
            bare = _LEVEL.sub("", term)
            if not any(_stands_in(name, bare) for name in (*predictors, "Intercept")):
                raise _unknown(f"model '{model.name}': direction", term, predictors, formula.text)
        check_contrasts(formula, model.contrasts or {})


def _stands_in(name: str, term: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", term) is not None


def check_used(what: str, names: Iterable[str], used: Sequence[str], formula: str) -> None:
    """Raise `FitError` for a column that is to be treated in some way but is not in the formula."""
    for name in names:
        if name not in used:
            raise _unknown(what, name, used, formula)


def check_fits(trials: pd.DataFrame, models: Iterable[ModelSpecification]) -> None:
    """Check on the trials, before any model is fitted, that each has its columns, and that directions are of its terms.

    Raises
    ------
    FitError
        When a model cannot be specified on these trials, or a direction is of no term of it.
    """
    for model in models:
        check_columns(trials, [model.weights] if model.weights else [])
        terms = _specified(trials, model).design.names
        for term in model.directions or {}:
            if term not in terms:
                levels = [name for name in terms if name.startswith(f"{term}[")]
                raise _unknown(f"model '{model.name}': direction", term, levels or terms, model.formula)


def _specified(trials: pd.DataFrame, model: ModelSpecification) -> Model:
    if model.family != GAUSSIAN:
        return specify_counts(
            trials, model.formula, model.family, standardize=model.standardize, contrasts=model.contrasts
        )
    return specify(
        trials, model.formula, standardize=model.standardize, contrasts=model.contrasts, weights=model.weights
    )


def check_synergy(trials: pd.DataFrame, formula: str) -> None:
    """Raise `FitError` for a response, predictor, control or group of a synergy that the trials do not have."""
    check_columns(trials, parse(formula).variables())


def near_misses(columns: Iterable[str], response: str) -> list[str]:
    """Return columns that are the response but for case, unit or a word such as "amplitude": ``N400_uV``, ``n400``."""
    return [column for column in map(str, columns) if _core(column) == _core(response)]


def _core(column: str) -> list[str]:
    return [part for part in re.split(r"[\W_]+", column.lower()) if part and part not in _MEASURE]


def _unknown(what: str, name: str, known: Sequence[str], formula: str) -> FitError:
    return FitError(
        f"{what} of '{name}' given, which is not in '{formula}'{did_you_mean(name, list(known))}; "
        f"there are {', '.join(known) or 'none'}"
    )
