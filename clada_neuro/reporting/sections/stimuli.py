"""Stimuli and trials by condition, and every row that was lost on the way."""

from collections.abc import Iterator

from clada_neuro.reporting import page_tables
from clada_neuro.reporting.blocks import Absent, Block
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results


def blocks(results: Results) -> Iterator[Block]:
    """Yield counts, rows lost, and of simulated responses what they were made with."""
    removed = page_tables.exclusions(results)
    found = (
        page_tables.conditions(results),
        removed,
        page_tables.joins(results),
        page_tables.truth(results),
    )
    yield from filter(None, found)
    if not removed:
        yield Absent("No row was excluded before analysis: the manifest lists no exclusions.")
    yield from map(Absent, results.lacking("stimuli", "trials"))


SECTION = Declared("stimuli", "Stimuli and rows lost", 400, blocks)
