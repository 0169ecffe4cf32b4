"""Averages over time and over the scalp, where the run had epochs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from clada_neuro.reporting.blocks import Table
from clada_neuro.reporting.figures import COLORS, Figure, compose, draw
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.page_tables import coefficient_cells, table
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.scalp import Negative, heads, mapped, microvolts_up
from clada_neuro.reporting.text import capitalized, plural

_STYLES = {"low": (COLORS[0], "-"), "middle": (COLORS[7], "--"), "high": (COLORS[3], ":")}
_IN_TURN = (*_STYLES.values(), *((COLORS[place], "-.") for place in (1, 2, 4, 5, 6)))
_ALPHA = 0.05
_MAPS = 3  # side by side


def figures(results: Results) -> list[Figure]:
    """Return waveforms by condition with difference waves, by tercile of each predictor, then the regression ERPs."""
    frames = results.erp
    drawn = _by_condition(results) if "conditions" in frames else []
    if "waveforms" in frames:
        for (component, predictor), curves in frames["waveforms"].groupby(
            ["component", "predictor"], sort=False
        ):
            maps = _of(frames.get("topographies"), component=component, predictor=predictor)
            drawn.append(_terciles(results, str(component), str(predictor), curves, maps))
    if "rerp_waveforms" in frames:
        for component, curves in frames["rerp_waveforms"].groupby("component", sort=False):
            drawn.append(_regression(results, str(component), curves[curves["group"] != "intercept"]))
            maps = _of(frames.get("rerp_topographies"), component=component)
            maps = maps[maps["group"] != "intercept"] if len(maps) else maps
            if mapped(maps):
                drawn.append(_scalp(str(component), maps))
    return drawn


def tables(results: Results) -> list[Table]:
    """Return clusters with p < .05, the by-item check, and epochs rejected or lost; all rows stand in the CSV."""
    found = []
    clusters = results.erp.get("rerp_clusters")
    if clusters is not None and len(clusters):
        caption = (
            f"Clusters of the permutation test with p < .05, of {plural(len(clusters), 'cluster')}. Time limits "
            "describe a cluster; they are not tested onsets."
        )
        shown = table("", "", clusters[clusters["p"] < _ALPHA].drop(columns=["channels", "cluster"])).shown
        found.append(Table("rerp_clusters", caption, clusters, shown))
    if len(results.erp.get("by_item", ())):
        found.append(_by_item(results.erp["by_item"]))
    captions = {
        "rejections": "Epochs rejected, by reason.",
        "lost": "Epochs left out, without a word or without a measure of it, by reason.",
    }
    reasons = results.erp_facts.reasons if results.erp_facts else {}
    found += [
        Table(
            f"erp_{name}",
            caption,
            results.erp[name],
            table("", "", [row.row() for row in reasons[name]]).shown,
        )
        for name, caption in captions.items()
        if reasons.get(name)
    ]
    return found


def _by_item(frame: pd.DataFrame) -> Table:
    shown = coefficient_cells(frame.rename(columns={"b_uv_per_sd": "estimate"}))
    shown.insert(0, "where", frame["where"])
    shown.insert(1, "predictor", frame["predictor"])
    caption = "By-item check: stimulus means regressed on the predictors (µV per SD)."
    notes = " ".join(f"{capitalized(note)}." for note in frame["note"].unique() if note)
    return Table("erp_by_item", f"{caption} {notes}".strip(), frame, shown)


def _of(frame: pd.DataFrame | None, **values: object) -> pd.DataFrame:
    if frame is None:
        return pd.DataFrame()
    return frame[np.logical_and.reduce([frame[name] == value for name, value in values.items()])]


def _facts(results: Results, component: str) -> tuple[tuple[float, float] | None, str]:
    for known in results.erp_facts.components if results.erp_facts else ():
        if known.name == component:
            return (known.tmin, known.tmax), ", ".join(known.channels)
    return None, "the component's electrodes"


def _by_condition(results: Results) -> list[Figure]:
    """Return for each component the waveforms of the conditions, and those of what each adds to the first."""
    drawn = []
    for component, curves in results.erp["conditions"].groupby("component", sort=False):
        window, electrodes = _facts(results, str(component))
        over = f"mean of {electrodes} with 95 % intervals over {plural(int(curves['n_subjects'].iloc[0]), 'subject')}"
        caption = f"{component.upper()} of critical words by condition: {over}."
        name, up = f"erp_{component}", results.negative
        drawn.append(averages(f"{name}_conditions", caption, curves, pd.DataFrame(), window, negative=up))
        waves = _of(results.erp["differences"], component=component)
        maps = _of(results.erp["difference_topographies"], component=component)
        maps = maps if len(dict.fromkeys(maps["group"])) <= _MAPS else pd.DataFrame()
        below = f" Below: the scalp between {_window(window)}, µV." if mapped(maps) else ""
        caption = f"{component.upper()} difference waves of critical words: {over}, each subject's condition minus the first.{below}"
        drawn.append(averages(f"{name}_differences", caption, waves, maps, window, negative=up))
    return drawn


def _terciles(
    results: Results, component: str, predictor: str, curves: pd.DataFrame, maps: pd.DataFrame
) -> Figure:
    window, electrodes = _facts(results, component)
    subjects = plural(int(curves["n_subjects"].iloc[0]), "subject")
    below = f" Below: the scalp between {_window(window)}, µV." if mapped(maps) else ""
    caption = (
        f"{component.upper()} by tercile of {words(predictor)}: mean of {electrodes} with 95 % intervals over "
        f"{subjects}.{below}"
    )
    name = f"erp_{component}_{predictor}"
    return averages(name, caption, curves, maps, window, _capital(words(predictor)), results.negative)


def averages(
    name: str,
    caption: str,
    curves: pd.DataFrame,
    maps: pd.DataFrame,
    window: tuple[float, float] | None,
    legend: str = "",
    negative: Negative = "down",
) -> Figure:
    """Draw each group's average over time with its interval and, below, the scalp in the window.

    Parameters
    ----------
    name, caption
        Of the figure.
    curves
        From `clada_neuro.erp.evoked.waveforms`.
    maps
        From `clada_neuro.erp.evoked.topographies`, of up to three groups; not drawn without electrode positions.
    window
        Seconds, shaded; `legend` is the groups' title.
    negative
        Where negative voltages are.
    """
    with_scalp = mapped(maps)

    def paint(canvas: Canvas) -> None:
        grid = canvas.add_gridspec(2, 3, height_ratios=(2.1, 1)) if with_scalp else canvas.add_gridspec(1, 3)
        axes = canvas.add_subplot(grid[0, :])
        for place, (group, curve) in enumerate(curves.groupby("group", sort=False)):
            color, style = _STYLES.get(str(group), _IN_TURN[place % len(_IN_TURN)])
            _curve(axes, curve, str(group), color, style)
        _time(axes, window)
        microvolts_up(axes, negative)
        axes.legend(title=legend, title_fontsize=9.5, loc="upper left", ncols=3)
        if with_scalp:
            groups = [
                (str(group).replace(" − ", "\n− "), rows) for group, rows in maps.groupby("group", sort=False)
            ]
            heads([canvas.add_subplot(grid[1, place]) for place in range(len(groups))], groups)

    listed = ", ".join(map(str, curves["group"].unique()))
    size = (5.0, 5.0 if with_scalp else 3.5)
    return compose(name, caption, f"Averaged potentials over time: {listed}. {caption}", paint, size)


def _regression(results: Results, component: str, curves: pd.DataFrame) -> Figure:
    window, electrodes = _facts(results, component)

    def paint(axes: Axes) -> None:
        styles = ("-", "--", ":", "-.")
        for place, (group, curve) in enumerate(curves.groupby("group", sort=False)):
            _curve(axes, curve, words(str(group)), COLORS[(0, 1, 3, 7)[place % 4]], styles[place % 4])
        _time(axes, window)
        axes.set(ylabel="µV per SD")
        microvolts_up(axes, results.negative)
        axes.legend(loc="upper left", fontsize=8.5)

    subjects = plural(int(curves["n_subjects"].iloc[0]), "subject")
    caption = (
        f"Regression ERPs at the {component.upper()} electrodes ({electrodes}): µV per SD of each predictor, all in one "
        f"regression per subject, with 95 % intervals over {subjects}, not corrected for the number of samples."
    )
    return draw(f"rerp_{component}", caption, f"Line plot over time. {caption}", paint)


def _scalp(component: str, maps: pd.DataFrame) -> Figure:
    groups = [(words(str(group)), rows) for group, rows in maps.groupby("group", sort=False)]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots(1, len(groups), squeeze=False)[0]
        heads(axes, [(label.replace(" ", "\n", 1), rows) for label, rows in groups])

    caption = f"Regression ERPs over the scalp in the {component.upper()} window, µV per SD."
    listed = ", ".join(label for label, _ in groups)
    return compose(
        f"rerp_scalp_{component}", caption, f"Scalp maps of {listed}. {caption}", paint, (5.0, 1.9)
    )


def _curve(axes: Axes, curve: pd.DataFrame, label: str, color: str, style: str) -> None:
    milliseconds = 1e3 * curve["time_s"]
    axes.fill_between(milliseconds, curve["ci_low"], curve["ci_high"], color=color, alpha=0.15, linewidth=0)
    axes.plot(milliseconds, curve["mean_uv"], style, color=color, linewidth=1.6, label=label)


def _time(axes: Axes, window: tuple[float, float] | None) -> None:
    if window:
        axes.axvspan(1e3 * window[0], 1e3 * window[1], color="#e4e7eb", zorder=0)
    axes.axvline(0, color="#374151", linewidth=1)
    axes.axhline(0, color="#374151", linewidth=0.8)
    axes.set(xlabel="Time from word onset (ms)", ylabel="µV")
    axes.margins(x=0, y=0.15)


def _window(window: tuple[float, float] | None) -> str:
    return f"{1e3 * window[0]:.0f} and {1e3 * window[1]:.0f} ms" if window else "the window's limits"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
