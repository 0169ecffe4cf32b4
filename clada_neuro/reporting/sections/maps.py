"""Mixed models at every electrode and moment: what was fitted, a figure of each effect, and its clusters."""

from collections.abc import Iterator

from clada_neuro.artifacts import read_table
from clada_neuro.reporting import maps
from clada_neuro.reporting.blocks import Absent, Block, Paragraph, Points, Table
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.page_tables import table
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import plural


def blocks(results: Results) -> Iterator[Block]:
    """Yield what was fitted, what differs from zero, figures and clusters."""
    found = maps.facts(results)
    if found is None:
        return
    if found.left_out:
        yield Absent(f"No maps were made: {found.left_out}.")
        return
    if found.trace and found.trace != results.manifest.inputs:
        yield Absent("The maps in maps/ are of the words of another trace; make them again to see them here.")
        return
    yield Paragraph(" ".join(filter(None, [maps.methods(results), *maps.results_sentences(results)])))
    lost = (
        [f"{plural(found.n_lost, 'epoch')} had no word of the trace or no value, and were left out."]
        if found.n_lost
        else []
    )
    if notes := [*lost, *found.notes]:
        yield Points(notes)
    yield from maps.figures(results.folder / maps.FOLDER, results.negative)
    clusters = read_table(results.folder / maps.FOLDER / "clusters.parquet")
    strong = clusters[clusters["p"] < maps.ALPHA]
    caption = (
        f"Maps of mixed models: clusters with p < .05, of {plural(len(clusters), 'cluster')}. Time limits describe a cluster; they are "
        "not tested onsets."
    )
    shown = strong.assign(term=[words(term) for term in strong["term"]]).drop(columns=["channels", "cluster"])
    yield Table("maps_clusters", caption, clusters, table("", "", shown).shown)


def present(results: Results) -> bool:
    """Return whether a run has maps, or was asked for them."""
    return maps.facts(results) is not None


SECTION = Declared("maps", "Maps of mixed models", 1150, blocks, shown=present)
