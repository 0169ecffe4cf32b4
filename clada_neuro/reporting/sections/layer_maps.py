"""Layers in time: what each layer's measure does over milliseconds and scalp, and whether later layers are later."""

from collections.abc import Iterator

import pandas as pd

from clada_neuro.artifacts import read_table
from clada_neuro.records.layer_maps import MeasureMap
from clada_neuro.reporting import layer_maps
from clada_neuro.reporting.blocks import Absent, Block, Headed, Paragraph, Points, Table
from clada_neuro.reporting.layers import label
from clada_neuro.reporting.page_tables import slug, table
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import p_value, plural


def blocks(results: Results) -> Iterator[Block]:
    """Yield what was done, and of each measure what was found, figures, clusters and latencies."""
    found = layer_maps.facts(results)
    if found is None:
        yield Absent(
            "The maps in layer_maps/ are of the words of another trace; make them again to see them here."
        )
        return
    yield Paragraph(layer_maps.methods(results))
    folder = results.folder / layer_maps.FOLDER
    clusters, figures = read_table(folder / "clusters.parquet"), layer_maps.figures(folder)
    for one in found.measures:
        name = slug(f"layer_maps_{one.measure}")
        own = [figure for figure in figures if figure.name in (name, f"{name}_scalp")]
        rows = clusters[clusters["measure"] == one.measure].drop(columns="measure")
        parts: list[Block] = [Paragraph(layer_maps.sentence(one)), *own, _clusters(one, rows)]
        if any(latency.found for latency in one.latencies):
            parts.append(_latencies(one))
        yield Headed(label(one.measure), [*parts, *([Points(list(one.notes))] if one.notes else [])])


def _clusters(one: MeasureMap, rows: pd.DataFrame) -> Table:
    caption = (
        f"{layer_maps.titled(one)}: clusters with p < .05 over subjects or items, of {plural(len(rows), 'cluster')}. Limits describe a "
        "cluster; they are not tested. p (both): the larger of its own p and that of a cluster of the same sign in the other test that shares "
        "a point with it."
    )
    strong = rows[rows["p"] < layer_maps.ALPHA].drop(columns=["channels", "cluster"])
    shown = table("", "", strong).shown.assign(p_both=strong["p_both"].map(p_value).to_list())
    return Table(slug(f"layer_maps_{one.measure}_clusters"), caption, rows, shown)


def _latencies(one: MeasureMap) -> Table:
    frame = pd.DataFrame([latency.row() for latency in one.latencies])
    caption = f"{layer_maps.titled(one)}: onset and peak of the layers that have an effect, ms, with 95 % intervals over subjects and items."
    shown = frame[frame["found"]].drop(columns="found").round({name: 0 for name in frame if "_ms" in name})
    return Table(slug(f"layer_maps_{one.measure}_latencies"), caption, frame, table("", "", shown).shown)


def present(results: Results) -> bool:
    """Return whether `depth --epochs` was asked of this run."""
    return (results.folder / layer_maps.FOLDER / "layer_maps.json").is_file()


SECTION = Declared("layer-maps", "Layers in time", 1060, blocks, shown=present)
