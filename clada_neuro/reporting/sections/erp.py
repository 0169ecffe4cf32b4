"""Averages over time and over the scalp, where the responses were epochs."""

from collections.abc import Iterator

from clada_neuro.reporting import overlap, recording, waveforms
from clada_neuro.reporting.blocks import Absent, Block, Facts, Headed, Paragraph, Points
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.responses.response import response_of


def blocks(results: Results) -> Iterator[Block]:
    """Yield baseline and notes, waveforms, and what was tested and rejected."""
    if not results.erp:
        yield Absent("No epochs: responses came as a table, so there are no waveforms to draw.")
        return
    facts, measured = results.erp_facts, results.manifest.erp
    if facts and facts.baseline:
        yield Paragraph(f"Baseline: {facts.baseline}.")
    if notes := [*(measured.notes if measured else []), *(facts.notes if facts else [])]:
        yield Points(notes)
    yield from waveforms.figures(results)
    yield from waveforms.tables(results)
    for name, described in recording.parts(results):
        yield Headed(name, [Facts(described)])
    if heading := overlap.heading(results):
        found: list[Block] = [Points(overlap.lines(results)), *overlap.figures(results)]
        yield Headed(heading, [*found, *overlap.tables(results)])


def of_brains(results: Results) -> bool:
    """Return whether there are epochs, or may have been: responses that are all times or answers have none."""
    amplitudes = [response_of(str(fit.response)).unit == "µV" for fit in results.fits]
    return bool(results.erp) or not amplitudes or any(amplitudes)


SECTION = Declared("erp", "ERPs", 1100, blocks, shown=of_brains)
