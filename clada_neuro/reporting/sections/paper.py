"""Paragraphs for a paper: Methods, results in APA style, and the works they cite."""

from collections.abc import Iterator

from clada_neuro.reporting import prose
from clada_neuro.reporting.blocks import Absent, Block, Headed, Pasted, Points
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results


def blocks(results: Results) -> Iterator[Block]:
    """Yield the paragraphs that can be written."""
    for heading, texts in (
        ("Methods", prose.methods(results)),
        ("Results", prose.results_paragraphs(results)),
    ):
        if texts:
            yield Headed(heading, [Pasted(texts)])
    if works := prose.cited(results):
        yield Headed("References", [Points(works)])
    yield from map(Absent, results.lacking("manifest", "fits"))


SECTION = Declared("paper", "For the paper", 1300, blocks)
