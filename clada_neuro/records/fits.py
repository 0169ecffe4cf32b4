"""An entry of ``fits.json``: one regression with everything that a report says of it."""

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, ClassVar

from clada_neuro.records.curves import Bin, Curve, SmoothRecord, with_interval
from clada_neuro.records.posterior import PosteriorRecord
from clada_neuro.records.record import Document, OfTrials, Part
from clada_neuro.records.response_scale import ProfileLimits, ResponseScale

_NORMAL = NormalDist()
_NAN = float("nan")


def number(value: float | None) -> float:
    """Return a number to draw: a missing one as NaN."""
    return _NAN if value is None else value


class Coefficient(Part, frozen=True, kw_only=True):
    """A fixed effect: t with its degrees of freedom (none: infinite), or z with an odds or rate ratio."""

    estimate: float
    se: float | None
    p: float | None
    ci_low: float | None
    ci_high: float | None
    t: float | None = None
    z: float | None = None
    df: float | None = None
    odds_ratio: float | None = None
    odds_ratio_low: float | None = None
    odds_ratio_high: float | None = None
    rate_ratio: float | None = None
    rate_ratio_low: float | None = None
    rate_ratio_high: float | None = None

    @property
    def limits(self) -> tuple[float, float]:
        """Both ends of the interval; NaN where there is none."""
        return number(self.ci_low), number(self.ci_high)


class ScaleFacts(Part, frozen=True, kw_only=True):
    """By what a predictor was z-scored."""

    mean: float
    sd: float


class CodingFacts(Part, frozen=True, kw_only=True):
    """The coding matrix of a factor: a row a level."""

    levels: list[str]
    codes: list[list[float | None]]


class RandomEffect(Part, frozen=True, kw_only=True):
    """A variance, or the covariance with `term2`; `sdcor` is the SD or the correlation."""

    group: str
    term: str
    term2: str | None = None
    vcov: float | None = None
    sdcor: float | None = None


class IntervalFacts(Part, frozen=True, kw_only=True):
    """Percentiles of bootstrap replicates."""

    low: float | None
    high: float | None
    median: float | None = None
    n: int | None = None
    n_failed: int = 0


class Line(Part, frozen=True, kw_only=True):
    """A fitted line with its confidence band; `by` is the value of the second predictor of a product."""

    x: list[float | None]
    estimate: list[float | None]
    ci_low: list[float | None]
    ci_high: list[float | None]
    by: float | None = None


class TermTest(Part, frozen=True, kw_only=True):
    """The type III F test of a term."""

    term: str
    df1: float
    df2: float | None
    F: float | None
    p: float | None


class MarginalRow(Part, frozen=True, kw_only=True):
    """A mean or a slope of a cell, or a contrast of two, which has t and p; `mean` stands beside a median."""

    cell: dict[str, str]
    estimate: float | None
    se: float | None
    ci_low: float | None
    ci_high: float | None
    df: float | None = None
    t: float | None = None
    p: float | None = None
    mean: float | None = None

    def numbers(self) -> dict[str, Any]:
        """Return all but the cell."""
        return {k: v for k, v in self.row().items() if k != "cell" and (k != "mean" or v is not None)}


class MarginalFacts(Part, frozen=True, kw_only=True):
    """Estimated means of cells or slopes within them, and their contrasts."""

    factors: list[str]
    by: list[str]
    slope: str
    unit: str
    adjust: str
    estimates: list[MarginalRow]
    contrasts: list[MarginalRow]


class Quantiles(Part, frozen=True, kw_only=True):
    """Quantiles of the residuals in residual SDs, at the probabilities `p`, and those of the normal distribution."""

    p: list[float]
    value: list[float | None]
    normal: list[float]


class PartR2(Part, frozen=True, kw_only=True):
    """What `terms` add to marginal R² beside `others`."""

    terms: list[str]
    others: list[str]
    r2: float | None


class Without(Part, frozen=True, kw_only=True):
    """A term in the fit without extreme trials."""

    term: str
    estimate_without: float | None
    se_without: float | None
    p_without: float | None
    shift: float | None


class WithoutExtremes(Part, frozen=True, kw_only=True):
    """The fit without trials beyond the cut-off (in the response's unit, from its mean)."""

    cutoff: float
    n_left_out: int
    terms: list[Without]


class Detectable(Part, frozen=True, kw_only=True):
    """The effect found with a power."""

    effect: float | None
    se: float | None
    power: float
    df: float | None = None
    alpha: float = 0.05
    term: str = ""


class RungFacts(Part, frozen=True, kw_only=True):
    """A random part that was tried, and what was taken out of it."""

    formula: str
    loglik: float | None
    singular: bool
    removed: str
    converged: bool = True


class Left(Part, frozen=True, kw_only=True):
    """A term without one level of a factor; `shift` is in standard errors."""

    level: str | int | float | None
    term: str
    estimate: float | None
    shift: float | None
    n_obs: int | None = None


class Optimized(Part, frozen=True, kw_only=True):
    """A term by one optimizer; `below` is how far its log-likelihood is under the highest, `off` is in standard errors."""

    optimizer: str
    converged: bool
    loglik: float | None
    below: float | None
    term: str
    estimate: float | None
    off: float | None


class Range(Part, frozen=True, kw_only=True):
    """How far a term moves over all levels of a factor, and without which one it moves most."""

    factor: str
    term: str
    n_levels: int
    lowest: float | None
    highest: float | None
    shift: float | None
    without: str


class Used(Part, frozen=True, kw_only=True):
    """Which rows a regression used: levels of subject, item and stimulus in them, and gaps of the others by column."""

    groups: dict[str, int]
    missing: dict[str, int]


class FitRecord(OfTrials, frozen=True, kw_only=True):
    """One regression, as it was fitted; fields that may be absent are those of other models, and of earlier versions."""

    CURRENT: ClassVar[int] = 2

    name: str
    formula: str
    response: str
    coefficients: dict[str, Coefficient]
    n_obs: int
    engine: str = ""
    reml: bool | None = None
    df_method: str = "satterthwaite"
    response_family: str = "gaussian"
    link: str | None = None
    response_scale: ResponseScale | None = None
    profile: dict[str, ProfileLimits] = {}
    standardized: dict[str, ScaleFacts] | None = None
    contrasts: dict[str, str] = {}
    codes: dict[str, CodingFacts] = {}
    weights: str | None = None
    levels: dict[str, list[str]] = {}
    n_dropped: int = 0
    n_groups: dict[str, int] = {}
    used: Used | None = None
    distinct_values: dict[str, int] = {}
    random: list[RandomEffect] = []
    sigma: float | None = None
    loglik: float | None = None
    aic: float | None = None
    r2_marginal: float | None = None
    r2_conditional: float | None = None
    r2_intervals: dict[str, IntervalFacts] | None = None
    part_r2: PartR2 | None = None
    singular: bool = False
    converged: bool | None = None
    warnings: list[str] = []
    vcov: list[list[float | None]] = []
    effects: dict[str, list[Line]] = {}
    terms: list[TermTest] = []
    marginal: list[MarginalFacts] = []
    smooths: list[SmoothRecord] = []
    residual_quantiles: Quantiles | None = None
    residual_summary: dict[str, float | None] | None = None
    residual_autocorrelation_lag1: float | None = None
    vif: dict[str, float | None] = {}
    sensitivity: WithoutExtremes | None = None
    curves: dict[str, Curve] = {}
    linearity: dict[str, list[Bin]] = {}  # of counts, and of entries written before there were curves
    detectable: dict[str, Detectable] = {}
    robust: str = ""
    bayes: PosteriorRecord | None = None
    allfit: list[Optimized] = []
    influence: dict[str, list[Left]] | None = None
    influence_ranges: list[Range] = []
    ladder: list[RungFacts] = []
    lme4_script: str = ""
    specified: str = ""
    specified_contrasts: dict[str, Any] = {}
    directions: dict[str, str] = {}
    focal: list[str] = []
    family_name: str = ""
    family: str = ""
    p_bh: dict[str, float | None] = {}
    note: str = ""
    # A panel of sequences.
    sequence: str = ""
    n_sequences: int | None = None
    bootstrap: dict[str, IntervalFacts] | None = None
    # Where several language models are compared.
    specification: str = ""
    language_model: str = ""

    @classmethod
    def older(cls, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return an entry of version 1, which named its response in the formula alone and had fewer derived numbers."""
        response = str(found.get("formula", "")).split("~")[0].strip()
        entry = {"response": response, **found}
        if quantiles := entry.get("residual_quantiles"):
            entry["residual_quantiles"] = {"normal": list(map(_NORMAL.inv_cdf, quantiles["p"])), **quantiles}
        if left := entry.get("influence"):
            entry["influence_ranges"] = ranges(left)
        if lines := entry.get("linearity"):
            entry["linearity"] = {name: [*map(with_interval, bins)] for name, bins in lines.items()}
        return entry


def ranges(left: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return how far each term moves when one level of each factor is left out; rows come with the largest shift first."""
    found = []
    for factor, rows in left.items():
        for term in dict.fromkeys(row["term"] for row in rows):
            of_term = [row for row in rows if row["term"] == term]
            known = [row["estimate"] for row in of_term if row["estimate"] is not None]
            most = of_term[0]
            found.append(
                {
                    "factor": factor, "term": term, "n_levels": len(of_term), "lowest": min(known, default=None),
                    "highest": max(known, default=None), "shift": most["shift"], "without": str(most["level"]),
                }
            )  # fmt: skip
    return found


class PooledRecord(Document, frozen=True, kw_only=True):
    """An entry of ``pooled.json``: a term pooled over language models, or the `reason` why it was not."""

    CURRENT: ClassVar[int] = 2

    specification: str
    response: str
    reason: str | None = None
    term: str = ""
    n_models: int = 0
    n_negative: int = 0
    estimate: float | None = None
    se: float | None = None
    df: float | None = None
    t: float | None = None
    p: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    lowest: float | None = None
    highest: float | None = None
    share_negative: float | None = None

    @classmethod
    def older(cls, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return an entry of version 1, which had no t and a share in place of a number."""
        if "reason" in found:
            return dict(found)
        negative = round(found["share_negative"] * found["n_models"])
        return {"t": found["estimate"] / found["se"], "n_negative": negative, **found}
