"""What the entry of a regression says beside its own scale: ratios of counts, and the scale of its lines and means."""

from clada_neuro.records.record import Part


class ProfileLimits(Part, frozen=True, kw_only=True):
    """Profile limits of a coefficient of a generalised model, and of its ratio; an end that is not reached is missing."""

    ci_low: float | None
    ci_high: float | None
    odds_ratio_low: float | None = None
    odds_ratio_high: float | None = None
    rate_ratio_low: float | None = None
    rate_ratio_high: float | None = None


class ResponseScale(Part, frozen=True, kw_only=True):
    """The scale of lines and means where it is not the model's own: probabilities, rates, or medians of times.

    `column` is what was measured, `estimated` what stands there (``probability``, ``rate``, ``median``), `ratio` and
    `symbol` what a difference becomes, `mean_over_median` that of a log-normal response.
    """

    column: str
    link: str
    estimated: str
    unit: str
    ratio: str
    symbol: str
    mean_over_median: float | None = None
