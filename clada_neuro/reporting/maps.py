"""Mixed-model maps: sentences on what was fitted and found, and figures of a coefficient over the scalp and through time."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from clada_neuro.artifacts import read_table
from clada_neuro.records.maps import MapsRecord
from clada_neuro.reporting import references
from clada_neuro.reporting.figures import COLORS, Figure, compose
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.scalp import Negative, heads, mapped, microvolts_up
from clada_neuro.reporting.text import capitalized, plural, share

FOLDER, ALPHA = "maps", 0.05


def facts(results: Results) -> MapsRecord | None:
    """Return what was mapped; None where no maps were asked for, or they are not finished."""
    place = results.folder / FOLDER / "maps.json"
    return MapsRecord.read(place) if place.is_file() else None


def _shown(results: Results) -> MapsRecord | None:
    """Return what was mapped of the words of this trace."""
    found = facts(results)
    if found is None or found.left_out or (found.trace and found.trace != results.manifest.inputs):
        return None
    return found


def methods(results: Results) -> str:
    """Return the sentences for Methods; empty without maps."""
    found = _shown(results)
    if found is None or found.n_draws is None:
        return ""
    baseline = {
        "covariate": ", the electrode's mean before the word a covariate",
        "subtract": ", the electrode's mean before the word subtracted",
    }.get(found.baseline, "")
    return (
        f"At each of {plural(found.n_channels or 0, 'electrode')} and {plural(found.n_moments or 0, 'moment')} the voltage of "
        f"{plural(found.n_epochs, 'epoch')} of {plural(found.n_subjects, 'subject')} ({plural(found.n_stimuli, 'stimulus')}) was analyzed "
        f"with the mixed model {found.formula.partition('~')[2].strip()}{baseline}, fitted by REML. p values hold for the whole map: they "
        f"compare the largest |z|, and the sum of z in clusters of neighbours with p < {share(found.cluster_forming_p, 2)}, with {found.n_draws:,} "
        "draws in which the signs of the effects predicted for subjects, items, stimuli and trials were drawn anew "
        f"({references.cite('wild')})."
    )


def results_sentences(results: Results) -> list[str]:
    """Return a sentence on each term's clusters."""
    found = _shown(results)
    return [f"{capitalized(line)}." for line in found.findings(words)] if found else []


def figures(folder: Path, negative: Negative = "down") -> list[Figure]:
    """Return one figure per term of the maps in a folder (`clada_neuro.erp.maps.stage`); ``negative`` is ``up`` or ``down``."""
    table, places = read_table(folder / "maps.parquet"), read_table(folder / "channels.parquet")
    facts, clusters = MapsRecord.read(folder / "maps.json"), read_table(folder / "clusters.parquet")
    scalp = read_table(folder / "scalp.parquet")
    return [
        _figure(
            str(term),
            rows,
            places,
            clusters[clusters["term"] == term],
            scalp[scalp["term"] == term],
            facts,
            negative,
        )
        for term, rows in table.groupby("term", sort=False)
    ]


def _figure(
    term: str,
    rows: pd.DataFrame,
    places: pd.DataFrame,
    clusters: pd.DataFrame,
    scalp: pd.DataFrame,
    facts: MapsRecord,
    negative: Negative,
) -> Figure:
    t, p = (
        rows.pivot(index="channel", columns="time_s", values=name).reindex(places["channel"])
        for name in ("t", "p_corrected")
    )
    numbered = rows.assign(cluster=rows["cluster"].astype("Int64").fillna(-1).astype(int))
    cluster = numbered.pivot(index="channel", columns="time_s", values="cluster").reindex(places["channel"])
    found = clusters.loc[clusters["p"] < ALPHA, "cluster"]
    inside = cluster.isin(list(found)).to_numpy(bool)
    order = np.argsort(-places["y"].to_numpy(float), kind="stable")  # from the front to the back of the head
    site = places["channel"][int(np.argmax(np.abs(t.to_numpy()).max(axis=1)))]
    groups = [(f"{start:.0f}–{end:.0f}", part) for (start, end), part in scalp.groupby(["from_ms", "to_ms"])]

    def paint(canvas: Canvas) -> None:
        with_scalp = mapped(places)
        ratios = (1.3, 1, 2.2) if with_scalp else (1.3, 2.2)
        grid = canvas.add_gridspec(len(ratios), len(groups), height_ratios=ratios)
        _course(canvas.add_subplot(grid[0, :]), rows[rows["channel"] == site], site, negative)
        if with_scalp:
            heads([canvas.add_subplot(grid[1, k]) for k in range(len(groups))], groups)
        _moments(canvas.add_subplot(grid[-1, :]), t.iloc[order], (p < ALPHA).iloc[order], inside[order])

    said = (
        f"{len(found)} of {plural(len(clusters), 'cluster')} with p < .05 (outlined), {np.count_nonzero(p < ALPHA)} points with "
        "p < .05 corrected for the largest of the map (dots)"
    )
    caption = (
        f"Effect of {words(term)} in mixed models at every electrode and moment ({facts.formula.partition('~')[2].strip()}; "
        f"{plural(facts.n_subjects, 'subject')}, {plural(facts.n_stimuli, 'stimulus')}): µV per SD at {site}, where |t| is largest, "
        f"with its 95 % interval for one moment; over the scalp; and t, electrodes from front to back. {said}."
    )
    return compose(
        re.sub(r"\W+", "_", f"maps_{term}"),
        caption,
        f"Line plot, scalp maps and heat map over time. {caption}",
        paint,
        (6.4, 6.6),
    )


def _course(axes: Axes, curve: pd.DataFrame, site: str, negative: Negative) -> None:
    milliseconds = 1e3 * curve["time_s"]
    axes.fill_between(
        milliseconds, curve["ci_low"], curve["ci_high"], color=COLORS[0], alpha=0.15, linewidth=0
    )
    axes.plot(milliseconds, curve["b_uv"], color=COLORS[0], linewidth=1.6, label=site)
    axes.axhline(0, color="#374151", linewidth=0.8)
    axes.set(ylabel="µV per SD")
    axes.margins(x=0)
    microvolts_up(axes, negative)
    axes.legend(loc="upper left")


def _moments(axes: Axes, t: pd.DataFrame, alone: pd.DataFrame, inside: np.ndarray) -> None:
    limit = float(np.abs(t.to_numpy()).max())
    milliseconds = 1e3 * t.columns.to_numpy(float)
    step = milliseconds[1] - milliseconds[0] if len(milliseconds) > 1 else 1.0
    extent = (milliseconds[0] - step / 2, milliseconds[-1] + step / 2, len(t) - 0.5, -0.5)
    image = axes.imshow(
        t.to_numpy(float),
        aspect="auto",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        extent=extent,
        interpolation="nearest",
    )
    if inside.any():
        axes.contour(
            milliseconds,
            np.arange(len(t)),
            inside.astype(float),
            levels=[0.5],
            colors="black",
            linewidths=0.9,
        )
    row, column = np.nonzero(alone.to_numpy())
    axes.plot(milliseconds[column], row, "k.", markersize=1.5)
    shown = np.arange(0, len(t), max(1, len(t) // 16))
    axes.set_yticks(shown, [str(t.index[k]) for k in shown], fontsize=7.5)
    axes.set(xlabel="Time from word onset (ms)")
    axes.grid(False)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.9, aspect=18, pad=0.02)
    bar.set_label("t", fontsize=9)
    bar.ax.tick_params(labelsize=8)
