"""A pre-specified analysis: which models are fitted, in which direction effects are expected, in one TOML file.

title = "Cloze and surprisal in 25,322 noun trials"
window_ms = [200, 500]
exclusions = ["item == 29"]
language = "nl"                # of the word frequencies; else the data set's, else en
language_models = ["smollm2", "another/checkpoint"]  # several: each is run, and the report compares them

[[model]]
name = "surprisal"
formula = "n400_uv ~ surprisal_bits + (1|subject) + (1|item) + (1|stimulus)"
directions = { surprisal_bits = "negative" }

[[model]]
name = "accuracy"
formula = "correct ~ surprisal_bits + condition + (1|subject) + (1|item) + (1|stimulus)"
family = "binomial"            # distribution of the response: 0 and 1, or hits/(hits + misses); or "poisson", for counts
contrasts = { condition = "sum" }
directions = { surprisal_bits = "negative" }
adjust_with = "behaviour"      # a name of the tests that p values are adjusted over; else those of the same response

[synergy]
response = "n400_uv"
predictors = ["surprisal_bits", "sparsity_energy99"]
controls = ["entropy_bits"]
random = "(1|subject) + (1|item) + (1|stimulus)"

[epochs]                       # how amplitudes are measured when responses come as MNE epochs
window_ms = { n400 = [300, 500] }
roi = { n400 = ["Cz", "CPz", "Pz"] }
baseline = "covariate"         # or "subtract", "none"
baseline_ms = [-100, 0]
soa_ms = 500

Nested models that are compared step by step, as in ``data/analyses/human.toml``; every [[ladder]] has all steps:

folds = 10                     # of the comparison on held-out rows

[[ladder]]
name = "n400"
target = "nieuwland2018"
response = "n400_uv"
controls = ["length", "position"]
random = "(1 | subject) + (1 | item) + (1 | stimulus)"
slopes = ["surprisal_bits"]    # by subject
fold = "item"                  # its levels stay together
bootstrap = 50                 # for the interval of a product's ΔR²
directions = { surprisal_bits = "negative" }

[[step]]
name = "surprisal"
adds = ["surprisal_bits"]

[[step]]
name = "cloze beyond surprisal"
over = "surprisal"             # the step whose model it extends; else the controls alone
adds = ["cloze"]
optional = true                # left out where trials have no cloze
"""

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from clada_neuro.artifacts import package_data
from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.entries import check_types
from clada_neuro.stats.names import check_models
from clada_neuro.stats.specification import (
    Analysis,
    EpochsSpecification,
    ModelSpecification,
    SynergySpecification,
    check_span,
)
from clada_neuro.stats.steps import LadderSpecification, StepSpecification

# Of a file: several tables of one name make up the field of that name in the plural.
_ENTRIES = {part.name for part in fields(Analysis)} - {"models", "ladders"} | {"model", "ladder", "step"}


def read_analysis(path: str | Path) -> Analysis:
    """Read an analysis file.

    Raises
    ------
    FitError
        If the file is missing, is not TOML, or has an unknown, missing or misspelt entry.
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FitError(f"no analysis file at '{path}'") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FitError(f"analysis file '{path}' is not valid TOML: {error}") from error
    _check_entries(document, _ENTRIES, str(path))
    models = tuple(_build(ModelSpecification, *entry) for entry in _listed(document, "model", path))
    synergy = document.pop("synergy", None)
    parts = {
        "models": models,
        "synergy": None if synergy is None else _synergy(synergy, f"{path}, [synergy]"),
        "epochs": _build(EpochsSpecification, document.pop("epochs", {}), f"{path}, [epochs]"),
        "ladders": _ladders(document, path),
    }
    if "window_ms" in document:
        check_span(document["window_ms"], f"{path}, window_ms")
    analysis = _build(Analysis, {**document, **parts}, str(path))
    if not models and not analysis.ladders:
        raise FitError(
            f"analysis file '{path}' names no [[model]]; add one with name and formula, or a [[ladder]] for `synergy human`"
        )
    _check_directions(models, path)
    try:
        check_models(models)
    except FitError as error:
        raise FitError(f"{path}: {error}") from None
    return analysis


def shipped_analysis(name: str) -> Analysis:
    """Return the analysis that ships for a target, else the default one."""
    path = package_data("analyses", f"{name}.toml")
    return read_analysis(path if path.is_file() else package_data("analyses", "default.toml"))


def _listed(document: dict[str, Any], name: str, path: Path) -> list[tuple[Any, str]]:
    """Take the tables of a name out of a document, each with its place for messages."""
    listed = document.pop(name, [])
    listed = [listed] if isinstance(listed, Mapping) else listed  # [model], where there is one
    if not isinstance(listed, list):
        raise FitError(f"{path}: {name} = {listed!r} given, a table [[{name}]] for each {name} expected")
    return [(entry, f"{path}, [[{name}]] {number}") for number, entry in enumerate(listed, start=1)]


def _ladders(document: dict[str, Any], path: Path) -> tuple[LadderSpecification, ...]:
    """Return the ladders, each with all steps of the file."""
    steps = tuple(_build(StepSpecification, *entry) for entry in _listed(document, "step", path))
    listed = _listed(document, "ladder", path)
    ladders = tuple(
        _build(LadderSpecification, _with_steps(entry, steps, where), where) for entry, where in listed
    )
    if bool(steps) != bool(ladders):
        raise FitError(
            f"{path}: [[ladder]] and [[step]] need each other; {len(ladders)} and {len(steps)} given"
        )
    names = [ladder.name for ladder in ladders]
    if twice := [name for name in names if names.count(name) > 1]:
        raise FitError(f"{path}: two ladders are called '{twice[0]}'; give each a name of its own")
    return ladders


def _with_steps(entry: Any, steps: tuple[StepSpecification, ...], where: str) -> Any:
    if isinstance(entry, Mapping) and "steps" in entry:
        raise FitError(f"{where}: steps given; write each as a table [[step]], which every ladder has")
    return {**entry, "steps": steps} if isinstance(entry, Mapping) else entry


def _synergy(entry: Any, where: str) -> SynergySpecification:
    found: SynergySpecification = _build(SynergySpecification, entry, where)
    if len(found.predictors) != 2:
        raise FitError(f"{where}: {len(found.predictors)} predictors given, 2 expected")
    return found


def _build(kind: Any, entry: Any, where: str) -> Any:
    if not isinstance(entry, Mapping):
        raise FitError(f"{where}: {entry!r} given, a table expected")
    _check_entries(entry, {part.name for part in fields(kind)}, where)
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    try:
        made = kind(**given)
    except FitError as error:
        raise FitError(f"{where}: {error}") from None
    except (TypeError, AttributeError) as error:
        check_types(kind, entry, where)
        missing = str(error).split("argument")[-1].lstrip("s: ")
        raise FitError(f"{where}: missing entry {missing}") from error
    check_types(kind, entry, where)
    return made


def _check_entries(entry: Mapping[str, Any], known: set[str], where: str) -> None:
    for name in entry:
        if name not in known:
            raise FitError(f"{where}: unknown entry '{name}'{did_you_mean(name, sorted(known))}")


def _check_directions(models: tuple[ModelSpecification, ...], path: Path) -> None:
    for model in models:
        for term, direction in (model.directions or {}).items():
            if direction not in ("negative", "positive"):
                raise FitError(
                    f"{path}, model '{model.name}': direction '{direction}' of {term} given, "
                    "'negative' or 'positive' expected"
                )
