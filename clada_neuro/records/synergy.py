"""The content of ``synergy.json``: an interaction beyond main effects and squares, one a language model."""

from typing import ClassVar

from clada_neuro.records.fits import Coefficient, IntervalFacts, RungFacts, ScaleFacts
from clada_neuro.records.record import OfTrials, Part


class LikelihoodRatio(Part, frozen=True, kw_only=True):
    """The test of the larger model against the smaller, both by maximum likelihood."""

    chi2: float
    df: int
    p: float | None
    delta_loglik_per_trial: float | None
    delta_loglik: float | None = None
    delta_aic: float | None = None
    delta_r2_marginal: float | None = None
    smaller: str = ""
    larger: str = ""
    n_obs: int | None = None
    warnings: list[str] = []
    p_bootstrap: float | None = None
    n_bootstrap: int = 0


class HeldOutFacts(Part, frozen=True, kw_only=True):
    """The gain on items that neither model has seen, in nats a trial."""

    delta_loglik_per_trial: float | None
    se: float | None
    n_folds: int
    n_items: int
    n_trials: int


class Bootstrapped(Part, frozen=True, kw_only=True):
    """Intervals of the gain in R², and p calibrated under the null."""

    parametric: IntervalFacts | None = None
    cluster: IntervalFacts | None = None
    null_p: float | None = None
    n_null: int = 0
    seed: int = 0


class SynergyRecord(OfTrials, frozen=True, kw_only=True):
    """What the product of two predictors explains beyond both, their squares and the controls."""

    CURRENT: ClassVar[int] = 2

    response: str
    predictors: tuple[str, str]
    term: str
    n_obs: int
    r2_marginal_baseline: float
    r2_marginal_full: float
    r2_conditional_full: float
    r2_synergy: float
    r2_synergy_common: float
    r2_synergy_without_squares: float
    coefficient: Coefficient
    test: LikelihoodRatio
    cross_validation: HeldOutFacts | None = None
    intervals: Bootstrapped | None = None
    n_groups: dict[str, int] = {}
    standardized: dict[str, ScaleFacts] = {}
    formula_baseline: str = ""
    formula_full: str = ""
    warnings: list[str] = []
    ladder: list[RungFacts] = []
    language_model: str = ""
