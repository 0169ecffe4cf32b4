"""Stimuli and trials by condition, and every row that was lost on the way."""

from collections.abc import Iterator

import pandas as pd

from clada_neuro.reporting import effects, tables
from clada_neuro.reporting.blocks import Absent, Block
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results


def blocks(results: Results) -> Iterator[Block]:
    """Yield counts, means, rows lost, and of simulated responses what they were made with."""
    removed = tables.exclusions(results)
    responses = effects.responses(results.fits, results.tables.get("trials", pd.DataFrame()))
    found = (
        tables.conditions(results),
        tables.means_by_condition(results, responses),
        removed,
        tables.joins(results),
        tables.truth(results),
    )
    yield from filter(None, found)
    if not removed:
        yield Absent("No row was excluded before analysis: the manifest lists no exclusions.")
    yield from map(Absent, results.lacking("stimuli", "trials"))


SECTION = Declared("stimuli", "Stimuli and rows lost", 400, blocks)
