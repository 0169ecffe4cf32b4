"""On which scale a regression is told: its own (log odds, µV, log ms) and that of its lines and means (probabilities, ms)."""

from dataclasses import replace

from clada_neuro.numerals import decimals, fixed, interval
from clada_neuro.records.fits import Coefficient, FitRecord, MarginalRow
from clada_neuro.records.response_scale import ResponseScale
from clada_neuro.records.terms import contrast, factors
from clada_neuro.reporting.text import p_value, stat, statistics
from clada_neuro.responses.response import Response, response_of

_RATIOS = {"OR": "odds_ratio", "RR": "rate_ratio"}


def response(fit: FitRecord) -> Response:
    """Return what a regression explains: amplitudes, times, or of counts their odds or rates."""
    known = response_of(fit.response)
    if fit.link is None or fit.response_scale is None:
        return known
    what, plural = ("odds", "odds") if fit.response_scale.symbol == "OR" else ("rate", "rates")
    return Response(
        known.column, f"{what} of {known.name}", fit.response_scale.link, "higher", "lower",
        several=f"{plural} of {known.name}",
    )  # fmt: skip


def slope(fit: FitRecord, term: str) -> Response:
    """Return the response with the unit of a coefficient: ``µV per SD``, of a difference between levels ``µV``."""
    measured, parts = response(fit), factors(term)
    scaled = sum(part in (fit.standardized or {}) for part in parts)
    if scaled:
        return replace(measured, unit=measured.per(True) + (" of each" if scaled > 1 else ""))
    counted = any(part.isidentifier() and contrast(part) is None for part in parts)
    return replace(measured, unit=measured.per(False)) if counted else measured


def shown(fit: FitRecord) -> Response:
    """Return what its lines and means show: what was measured, on the scale on which it was."""
    scale = fit.response_scale
    if scale is None:
        return response(fit)
    if fit.link is None:
        return response_of(scale.column)
    known = response_of(fit.response)
    return Response(known.column, f"{scale.estimated} of {known.name}", "", "higher", "lower",
                    several=f"{_several(scale.estimated)} of {known.name}")  # fmt: skip


def estimated(fit: FitRecord) -> str:
    """Return what the estimated means are of: ``means of N400 amplitudes``, ``probabilities of correct``, ``medians of …``."""
    scale, known = fit.response_scale, shown(fit)
    if scale is None:
        return f"means of {known.plural}"
    return known.plural if fit.link else f"{_several(scale.estimated)} of {known.plural}"


def _several(word: str) -> str:
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def told(fit: FitRecord, term: str) -> str:
    """Return a coefficient's numbers: ``b = −0.89 µV per SD, …``, of counts ``OR = 0.80, 95% CI […] (Wald), […] (profile), b = …``."""
    values = fit.coefficients[term]
    found = ratio(fit, values)
    if found is None:
        return statistics(values, slope(fit, term))
    symbol, estimate, low, high = found
    spread = None if None in (low, high) else (high - low) / 4  # type: ignore[operator]
    digits = decimals(spread)
    profile = fit.profile.get(term)
    name = _RATIOS[symbol]
    also = (
        f", {interval(getattr(profile, f'{name}_low'), getattr(profile, f'{name}_high'), digits)} (profile)"
        if profile
        else ""
    )
    own = decimals(values.se)
    return (
        f"{stat(symbol, fixed(estimate, digits))}, 95% CI {interval(low, high, digits)} (Wald){also}, "
        f"{stat('b', slope(fit, term).quantity(values.estimate, values.se))}, {stat('SE', fixed(values.se, own))}, "
        f"{stat('z', fixed(values.z, 2))}, {stat('p', p_value(values.p))}"
    )


def ratio(fit: FitRecord, values: Coefficient) -> tuple[str, float | None, float | None, float | None] | None:
    """Return the ratio of a coefficient of counts, with its symbol and limits; None for linear models."""
    if fit.link is None or fit.response_scale is None:
        return None
    name = _RATIOS[fit.response_scale.symbol]
    return (
        fit.response_scale.symbol,
        getattr(values, name),
        getattr(values, f"{name}_low"),
        getattr(values, f"{name}_high"),
    )


def contrasted(row: MarginalRow, scale: ResponseScale | None, measured: Response, unit: str) -> str:
    """Return a contrast's numbers, as a ratio where it is one."""
    if scale is None:
        return statistics(row, replace(measured, unit=unit))
    return statistics(row, replace(measured, unit=""), scale.symbol)


def method(fit: FitRecord) -> str:
    """Return what kind of model it is, as Methods name it."""
    if fit.link is None:
        return "linear mixed-effects models"
    return (
        f"generalised mixed-effects models ({fit.response_family}, {fit.link} link, Laplace's approximation)"
    )


def back(fit: FitRecord) -> str:
    """Return how what was a logarithm is told, nothing where there is none."""
    scale = fit.response_scale
    if scale is None or fit.link is not None:
        return ""
    times = fixed(scale.mean_over_median, 3)
    return (
        f"{fit.name}: estimates of {fit.response} were turned back by exp(), into medians of {scale.column}; the means of the "
        f"log-normal {scale.column} are {times} times as large (half the variance of the logarithm, residual and random "
        "effects, in the exponent)."
    )
