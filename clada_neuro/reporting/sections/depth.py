"""Layers in place of the last one: profiles over layers, what passes in the family, and the layer chosen out of sight."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.numerals import p_text
from clada_neuro.records.depth import Profile
from clada_neuro.reporting.blocks import Block, Paragraph, Part, Points
from clada_neuro.reporting.figures import COLORS, Canvas, Figure, compose
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.tables import Table, slug, table

NATS = 1e3  # gains are drawn in thousandths of a nat


def blocks(results: Results) -> Iterator[Block]:
    """Yield each model's profiles, its tests and its nested choice."""
    if not results.depth:
        return
    for entry in results.depth.entries:
        yield Part(
            entry.name, [Paragraph(methods(entry)), figure(entry), Paragraph(found(entry)), choice(entry)]
        )
    if notes := [*results.depth.notes, *(note for entry in results.depth.entries for note in entry.notes)]:
        yield Points(notes)


def methods(entry: Profile) -> str:
    """Return what was done, in a sentence or two."""
    return (
        f"Each layer's measures stood in place of {entry.replaces} in the model {entry.formula} "
        f"({entry.n_obs:,} trials, {entry.n_words} words). Estimates are by REML; p values and {100 * entry.confidence:g} % "
        f"intervals hold for all {entry.n_family} models together (max-T over {entry.replicates:,} responses drawn from the model "
        f"without {entry.replaces}, {entry.n_failed} of them not fitted). Gains in log-likelihood are on held-out {entry.fold}s, "
        f"{entry.folds} folds of {entry.n_items}."
    )


def found(entry: Profile) -> str:
    """Return which layers pass in the family."""
    strong = [row for row in entry.profile if row.p_family <= 1 - entry.confidence]
    listed = "; ".join(
        f"{row.measure} of layer {row.layer}, b = {row.estimate:.3f}, {p_text(row.p_family)}"
        for row in strong
    )
    return f"{len(strong)} of {entry.n_family} pass in the family{': ' + listed if strong else ''}."


def choice(entry: Profile) -> Table:
    """Return the gains of layers chosen from the other folds."""
    caption = (
        f"The layer that is best in the other folds, scored on {entry.fold}s that had no part in choosing it (0.001 nats a trial, SE over "
        f"{entry.fold}s). The largest estimate of the figure is no evidence for its own layer."
    )
    rows = [
        {
            "measure": row.measure,
            "layers": row.layers,
            "gain_over_none": NATS * row.heldout_baseline,
            "gain_over_none_se": NATS * row.heldout_baseline_se,
            f"gain_over_{entry.replaces}": NATS * row.heldout_final,
            f"gain_over_{entry.replaces}_se": NATS * row.heldout_final_se,
        }
        for row in entry.choice
    ]
    return table(f"depth_{slug(entry.name)}_choice", caption, rows)


def figure(entry: Profile) -> Figure:
    """Draw a column a measure: b with simultaneous intervals above, held-out gains below."""
    measures = list(dict.fromkeys(row.measure for row in entry.profile))

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots(2, len(measures), sharex=True, sharey="row", squeeze=False)
        for column, name in enumerate(measures):
            rows = pd.DataFrame([row.row() for row in entry.profile if row.measure == name])
            _estimates(axes[0, column], rows, COLORS[column % len(COLORS)])
            _gains(axes[1, column], rows, COLORS[column % len(COLORS)], entry.replaces)
            axes[0, column].set_title(name, fontsize=9)
            axes[1, column].set_xlabel("layer")
        axes[0, 0].set_ylabel(f"b of {entry.response},\na standard deviation")
        axes[1, 0].set_ylabel("held-out gain,\n0.001 nats a trial")
        axes[1, 0].legend(fontsize=8)

    caption = (
        f"{entry.name}: above, b with simultaneous {100 * entry.confidence:g} % intervals; below, gains on held-out {entry.fold}s over the "
        f"model without {entry.replaces} (line) and over {entry.replaces} itself (dashed)."
    )
    alt = f"Profiles over layers of {', '.join(measures)}. {found(entry)}"
    return compose(f"depth_{slug(entry.name)}", caption, alt, paint, (2.4 * len(measures) + 0.6, 4.6))


def _estimates(axes: Axes, rows: pd.DataFrame, color: str) -> None:
    low, high = (rows[name].astype(float) for name in ("ci_low", "ci_high"))
    axes.fill_between(rows["layer"], low, high, color=color, alpha=0.2)
    axes.plot(rows["layer"], rows["estimate"], color=color)
    axes.axhline(0, color="black", linewidth=0.8)


def _gains(axes: Axes, rows: pd.DataFrame, color: str, replaced: str) -> None:
    axes.plot(rows["layer"], NATS * rows["heldout_baseline"], color=color, label="over none")
    axes.plot(rows["layer"], NATS * rows["heldout_final"], "--", color="#444444", label=f"over {replaced}")
    axes.axhline(0, color="black", linewidth=0.8)


def present(results: Results) -> bool:
    """Return whether `depth` was asked of this run."""
    return results.depth is not None


SECTION = Declared("depth", "Layers", 1050, blocks, shown=present)
