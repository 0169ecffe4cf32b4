"""Overlapping responses taken apart: waveforms over subjects, clusters, and what became of every event."""

import re
from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure as Canvas

from clada_neuro.artifacts import read_table
from clada_neuro.records.overlap import EventFormula, OverlapRecord
from clada_neuro.reporting import references
from clada_neuro.reporting.blocks import Table
from clada_neuro.reporting.figures import COLORS, Figure, compose
from clada_neuro.reporting.labels import unit_of, words
from clada_neuro.reporting.page_tables import coefficient_cells, table
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.scalp import heads, mapped, microvolts_up
from clada_neuro.reporting.text import capitalized, number, plural

_PLURAL = re.compile(r"(?<=[a-z]{3})s$")  # of bits and words, not of ms
_ALPHA, _MIDLINE = 0.05, ("Pz", "Cz", "CPz", "POz", "Fz")


def facts(results: Results) -> OverlapRecord | None:
    """Return what was done; None where there are no recordings, or the stage has not finished."""
    place = results.folder / "overlap" / "overlap.json"
    return OverlapRecord.read(place) if place.is_file() else None


def taken_apart(results: Results) -> bool:
    """Return whether there are responses to show."""
    found = facts(results)
    return found is not None and not found.left_out


def heading(results: Results) -> str:
    """Return the heading where there is something to say."""
    return "Overlapping responses" if facts(results) else ""


def lines(results: Results) -> list[str]:
    """Return what a reader must know: how much was used, how well responses can be told apart, or why there are none."""
    found = facts(results)
    if found is None:
        return []
    if found.left_out:
        return [f"Overlapping responses were not taken apart: {found.left_out}."]
    if found.seconds_used is None:
        return [
            "These files are of an earlier version: run again to see how well responses can be told apart."
        ]
    fits = found.subjects.values()
    formulas = ", ".join(f"{model.event} ~ {model.formula}" for model in found.models)
    said = [
        f"Responses to successive words were estimated together ({formulas}) from {found.seconds_used / 60:.0f} minutes of "
        f"{plural(sum(max(1, len(fit.recordings)) for fit in fits), 'recording')}; overlap makes the variance of a response {number(found.worst_inflation, 1)} times larger at its "
        f"worst moment; condition numbers up to {number(found.worst_condition, 0)}."
    ]
    if found.by_item and found.by_item.left_out:
        said.append(f"Whether the effects hold over stimuli was not tested: {found.by_item.left_out}.")
    return [*said, *(found.notes or dict.fromkeys(note for fit in fits for note in fit.notes))]


def methods(results: Results) -> str:
    """Return the sentences for Methods; empty where nothing was taken apart."""
    found = facts(results)
    if found is None or found.left_out or not found.models:
        return ""
    formulas = "; ".join(f"{model.event} ~ {model.formula}{_lags(model)}" for model in found.models)
    shrunk = ", shrunken by a ridge whose penalty predicts held-out time best" if found.ridge else ""
    tested = (
        f" Waveforms were tested over {plural(len(found.subjects), 'subject')} by {found.n_permutations:,} sign permutations of clusters "
        "over time and electrodes."
        if len(found.subjects) > 1
        else ""
    )
    return (
        "Responses to words that follow each other before these end were estimated together, in each subject by one regression of the "
        f"continuous EEG on all events at all lags ({references.cite('overlap')}; {formulas}){shrunk}.{tested}"
    )


def _lags(model: EventFormula) -> str:
    if model.tmin is None or model.tmax is None:
        return ""
    return f", {1e3 * model.tmin:.0f} to {1e3 * model.tmax:.0f} ms".replace("-", "−")


def figures(results: Results) -> list[Figure]:
    """Return each predictor's waveform at a midline electrode, with its interval over subjects."""
    place = results.folder / "overlap" / "averages.parquet"
    if not taken_apart(results) or not place.is_file():
        return []
    waveforms = read_table(place)
    there = set(waveforms["channel"])
    site = next((name for name in _MIDLINE if name in there), sorted(there)[0])
    at = waveforms[waveforms["channel"] == site]
    groups = [
        (f"{event}: {_named(str(predictor))}", _unit(str(predictor)), rows)
        for (event, predictor), rows in at.groupby(["event", "predictor"], sort=False)
    ]

    def paint(canvas: Canvas) -> None:
        panels = canvas.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (label, unit, rows) in zip(panels, groups, strict=True):
            axes.fill_between(
                rows["time_ms"], rows["ci_low"], rows["ci_high"], color=COLORS[0], alpha=0.15, linewidth=0
            )
            axes.plot(rows["time_ms"], rows["mean_uv"], color=COLORS[0], linewidth=1.6)
            axes.axhline(0, color="#374151", linewidth=0.8)
            axes.axvline(0, color="#374151", linewidth=1)
            axes.set_title(label, fontsize=9.5)
            axes.set_ylabel(unit)
            axes.margins(x=0)
            microvolts_up(axes, results.negative)
        panels[-1].set_xlabel("Time from onset (ms)")

    subjects = plural(int(at["n_subjects"].iloc[0]), "subject")
    caption = (
        f"Responses at {site}, those to neighbouring words taken apart: means over {subjects} with 95 % intervals, µV per unit "
        "of each predictor."
    )
    size = (5.0, 0.9 + 1.9 * len(groups))
    lines = compose("overlap", caption, f"Line plots over time. {caption}", paint, size)
    return [lines, *_scalp(results, subjects)]


def _scalp(results: Results, subjects: str) -> list[Figure]:
    """Return the same responses over the scalp, a row a predictor with a scale of its own; nothing where places are not known."""
    place = results.folder / "overlap" / "scalp.parquet"
    maps = read_table(place) if place.is_file() else pd.DataFrame()
    if not mapped(maps):
        return []
    predictors = [(names, rows) for names, rows in maps.groupby(["event", "predictor"], sort=False)]
    windows = maps[["from_ms", "to_ms"]].drop_duplicates().to_records(index=False)

    def paint(canvas: Canvas) -> None:
        grid = canvas.subplots(len(predictors), len(windows), squeeze=False)
        for axes, ((event, predictor), rows) in zip(grid, predictors, strict=True):
            label = f"{event}: {_named(str(predictor))}"
            heads(
                list(axes),
                [
                    (f"{label}\n{start:.0f}–{end:.0f} ms", rows[rows["from_ms"] == start])
                    for start, end in windows
                ],
            )

    caption = (
        f"The same responses over the scalp: means over {subjects} in the components' windows, µV per unit of each predictor; "
        "each row has a scale of its own."
    )
    size = (5.0, 0.3 + 1.8 * len(predictors))
    return [compose("overlap_scalp", caption, f"Scalp maps. {caption}", paint, size)]


def tables(results: Results) -> list[Table]:
    """Return clusters with p < .05 and what became of every event."""
    done = facts(results)
    if done is None or done.left_out:
        return []
    place = results.folder / "overlap"
    found = []
    if (place / "clusters.parquet").is_file():
        clusters = read_table(place / "clusters.parquet")
        caption = (
            f"Overlapping responses taken apart: clusters of the permutation test over subjects with p < .05, of "
            f"{plural(len(clusters), 'cluster')}. Time limits describe a cluster; they are not tested onsets."
        )
        strong = clusters[clusters["p"] < _ALPHA].drop(columns=["channels", "cluster"])
        shown = table("", "", strong.assign(predictor=strong["predictor"].map(_of_event))).shown
        found.append(Table("overlap_clusters", caption, clusters, shown))
    if (place / "by_item.parquet").is_file():
        counts = done.by_item.words if done.by_item else {}
        found.append(_by_item(read_table(place / "by_item.parquet"), counts))
    events = read_table(place / "events.parquet")
    shown = table("", "", [row.row() for row in done.outcomes] or events).shown
    return [
        *found,
        Table("overlap_events", "What became of the recordings' events and words.", events, shown),
    ]


def _by_item(checked: pd.DataFrame, counts: Mapping[str, int]) -> Table:
    """Return whether the effects hold over stimuli, and of which words that is said."""
    n = plural(int(checked["n_items"].max()), "item")
    caption = (
        f"Overlapping responses taken apart: the same effects over stimuli, of words from which the responses to their neighbours are "
        f"subtracted; µV per unit of the predictor, standard errors clustered over {n}."
    )
    if counts:
        parts = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count)
        caption += f" Of {plural(sum(counts.values()), 'word')} shown to readers: {parts}."
    caption += "".join(f" {capitalized(note)}." for note in checked["note"].unique() if note)
    shown = coefficient_cells(checked.rename(columns={"b_uv": "estimate"}))
    places = checked["where"].str.replace(r"^center\((.*)\)(?= cluster)", r"\1", regex=True)
    shown.insert(0, "where", places)
    shown.insert(1, "predictor", checked["predictor"].map(_named))
    return Table("overlap_by_item", caption, checked, shown)


def _of_event(name: str) -> str:
    event, _, predictor = name.partition("/")
    return f"{event}: {_named(predictor)}"


def _named(predictor: str) -> str:
    plain = predictor.removeprefix("center(").removesuffix(")")
    return "average response" if predictor == "intercept" else words(plain)


def _unit(predictor: str) -> str:
    if predictor == "intercept":
        return "µV"
    unit = unit_of(predictor.removeprefix("center(").removesuffix(")"))
    return f"µV per {_PLURAL.sub('', unit) or 'unit'}"
