"""Stimuli and trials by condition, and every row that was lost on the way."""

from collections.abc import Iterator

from clada_neuro.reporting import tables
from clada_neuro.reporting.blocks import Absent, Block
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results


def blocks(results: Results) -> Iterator[Block]:
    """Yield counts, means, rows lost, and of simulated responses what they were made with."""
    removed = tables.exclusions(results)
    found = (
        tables.conditions(results),
        tables.means_by_condition(results),
        removed,
        tables.joins(results),
        tables.truth(results),
    )
    yield from filter(None, found)
    if not removed:
        yield Absent("No row was excluded before analysis: the manifest lists no exclusions.")
    yield from map(Absent, results.lacking("stimuli", "trials"))


SECTION = Declared("stimuli", "Stimuli and rows lost", 400, blocks)
