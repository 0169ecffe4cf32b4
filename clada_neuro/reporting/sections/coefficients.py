"""Every regression in full: coefficients, codes, tests of terms, marginal means, random effects."""

from collections.abc import Iterator

from clada_neuro.records.fits import FitRecord
from clada_neuro.reporting import effects, marginal, page_tables
from clada_neuro.reporting.blocks import Absent, Block, Headed, Paragraph, Points
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import number


def blocks(results: Results) -> Iterator[Block]:
    """Yield a table of all regressions, and a part for each."""
    yield from filter(None, [page_tables.summary(results.fits)])
    for fit in results.fits:
        yield Headed(fit.name, list(_one(fit)))
    yield from map(Absent, results.lacking("fits"))


def _one(fit: FitRecord) -> Iterator[Block]:
    yield Paragraph(fit.formula + _note(fit))
    if len(fit.ladder) > 1:
        yield Points(_rungs(fit))
    yield from filter(None, [effects.coefficients(fit)])
    yield page_tables.coefficients(fit)
    yield from filter(None, [page_tables.codes(fit), page_tables.terms(fit)])
    yield from marginal.tables(fit)
    yield page_tables.random_effects(fit)


def _rungs(fit: FitRecord) -> list[str]:
    """Return the random parts that were tried before the one reported."""
    return [
        f"{rung.formula}: log-likelihood {number(rung.loglik)}; "
        + (f"singular, so the reduction ladder removed {rung.removed}." if rung.removed else "kept.")
        for rung in fit.ladder
    ]


def _note(fit: FitRecord) -> str:
    method = "" if fit.reml is None else ", by REML" if fit.reml else ", by ML"
    coded = ", ".join(f"{name} {kind}" for name, kind in fit.contrasts.items())
    contrasts = f" Contrasts: {coded}." if coded else ""
    return f"{method}.{contrasts} {fit.note}".rstrip()


SECTION = Declared("coefficients", "Regressions", 900, blocks)
