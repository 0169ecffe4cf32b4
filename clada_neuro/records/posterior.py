"""The posterior of a regression, in an entry of ``fits.json``: what `fit --bayes` found."""

from clada_neuro.records.record import Part


class Spread(Part, frozen=True, kw_only=True):
    """The SD of the half-normal prior of a random effect's SD."""

    group: str
    term: str
    sd: float


class PriorRecord(Part, frozen=True, kw_only=True):
    """Normal priors of the intercept (``center``: mean and SD) and of each coefficient (its SD), in ``unit``."""

    unit: str
    center: list[float]
    effect: float
    coefficients: dict[str, float]
    spreads: list[Spread]
    residual: float | None = None


class DrawnFacts(Part, frozen=True, kw_only=True):
    """Mean, SD and 95 % interval of a quantity's draws, with R-hat and effective draws."""

    mean: float
    sd: float
    ci_low: float
    ci_high: float
    rhat: float | None
    ess: float | None
    mcse: float | None = None
    term: str = ""
    group: str = ""


class BayesFactorFacts(Part, frozen=True, kw_only=True):
    """The natural logarithm of the Bayes factor for a term over none, and its Monte Carlo error."""

    term: str
    log_bf10: float | None
    mcse: float | None = None


class Loo(Part, frozen=True, kw_only=True):
    """Expected log predictive density by leave-one-out; ``n_bad`` counts rows whose Pareto k is above 0.7."""

    elpd: float
    se: float
    p_loo: float
    n_bad: int


class PosteriorRecord(Part, frozen=True, kw_only=True):
    """A posterior with its priors, Bayes factors, predictive density and convergence."""

    priors: PriorRecord
    coefficients: list[DrawnFacts]
    random: list[DrawnFacts]
    bayes_factors: list[BayesFactorFacts]
    loo: Loo
    n_draws: int
    divergences: int
    converged: bool
