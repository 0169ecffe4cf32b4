"""Fitted effects over raw trials, one regression after the other."""

from collections.abc import Iterator

from clada_neuro.reporting import effects
from clada_neuro.reporting.blocks import Absent, Block, Headed, Paragraph
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results


def blocks(results: Results) -> Iterator[Block]:
    """Yield what larger values mean, and the figures of each regression."""
    drawn = [
        Headed(fit.name, [*figures])
        for fit in effects.primary(results.fits)
        if (figures := effects.figures(fit, results))
    ]
    if drawn:
        meanings = dict.fromkeys(f"{effects.shown(fit).up}." for fit in results.fits)
        held = "The other predictors are held at their means, factors at their reference level."
        yield Paragraph(" ".join([*meanings, held]))
    if unscaled := [fit.name for fit in results.fits if fit.standardized is None]:
        yield Absent(
            f"No lines are drawn for {', '.join(unscaled)}: fits.json does not say how predictors were scaled."
        )
    yield from drawn
    yield from map(Absent, results.lacking("fits", "trials"))


SECTION = Declared("effects", "Effects", 800, blocks)
