"""How sensor maps and voltages are drawn, everywhere in one style."""

from collections.abc import Iterable
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

Negative: TypeAlias = Literal["up", "down"]


def mapped(maps: pd.DataFrame) -> bool:
    """Return whether electrodes have places (x, y) that span the scalp, so that values between them can be drawn."""
    if not len(maps) or maps[["x", "y"]].isna().any(axis=None):
        return False
    places = maps[["x", "y"]].to_numpy(float)
    return bool(np.linalg.matrix_rank(places - places[0], tol=1e-6) == 2)


def heads(places: Iterable[Axes], groups: list[tuple[str, pd.DataFrame]]) -> None:
    """Draw scalp maps (x, y, amplitude_uv) on one scale, symmetric around zero, each under its label; the place of an empty one is left
    blank.
    """
    from mne.viz import plot_topomap

    limit = max(rows["amplitude_uv"].abs().max() for _, rows in groups if len(rows))
    axes = list(places)
    for head, (label, rows) in zip(axes, groups, strict=True):
        if not len(rows):
            head.set_axis_off()
            continue
        image, _ = plot_topomap(
            rows["amplitude_uv"].to_numpy(float),
            rows[["x", "y"]].to_numpy(float),
            axes=head,
            sphere=(0, 0, 0, 1),
            vlim=(-limit, limit),
            cmap="RdBu_r",
            contours=4,
            res=40,
            show=False,
        )
        for dots in head.lines:
            dots.set_markersize(1.5)
        head.set_title(label, fontsize=9)
    bar = axes[-1].figure.colorbar(image, ax=axes, shrink=0.8, aspect=12, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("µV", fontsize=8.5)


def microvolts_up(axes: Axes, negative: Negative) -> None:
    """Turn a voltage axis over where negative is ``up``, as many ERP papers have it; ``down`` leaves it."""
    if negative == "up":
        axes.invert_yaxis()
