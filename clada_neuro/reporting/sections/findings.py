"""What the regressions found, in sentences, after what must be known of the texts and the trials."""

from collections.abc import Iterator

from clada_neuro.reporting import prose
from clada_neuro.reporting.blocks import Absent, Block, Headed, Points, Warned
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import plural


def blocks(results: Results) -> Iterator[Block]:
    """Yield notes, findings, and how many warnings there are."""
    yield from map(Warned, [*results.manifest.text_notes, *results.manifest.notes])
    for name, sentences in prose.findings(results):
        yield Headed(name, [Points(sentences)])
    if count := len(list(prose.warnings(results))):
        yield Warned(f"{plural(count, 'warning')} came with the regressions: see Diagnostics.")
    yield from map(Absent, results.lacking("fits"))


SECTION = Declared("findings", "Findings", 100, blocks)
