"""``predictability.json``: forms of predictability in place of surprisal in the models of a run."""

from typing import ClassVar

from clada_neuro.records.record import OfTrials, Part


class Form(Part, frozen=True, kw_only=True):
    """One form: ``estimate`` a standard deviation of it by REML, gains in nats a trial on items left out."""

    form: str
    formula: str
    mean: float
    sd: float
    r_surprisal: float | None
    estimate: float
    se: float | None
    loglik: float
    delta_loglik_per_trial: float
    heldout_none: float
    heldout_none_se: float
    heldout_surprisal: float
    heldout_surprisal_se: float
    converged: bool


class ModelForms(Part, frozen=True, kw_only=True):
    """One model of the run, and the forms in it, surprisal first."""

    name: str
    response: str
    formula: str
    n_obs: int
    n_items: int
    folds: int
    fold: str
    seed: int
    notes: list[str]
    forms: list[Form]


class PredictabilityRecord(OfTrials, frozen=True, kw_only=True):
    """All models of a run, and which were left out."""

    CURRENT: ClassVar[int] = 1

    entries: list[ModelForms]
    notes: list[str]
