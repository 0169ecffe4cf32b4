"""What encoding at every moment looks like: a plane of layers and moments, and all kinds of vectors beside each other."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.records.encoding import Course
from clada_neuro.reporting.blocks import Block, Paragraph
from clada_neuro.reporting.figures import COLORS, Canvas, Figure, compose
from clada_neuro.reporting.page_tables import Table, slug, table

KINDS = {
    "states": "states of the model",
    "activity": "feed-forward activity",
    "untrained": "the model untrained",
    "next word": "states of the next word",
    "embedding": "input embedding",
    "covariates": "position, length, frequency, surprisal",
}
STYLES = {
    "states": "-",
    "activity": "-",
    "untrained": "--",
    "next word": ":",
    "embedding": "-.",
    "covariates": "-.",
}
ALPHA = 0.05


def color(kind: str) -> str:
    """Return the color of a kind of vectors, the same in every figure."""
    return COLORS[list(KINDS).index(kind)]


def blocks(course: Course, settings: dict[str, Any]) -> list[Block]:
    """Return what was found of a group of electrodes over time."""
    return [Paragraph(_methods(course, settings)), figure(course), peaks(course)]


def _methods(course: Course, settings: dict[str, Any]) -> str:
    return (
        f"The mean voltage of {', '.join(course.channels)} in steps of {course.step_ms:g} ms ({course.n_trials:,} trials of "
        f"{course.n_subjects} subjects, {course.n_words:,} words; baseline: {course.baseline}) was predicted in the same way, every "
        f"step for itself. Lines are of the layer that was best inside each fold at that moment; p values of states hold for all "
        f"layers and moments together ({settings['shuffles']} exchanges of items)."
    )


def figure(course: Course) -> Figure:
    """Draw r of the states by layer and moment, and beside it all kinds of vectors over time."""
    name = " and ".join(course.components)

    def paint(canvas: Canvas) -> None:
        plane, lines = canvas.subplots(1, 2, width_ratios=[1, 1.35])
        states = [row for row in course.layers if row.vectors == "states"]
        shown = np.array([row.r for row in states])
        numbers, times = [row.layer for row in states], np.array(course.times_ms)
        drawn = plane.pcolormesh(
            times, range(len(states)), shown, cmap="viridis", shading="nearest", rasterized=True
        )
        passed = np.array([row.p_family for row in states], dtype=float) < ALPHA
        if passed.any():
            at, when = np.nonzero(passed)
            plane.plot(times[when], at, "w.", markersize=3)
        every = max(1, len(numbers) // 6)
        plane.set_yticks(range(0, len(numbers), every), [str(number) for number in numbers[::every]])
        plane.grid(visible=False)
        plane.set(xlabel="ms from the word", ylabel="layer")
        canvas.colorbar(drawn, ax=plane, label="r of states", location="top", aspect=30)
        for kind in course.kinds:
            lines.plot(
                times, kind.r, STYLES[kind.vectors], color=color(kind.vectors), label=KINDS[kind.vectors]
            )
            if kind.vectors == "states":
                r, se = np.array(kind.r), np.array(kind.se)
                lines.fill_between(times, r - se, r + se, color=color("states"), alpha=0.15, linewidth=0)
        if any(value is not None for value in course.ceiling):
            lines.plot(
                times,
                np.array(course.ceiling, dtype=float),
                color="0.4",
                linewidth=1,
                linestyle="--",
                label="noise ceiling",
            )
        mark_nothing(lines, course.shuffled)
        lines.axvline(0, color="0.8", linewidth=1)
        lines.set(xlabel="ms from the word", ylabel="r on items left out")
        lines.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)

    caption = (
        f"Encoding of the voltage over time, {name} electrodes. Left: states by layer, white points where p < .05 over all layers and "
        "moments. Right: the model and its controls, each by the layer chosen inside folds; the band is one standard error."
    )
    return compose(
        f"encoding_over_time_{slug(name)}", caption, f"{caption} {_found(course)}", paint, (9.0, 4.6)
    )


def mark_nothing(axes: Axes, shuffled: float | None) -> None:
    """Draw r = 0, and what items exchanged at random reach where that is known."""
    if shuffled is not None:
        label = "shuffled items (largest, 95 %)"
        axes.axhline(shuffled, color="0.6", linewidth=1, linestyle=":", label=label)
    axes.axhline(0, color="0.8", linewidth=1)


def _found(course: Course) -> str:
    (states,) = (kind for kind in course.kinds if kind.vectors == "states")
    best = int(np.argmax(states.r))
    return f"States are best at {course.times_ms[best]:.0f} ms, r = {states.r[best]:.2f}."


def peaks(course: Course) -> Table:
    """Return a row a kind of vectors: the moment of its largest r."""
    rows = []
    for kind in course.kinds:
        best = int(np.argmax(kind.r))
        passed = [time for time, p in zip(course.times_ms, kind.p_family, strict=True) if p < ALPHA]
        rows.append(
            {
                "vectors": KINDS[kind.vectors],
                "at_ms": f"{course.times_ms[best]:.0f}",
                "r": kind.r[best],
                "se": kind.se[best],
                "p": kind.p_family[best],
                "moments_that_pass": f"{len(passed)} of {len(kind.r)}",
                "first_and_last_ms": f"{passed[0]:.0f}, {passed[-1]:.0f}" if passed else "",
            }
        )
    caption = (
        "Of each kind of vectors the moment of its largest r, by layers chosen inside folds; p and what passes (p < .05) hold for all "
        "moments of the kind."
    )
    return table(
        f"encoding_over_time_{slug(' and '.join(course.components))}_peaks", caption, pd.DataFrame(rows)
    )
