"""Averages over time and over the scalp, where the responses were epochs."""

from collections.abc import Iterator

from clada_neuro.artifacts import read_json
from clada_neuro.reporting import overlap, waveforms
from clada_neuro.reporting.blocks import Absent, Block, Facts, Headed, Paragraph, Points
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.responses.response import response_of

_MISSING = "not in the files"


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
    for name, described in recording(results):
        yield Headed(name, [Facts(described)])
    if heading := overlap.heading(results):
        found: list[Block] = [Points(overlap.lines(results)), *overlap.figures(results)]
        yield Headed(heading, [*found, *overlap.tables(results)])


def of_brains(results: Results) -> bool:
    """Return whether there are epochs, or may have been: responses that are all times or answers have none."""
    amplitudes = [response_of(str(fit.response)).unit == "µV" for fit in results.fits]
    return bool(results.erp) or not amplitudes or any(amplitudes)


def recording(results: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return headings and facts that reviewers ask for, and last the gaps, which the authors have to fill; empty without epochs."""
    place = results.folder / "erp" / "recording.json"
    if not results.erp or not place.is_file():
        return []
    found = read_json(place)
    gaps = found.pop("gaps")
    named = [
        (
            f"Recording and processing: {name}",
            [(field, _MISSING if value is None else str(value)) for field, value in fields.items()],
        )
        for name, fields in found.items()
    ]
    filled = "; ".join(gaps) if gaps else "none: the files say everything"
    return [*named, ("For ARTEM-IS, to be filled in by hand", [("Fields that no file fills", filled)])]


SECTION = Declared("erp", "ERPs", 1100, blocks, shown=of_brains)
