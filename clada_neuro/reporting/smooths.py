"""A model's smooths in sentences."""

from clada_neuro.records.curves import SmoothRecord
from clada_neuro.records.fits import FitRecord
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.scales import response
from clada_neuro.reporting.text import number, p_value, stat

_ALPHA = 0.05
_STRAIGHT = {"s": "a straight line", "te": "straight lines and their product"}


def sentences(fit: FitRecord) -> list[str]:
    """Return one sentence a smooth: is there an effect, and is it more than a line?"""
    return [_sentence(fit, smooth) for smooth in fit.smooths]


def is_line(fit: FitRecord, term: str) -> bool:
    """Return whether a coefficient is the straight part of a smooth, which says nothing alone."""
    return any(term.startswith(f"{smooth.smooth}.") for smooth in fit.smooths)


def _sentence(fit: FitRecord, smooth: SmoothRecord) -> str:
    what = " and ".join(map(words, smooth.variables))
    what += f" ({words(smooth.by)} {smooth.level})" if smooth.by else ""
    reliable = smooth.p is not None and smooth.p < _ALPHA
    effect = (
        f"{'The' if reliable else 'There was no reliable'} smooth effect of {what} on {response(fit).plural}"
    )
    test = f"{stat('edf', number(smooth.edf))}, {stat('F', number(smooth.F))}, {stat('p', p_value(smooth.p))}"
    straight = f"{_STRAIGHT[smooth.kind]}, {stat('p', p_value(smooth.p_line))}"
    bent = "and differed from" if smooth.p_line < _ALPHA else "and was not told from"
    return f"{effect} {'was reliable' if reliable else ''}".rstrip() + f", {test}, {bent} {straight}."
