"""What is decided before the data are seen: models, directions, the interaction, and how amplitudes are measured."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.contrasts import Contrasts, canonical
from clada_neuro.stats.design import written_term
from clada_neuro.stats.formula import names_of, parse
from clada_neuro.stats.generalized.family import FAMILIES, GAUSSIAN, refuse_linear
from clada_neuro.stats.steps import LadderSpecification
from clada_neuro.stats.uncertainty.base import SATTERTHWAITE, check_df

BASELINES = ("covariate", "subtract", "none")
# No window of an ERP lies this near the onset on both sides: such numbers are seconds.
_SHORTEST_MS = 10


@dataclass(frozen=True)
class ModelSpecification:
    """One regression, fixed before the data are seen.

    Attributes
    ----------
    name : str
        What the model is called in tables and the report.
    formula : str
        R style, as in lme4: ``y ~ x + (1|subject)``.
    reml : bool
        REML for coefficients; ML where likelihoods or R² are compared.
    standardize : bool
        Whether predictors are z-scored on the rows of the fit.
    directions : dict
        Term to ``"negative"`` or ``"positive"``: the registered sign, in raw microvolts. Its keys are the focal terms.
    contrasts : dict
        Factor to ``"sum"``, ``"treatment(low)"`` and so on, or to codes by level (see `contrasts`); treatment when not named.
    family : str
        Distribution of the response: ``gaussian``, ``binomial`` or ``poisson`` (see `clada_neuro.fit`).
    adjust_with : str
        Name of the tests that p values are adjusted over; the focal terms of one response when not named.
    weights : str
        Column with the number of trials behind each row, when the rows are means.
    note : str
        What the fit is for, printed with it.
    df : str
        Degrees of freedom: ``satterthwaite``, or ``kenward-roger``, which also adjusts standard errors (REML only).
    robust : str
        Columns of the sequences within which residuals may be correlated, ``subject:stimulus_id``: standard errors by sandwich.
    """

    name: str
    formula: str
    reml: bool = True
    standardize: bool = True
    directions: Mapping[str, str] | None = None
    contrasts: Contrasts | None = None
    family: str = GAUSSIAN
    weights: str | None = None
    note: str = ""
    df: str = SATTERTHWAITE
    robust: str = ""
    adjust_with: str = ""

    def __post_init__(self) -> None:
        # A term may be written as in the formula, I(x^2), or as its coefficient is named, I(x ** 2).
        named = {written_term(term): sign for term, sign in (self.directions or {}).items()}
        object.__setattr__(self, "directions", named or self.directions)
        canonical(self.contrasts)  # raises for what is not offered
        if self.family == GAUSSIAN:
            check_df(self.df, self.reml)
            return
        if self.family not in FAMILIES and not did_you_mean(self.family, [GAUSSIAN, *FAMILIES]):
            raise FitError(
                f"family = '{self.family}' given, and family is the distribution of the response: {GAUSSIAN}, "
                f"{', '.join(FAMILIES)}; name tests that are adjusted together with adjust_with = '{self.family}'"
            )
        refuse_linear(self.family, weights=self.weights, df=self.df, robust=self.robust or None)

    @property
    def response(self) -> str:
        """The response column, left of the tilde."""
        return self.formula.partition("~")[0].strip()

    @property
    def response_columns(self) -> list[str]:
        """The columns that the response is made of: ``rt`` in ``log(rt)``."""
        return names_of(parse(self.formula).response_side)


@dataclass(frozen=True)
class SynergySpecification:
    """The interaction of two predictors over their main effects and squares.

    Attributes
    ----------
    response : str
        The column that is explained.
    predictors : pair of str
        The two columns whose product is tested.
    random : str
        Random part of the formula, ``(1|subject) + (1|item)``.
    controls : tuple of str
        Columns beside the two.
    bootstrap : int
        Replicates; None for as many as the number of trials allows.
    """

    response: str
    predictors: tuple[str, str]
    random: str
    controls: tuple[str, ...] = ()
    bootstrap: int | None = None


@dataclass(frozen=True)
class EpochsSpecification:
    """How amplitudes are measured in epochs; what is left out is the component's preset.

    Attributes
    ----------
    window_ms : mapping
        Component to start and end, ms after word onset.
    roi : mapping
        Component to its electrodes.
    baseline : {"covariate", "subtract", "none"}
        Whether the pre-stimulus mean becomes a column, is subtracted, or is left alone; None for a column.
    baseline_ms : pair of float
        Its window; None for everything before the onset.
    soa_ms : float
        From one word's onset to the next; None when words did not follow each other.
    """

    window_ms: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    roi: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    baseline: str | None = None
    baseline_ms: tuple[float, float] | None = None
    soa_ms: float | None = None

    def __post_init__(self) -> None:
        for name, window in self.window_ms.items():
            check_span(window, f"window of {name}" if name else "window")
        for name, electrodes in self.roi.items():
            if isinstance(electrodes, str) or not electrodes:
                raise FitError(
                    f"electrodes of {name}: {electrodes!r} given, a list such as ['Cz', 'Pz'] expected"
                )
        if self.baseline not in (None, *BASELINES):
            raise FitError(
                f"baseline '{self.baseline}' given{did_you_mean(str(self.baseline), list(BASELINES))}; "
                f"there are {', '.join(BASELINES)}"
            )
        if self.baseline_ms is not None:
            check_span(self.baseline_ms, "baseline_ms")
        if self.soa_ms is not None and not self.soa_ms > 1:
            raise FitError(
                f"an SOA of {self.soa_ms:g} ms given; give milliseconds from word to word, such as 500"
            )

    def updated(self, given: "EpochsSpecification") -> "EpochsSpecification":
        """Return the specification with everything that ``given`` names in place of its own."""
        return EpochsSpecification(
            {**self.window_ms, **given.window_ms},
            {**self.roi, **given.roi},
            given.baseline or self.baseline,
            given.baseline_ms or self.baseline_ms,
            given.soa_ms or self.soa_ms,
        )


@dataclass(frozen=True)
class Analysis:
    """Everything that is decided in advance about one data set.

    Attributes
    ----------
    title : str
        What the report is called.
    window_ms : pair of float
        Window of the mean amplitude; None when the data set fixes it.
    exclusions : tuple of str
        Conditions on trials, in the notation of `pandas.DataFrame.query`; rows that meet one are left out.
    language_models : tuple of str
        Models whose traces are to be used; empty when any will do.
    language : str
        Code of the language of the word frequencies; empty when the data set says it.
    epochs : EpochsSpecification
        How amplitudes are measured, when they are not there yet.
    ladders : tuple of LadderSpecification
        Nested models, compared step by step; `clada_neuro.questions.human` climbs them.
    folds : int
        Of the comparison of their steps on held-out rows.
    """

    title: str
    models: tuple[ModelSpecification, ...]
    synergy: SynergySpecification | None = None
    window_ms: tuple[float, float] | None = None
    exclusions: tuple[str, ...] = ()
    language_models: tuple[str, ...] = ()
    language: str = ""
    epochs: EpochsSpecification = field(default_factory=EpochsSpecification)
    ladders: tuple[LadderSpecification, ...] = ()
    folds: int = 10

    def for_response(self, response: str) -> "Analysis":
        """Return the part of the analysis that explains one response column.

        Raises
        ------
        FitError
            If no model does.
        """
        models = tuple(model for model in self.models if model.response == response)
        if not models:
            known = ", ".join(sorted({model.response for model in self.models}))
            hint = did_you_mean(response, [model.response for model in self.models])
            raise FitError(f"no model of this analysis explains {response}{hint}; its responses are {known}")
        synergy = self.synergy if self.synergy and self.synergy.response == response else None
        return replace(self, models=models, synergy=synergy)

    def without(self, control: str) -> "Analysis":
        """Return the analysis without one additive term, written `` + control`` in its formulas."""
        term = re.compile(rf" \+ {re.escape(control)}(?= \+|$)")
        models = tuple(_without(model, term, control) for model in self.models)
        synergy = self.synergy
        if synergy is not None:
            kept = tuple(name for name in synergy.controls if name != control)
            synergy = replace(synergy, controls=kept)
        return replace(self, models=models, synergy=synergy)

    def without_group(self, group: str) -> "Analysis":
        """Return the analysis without the random intercept of one grouping factor, written ``(1|group)``."""
        term = re.compile(rf"(^| \+ )\(1\|{re.escape(group)}\)")
        models = tuple(replace(model, formula=term.sub("", model.formula)) for model in self.models)
        synergy = self.synergy
        if synergy is not None:
            synergy = replace(synergy, random=term.sub("", synergy.random).removeprefix(" + "))
        return replace(self, models=models, synergy=synergy)


def _without(model: ModelSpecification, term: re.Pattern[str], control: str) -> ModelSpecification:
    directions = model.directions and {
        name: sign for name, sign in model.directions.items() if name != control
    }
    return replace(model, formula=term.sub("", model.formula), directions=directions)


def check_span(span: Any, what: str) -> None:
    """Raise `FitError` unless ``span`` is a start and an end in milliseconds."""
    numbers = isinstance(span, list | tuple) and all(isinstance(edge, Real) for edge in span)
    if not numbers or len(span) != 2 or not span[0] < span[1]:
        raise FitError(f"{what}: {span!r} given, [start, end] in milliseconds expected")
    if max(map(abs, span)) < _SHORTEST_MS:
        raise FitError(
            f"{what}: {span[0]:g} to {span[1]:g} ms given, which looks like seconds; give milliseconds, "
            f"{1e3 * span[0]:g} to {1e3 * span[1]:g}"
        )
