"""How models are fitted where no analysis file says it: what ``run`` takes as ``--family``, ``--df`` and ``--contrast``."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from clada_neuro.stats.formula import names_of, parse
from clada_neuro.stats.generalized.family import GAUSSIAN
from clada_neuro.stats.names import check_used
from clada_neuro.stats.specification import Analysis, ModelSpecification
from clada_neuro.stats.uncertainty.base import SATTERTHWAITE

LINEAR = (
    "The response is 0 or 1 and the model linear: coefficients are differences of its probability; --family binomial fits "
    "odds."
)


@dataclass(frozen=True)
class Fitting:
    """Distribution of the responses, degrees of freedom and codes of factors."""

    family: str = GAUSSIAN
    df: str = SATTERTHWAITE
    contrasts: Mapping[str, str] = field(default_factory=dict)

    @property
    def given(self) -> list[str]:
        """The options that were given."""
        named = {
            "--family": self.family != GAUSSIAN, "--df": self.df != SATTERTHWAITE, "--contrast": bool(self.contrasts),
        }  # fmt: skip
        return [name for name, asked in named.items() if asked]

    def of(self, analysis: Analysis) -> Analysis:
        """Return an analysis whose models are fitted so; a synergy is that of linear models.

        Raises
        ------
        FitError
            For contrasts of what no model has.
        """
        if not self.given:
            return analysis
        known = [name for model in analysis.models for name in names_of(parse(model.formula).fixed)]
        formulas = " and ".join(model.formula for model in analysis.models)
        check_used("contrasts", self.contrasts, list(dict.fromkeys(known)), formulas)
        synergy = analysis.synergy if self.family == GAUSSIAN else None
        return replace(analysis, models=tuple(map(self._model, analysis.models)), synergy=synergy)

    def _model(self, model: ModelSpecification) -> ModelSpecification:
        own = set(names_of(parse(model.formula).fixed))
        coded = {name: kind for name, kind in self.contrasts.items() if name in own}
        note = "" if self.family != GAUSSIAN and model.note == LINEAR else model.note
        contrasts = {**(model.contrasts or {}), **coded} or None
        return replace(model, family=self.family, df=self.df, contrasts=contrasts, note=note)
