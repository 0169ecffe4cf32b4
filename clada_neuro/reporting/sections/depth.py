"""Layers in place of the last one: profiles over layers, what passes in the family, and the layer chosen out of sight."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.numerals import decimals, fixed, interval
from clada_neuro.records.depth import ProfileFacts
from clada_neuro.reporting.blocks import Block, Headed, Paragraph, Points, Typed
from clada_neuro.reporting.figures import COLORS, Canvas, Figure, compose
from clada_neuro.reporting.layers import (
    NATS,
    chosen,
    found,
    label,
    largest,
    measures,
    passing,
    sign,
)
from clada_neuro.reporting.page_tables import Table, slug, table
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import p_value


def blocks(results: Results) -> Iterator[Block]:
    """Yield each model's profiles, its tests and its nested choice."""
    if not results.depth:
        return
    for entry in results.depth.entries:
        yield Headed(entry.name, [Paragraph(methods(entry)), *shown(entry)])
    if results.depth.entries:
        yield Paragraph(("Every layer and fold stands in ", Typed("tables/depth_*.csv"), "."))
    if notes := [*results.depth.notes, *(note for entry in results.depth.entries for note in entry.notes)]:
        yield Points(notes)


def shown(entry: ProfileFacts) -> list[Block]:
    """Return what was found of a model: in words, as profiles, by measure, and the choice."""
    return [Paragraph(found(entry)), figure(entry), family(entry), Paragraph(chosen(entry)), choice(entry)]


def methods(entry: ProfileFacts) -> str:
    """Return what was done, in a sentence or two."""
    return (
        f"Each layer's measures stood in place of {entry.replaces} in the model {entry.formula} "
        f"({entry.n_obs:,} trials, {entry.n_words:,} words). Estimates are by REML; p values and {100 * entry.confidence:g} % "
        f"intervals hold for all {entry.n_family} models together (max-T over {entry.replicates:,} responses drawn from the model "
        f"without {entry.replaces}, {entry.n_failed} of them not fitted). Gains in log-likelihood are on held-out {entry.fold}s, "
        f"{entry.folds} folds of {entry.n_items}."
    )


def family(entry: ProfileFacts) -> Table:
    """Return a row a measure: which layers pass in the family, and the estimate with the largest |t|."""
    caption = (
        f"Layers that pass in the family, and of each measure the layer with the largest |t|: b a standard deviation, with limits "
        f"and p that hold for all {entry.n_family} models."
    )
    peaks = [largest(entry, name) for name in measures(entry)]
    rows = [
        {
            "measure": label(row.measure),
            "layers_that_pass": passing(entry, row.measure) or None,
            "largest_at_layer": row.layer,
            "b": row.estimate,
            "ci_low": row.ci_low,
            "ci_high": row.ci_high,
            "p": row.p_family,
            "registered_sign": sign(row),
        }
        for row in peaks
    ]
    frame, digits = pd.DataFrame(rows), [decimals(row.se) for row in peaks]
    told = frame.drop(columns=["ci_low", "ci_high"]).assign(
        layers_that_pass=frame["layers_that_pass"].fillna("none"),
        largest_at_layer=frame["largest_at_layer"].astype(str),
        b=[
            f"{fixed(row.estimate, places)} {interval(row.ci_low, row.ci_high, places)}"
            for row, places in zip(peaks, digits, strict=True)
        ],
        p=frame["p"].map(p_value),
    )
    return Table(f"depth_{slug(entry.name)}_family", caption, frame, told)


def choice(entry: ProfileFacts) -> Table:
    """Return the gains of layers chosen from the other folds."""
    caption = (
        f"The layer that is best in the other folds, scored on {entry.fold}s that had no part in choosing it (0.001 nats a trial, SE over "
        f"{entry.fold}s). The largest estimate of the figure is no evidence for its own layer."
    )
    if any(row.heldout_final is None for row in entry.choice):
        caption += f" —: what was chosen is {entry.replaces} itself, over which it has no gain."
    rows = [
        {
            "measure": label(row.measure),
            "layers": row.layers,
            "gain_over_none": _milli(row.heldout_baseline),
            "gain_over_none_se": _milli(row.heldout_baseline_se),
            f"gain_over_{entry.replaces}": _milli(row.heldout_final),
            f"gain_over_{entry.replaces}_se": _milli(row.heldout_final_se),
        }
        for row in entry.choice
    ]
    numbers = {name: float for name in rows[0] if name.startswith("gain_over_")}
    made = table(f"depth_{slug(entry.name)}_choice", caption, pd.DataFrame(rows).astype(numbers))
    return Table(made.name, made.caption, made.frame, made.shown.replace("NA", "—"))


def _milli(gain: float | None) -> float | None:
    return None if gain is None else NATS * gain


def figure(entry: ProfileFacts) -> Figure:
    """Draw a column a measure: b with simultaneous intervals above, held-out gains below."""
    names = measures(entry)

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots(2, len(names), sharex=True, sharey="row", squeeze=False)
        for column, name in enumerate(names):
            rows = pd.DataFrame([row.row() for row in entry.profile if row.measure == name])
            _estimates(axes[0, column], rows, COLORS[column % len(COLORS)])
            _gains(axes[1, column], rows, COLORS[column % len(COLORS)], entry.replaces)
            axes[0, column].set_title(label(name), fontsize=9)
            axes[1, column].set_xlabel("layer")
        axes[0, 0].set_ylabel(f"b of {entry.response},\na standard deviation")
        axes[1, 0].set_ylabel("held-out gain,\n0.001 nats a trial")
        axes[1, 0].legend(fontsize=8)

    caption = (
        f"{entry.name}: above, b with simultaneous {100 * entry.confidence:g} % intervals; below, gains on held-out {entry.fold}s over the "
        f"model without {entry.replaces} (line) and over {entry.replaces} (dashed), with one standard error."
    )
    alt = f"Profiles over layers of {', '.join(map(label, names))}. {found(entry)}"
    return compose(f"depth_{slug(entry.name)}", caption, alt, paint, (2.4 * len(names) + 0.6, 4.6))


def _estimates(axes: Axes, rows: pd.DataFrame, color: str) -> None:
    low, high = (rows[name].astype(float) for name in ("ci_low", "ci_high"))
    axes.fill_between(rows["layer"], low, high, color=color, alpha=0.2)
    axes.plot(rows["layer"], rows["estimate"], color=color)
    axes.axhline(0, color="black", linewidth=0.8)


def _gains(axes: Axes, rows: pd.DataFrame, color: str, replaced: str) -> None:
    for name, style, ink, told in (
        ("heldout_baseline", "-", color, "over none"),
        ("heldout_final", "--", "#444444", f"over {replaced}"),
    ):
        # A gap where the layer's measure is the replaced predictor.
        gain, se = (NATS * rows[part].astype(float) for part in (name, f"{name}_se"))
        axes.fill_between(rows["layer"], gain - se, gain + se, color=ink, alpha=0.12, linewidth=0)
        axes.plot(rows["layer"], gain, style, color=ink, label=told)
    axes.axhline(0, color="black", linewidth=0.8)


def present(results: Results) -> bool:
    """Return whether `depth` was asked of this run."""
    return results.depth is not None


SECTION = Declared("depth", "Layers", 1050, blocks, shown=present)
