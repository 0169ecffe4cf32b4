"""Layers in time: sentences on what was mapped and found, and figures of a measure over layers, milliseconds and scalp."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from clada_neuro.artifacts import read_table
from clada_neuro.records.layer_maps import LayerMapsRecord, MeasureMap
from clada_neuro.reporting import references
from clada_neuro.reporting.figures import COLORS, Figure, compose
from clada_neuro.reporting.layers import label
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.scalp import heads, mapped
from clada_neuro.reporting.text import capitalized, plural, share

FOLDER, ALPHA = "layer_maps", 0.05
_SCALPS = 4  # layers whose scalp is shown


def facts(results: Results) -> LayerMapsRecord | None:
    """Return what was mapped of the words of this trace; None where it was not asked for, or is of other words."""
    place = results.folder / FOLDER / "layer_maps.json"
    if not place.is_file():
        return None
    found = LayerMapsRecord.read(place)
    return None if found.trace and found.trace != results.manifest.inputs else found


def methods(results: Results) -> str:
    """Return the sentences for Methods; empty without maps."""
    found = facts(results)
    if found is None or not found.measures:
        return ""
    one = found.measures[0]
    baseline = {
        "covariate": "and the electrode's mean before the word as covariates",
        "subtract": "after the electrode's mean before the word was subtracted",
    }.get(found.baseline, "")
    beside = " ".join(filter(None, [", ".join(found.controls), baseline]))
    measures = ", ".join(label(each.measure) for each in found.measures)
    return (
        f"To ask when each layer speaks to the responses, the voltage of {plural(one.n_epochs, 'epoch')} of "
        f"{plural(one.n_subjects, 'subject')} was regressed, subject by subject and one layer at a time, on {measures} "
        f"({plural(len(one.layers), 'layer')}{', ' + beside if beside else ''}), from {found.from_ms:.0f} to {found.to_ms:.0f} ms. "
        f"Coefficients over layers and time, of the mean over {', '.join(found.channels)} and of every electrode, were compared with "
        f"zero by cluster permutation ({references.cite('clusters')}; neighbours with p < {share(found.cluster_forming_p, 2)}, "
        f"{found.n_permutations:,} sign flips) and, for the mean, by threshold-free cluster enhancement ({references.cite('tfce')}), "
        "once over subjects and once over items (each item's score of the regressions); an effect is said to be there where both "
        "tests find it. Onsets are the time at which a layer's coefficient reaches half of its peak "
        f"({references.cite('fractional_peak')}); their 95% intervals, and that of Spearman's correlation of layer and latency, are from "
        f"{found.n_bootstrap:,} samples of subjects and items with replacement."
    )


def results_sentences(results: Results) -> list[str]:
    """Return a sentence on each measure: its clusters that hold, and whether later layers are later."""
    found = facts(results)
    return [sentence(one) for one in found.measures] if found else []


def sentence(one: MeasureMap) -> str:
    """Return what was found of a measure."""
    holds = [cluster.in_words() for cluster in one.roi if cluster.p_both < ALPHA]
    told = "; ".join(holds) or "no cluster with p < .05 over both subjects and items"
    n_found = sum(row.found for row in one.latencies)
    when = "; ".join(row.in_words() for row in one.correlations)
    later = f" Layer and latency: {when}." if when else ""
    return f"{titled(one)}: {told}. {n_found} of {plural(len(one.layers), 'layer')} {'has' if n_found == 1 else 'have'} an effect.{later}"


def titled(one: MeasureMap) -> str:
    """Return a measure in words, at the beginning of a sentence."""
    return capitalized(label(one.measure))


def figures(folder: Path) -> list[Figure]:
    """Return two figures a measure of the maps in a folder: layers by time with latencies, and the scalp."""
    record = LayerMapsRecord.read(folder / "layer_maps.json")
    planes, scalp, clusters = (
        read_table(folder / f"{name}.parquet") for name in ("planes", "scalp", "clusters")
    )
    made = []
    for one in record.measures:
        own = [table[table["measure"] == one.measure] for table in (planes, scalp, clusters)]
        made.append(_plane(one, own[0], own[2], record))
        if mapped(own[1]):
            made.append(_scalp(one, own[1]))
    return made


def _plane(one: MeasureMap, plane: pd.DataFrame, clusters: pd.DataFrame, record: LayerMapsRecord) -> Figure:
    numbers = plane.pivot(index="layer", columns="time_s", values="cluster")
    t = plane.pivot(index="layer", columns="time_s", values="t")
    over_subjects = clusters[(clusters["over"] == "subjects") & (clusters["where"] == "mean")]
    inside = [
        numbers.isin(list(over_subjects.loc[over_subjects[p] < ALPHA, "cluster"])).to_numpy(bool)
        for p in ("p", "p_both")
    ]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots(1, 2, width_ratios=(2.2, 1), sharey=True)
        _heat(axes[0], t, inside)
        _latencies(axes[1], one)

    caption = (
        f"{titled(one)}, one layer at a time, mean over {', '.join(record.channels)}: t over {plural(one.n_subjects, 'subject')} by "
        "layer and time. Dashed: clusters with p < .05 over subjects; solid: over items, too. Right: onset and peak of the layers that have "
        "an effect, with 95 % intervals over subjects and items."
    )
    name = re.sub(r"\W+", "_", f"layer_maps_{one.measure}")
    return compose(name, caption, f"Heat map and latencies. {sentence(one)}", paint, (7.6, 3.8))


def _heat(axes: Axes, t: pd.DataFrame, inside: list[np.ndarray]) -> None:
    limit = float(np.abs(t.to_numpy()).max())
    milliseconds, rows = 1e3 * t.columns.to_numpy(float), np.arange(len(t))
    image = axes.pcolormesh(
        milliseconds, rows, t.to_numpy(float), cmap="RdBu_r", vmin=-limit, vmax=limit, shading="nearest"
    )
    for mask, style in zip(inside, ("--", "-"), strict=True):
        if mask.any():
            axes.contour(
                milliseconds,
                rows,
                mask.astype(float),
                levels=[0.5],
                colors="black",
                linewidths=1.1,
                linestyles=style,
            )
    shown = rows[:: max(1, len(rows) // 10)]
    axes.set_yticks(shown, [str(t.index[row]) for row in shown])
    axes.set(xlabel="Time from word onset (ms)", ylabel="layer")
    axes.grid(False)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.9, aspect=18, pad=0.02)
    bar.set_label("t", fontsize=9)
    bar.ax.tick_params(labelsize=8)


def _latencies(axes: Axes, one: MeasureMap) -> None:
    known = [(row, latency) for row, latency in enumerate(one.latencies) if latency.found]
    for kind, color, marker in (("onset", COLORS[0], "o"), ("peak", COLORS[3], "s")):
        for row, latency in known:
            ends = [getattr(latency, f"{kind}_ms_{end}") for end in ("low", "high")]
            axes.plot(ends, [row, row], color=color, linewidth=1)
        axes.plot(
            [getattr(latency, f"{kind}_ms") for _, latency in known], [row for row, _ in known], marker, color=color, markersize=3.5,
            label=kind,
        )  # fmt: skip
    axes.set(xlabel="ms")
    axes.legend(fontsize=8, loc="best")


def _scalp(one: MeasureMap, scalp: pd.DataFrame) -> Figure:
    layers = one.layers[:: max(1, -(-len(one.layers) // _SCALPS))]
    windows = scalp[["from_ms", "to_ms"]].drop_duplicates().to_records(index=False)

    def paint(canvas: Canvas) -> None:
        grid = canvas.subplots(len(layers), len(windows), squeeze=False)
        for row, layer in enumerate(layers):
            rows = scalp[scalp["layer"] == layer]
            groups = [
                (f"{start:.0f}–{end:.0f}" if row == 0 else "", rows[rows["from_ms"] == start])
                for start, end in windows
            ]
            heads(list(grid[row]), groups)
            grid[row, 0].set_ylabel(f"layer {layer}", fontsize=9)

    caption = f"{label(one.measure)} of some layers over the scalp: µV per SD, means over subjects in windows (ms); each row has a scale of its own."
    name = re.sub(r"\W+", "_", f"layer_maps_{one.measure}_scalp")
    return compose(name, caption, f"Scalp maps. {caption}", paint, (7.6, 1.25 * len(layers) + 0.4))
