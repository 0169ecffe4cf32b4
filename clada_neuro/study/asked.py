"""What the caller says of the analysis: a file, formulas, or the responses that are to be explained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from clada_neuro.errors import DataError, FitError
from clada_neuro.responses.response import response_of
from clada_neuro.stats.analysis_file import read_analysis
from clada_neuro.stats.generalized.family import GAUSSIAN
from clada_neuro.stats.names import check_models
from clada_neuro.stats.specification import Analysis, ModelSpecification
from clada_neuro.study.fitting import Fitting


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
    fitting : Fitting
        How they are fitted, where no file says it.
    """

    decided: Analysis | None = None
    by: Mapping[str, str] | None = None
    responses: tuple[str, ...] = ()
    fitting: Fitting = field(default_factory=Fitting)

    @classmethod
    def of(
        cls,
        analysis: str | Path | None = None,
        formula: str | Sequence[str] | None = None,
        response: str | Sequence[str] | None = None,
        component: str | None = None,
        fitting: Fitting | None = None,
    ) -> "Asked":
        """Read what was given; arguments as in `clada_neuro.study.run.run`.

        Raises
        ------
        DataError, FitError
            For formulas beside an analysis or beside responses, a response beside a component, one that is a formula, and
            options of fits beside an analysis file.
        """
        fitting = fitting or Fitting()
        formulas, responses = _several(formula), _several(response)
        if formulas and (analysis is not None or responses or component):
            raise DataError(
                "--formula says itself what is explained and how; leave --analysis, --response and --component out"
            )
        if component and responses:
            raise DataError(f"--component {component} is --response {component}_uv; give one of both")
        for side in responses:
            if "~" in side:
                raise FitError(f"response '{side}' is a formula; give it as --formula")
        wanted = (f"{component}_uv",) if component else responses
        if analysis is not None and fitting.given:
            raise DataError(
                f"the analysis file says how its models are fitted; leave {', '.join(fitting.given)} out, and write family, df "
                "and contrasts under its [[model]]"
            )
        if analysis is not None:
            decided = read_analysis(analysis)
            if not decided.models:
                raise FitError(
                    f"'{analysis}' has a [[ladder]] and no [[model]]; `clada-neuro synergy human --analysis FILE` climbs ladders"
                )
            return cls(decided, {"kind": "file", "name": str(analysis)}, wanted)
        if formulas:
            decided = fitting.of(_of_formulas(formulas))
            return cls(decided, {"kind": "formula", "name": "; ".join(formulas)}, fitting=fitting)
        return cls(responses=wanted, fitting=fitting)

    @property
    def columns(self) -> set[str]:
        """The columns of trials that must be numbers, as far as they are known before the trials are read."""
        if self.decided is None and self.fitting.family != GAUSSIAN:
            return set()  # of counts, texts such as true and false are read, too
        if self.decided is None:
            return {
                name
                for side in self.responses
                for name in ModelSpecification(side, f"{side} ~ 1").response_columns
            }
        linear = (model for model in self.chosen(self.decided).models if model.family == GAUSSIAN)
        return {name for model in linear for name in model.response_columns}

    def chosen(self, shipped: Analysis) -> Analysis:
        """Return the models that are wanted of what was decided, else of the analysis that ships."""
        decided = self.decided or self.fitting.of(shipped)
        if not self.responses:
            return decided
        for side in self.responses:
            if not _explains(decided, side):
                decided.for_response(side)  # which says what there is
        models = tuple(
            model for model in decided.models if any(_is_of(model, side) for side in self.responses)
        )
        synergy = decided.synergy if decided.synergy and decided.synergy.response in self.responses else None
        return replace(decided, models=models, synergy=synergy)

    def explained_by(self, analysis: Analysis) -> bool:
        """Return whether an analysis has a model of every response that is wanted."""
        return all(_explains(analysis, side) for side in self.responses)


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


def _explains(analysis: Analysis, side: str) -> bool:
    return any(_is_of(model, side) for model in analysis.models)


def _is_of(model: ModelSpecification, side: str) -> bool:
    """Return whether a model explains a response, written as in its formula or as the one column in it."""
    return side == model.response or [side] == model.response_columns
