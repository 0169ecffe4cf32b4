"""Whether a regression's residuals are what the model assumes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.special import ndtri

from clada_neuro.reporting.figures import COLORS, Figure, draw
from clada_neuro.reporting.tables import slug


def quantiles(fit: Mapping[str, Any]) -> Figure | None:
    """Draw the residuals' quantiles against the normal distribution's; nothing when the fit holds none."""
    found = fit.get("residual_quantiles")
    if not found:
        return None
    normal, residual = ndtri(np.asarray(found["p"], float)), np.asarray(found["value"], float)

    def paint(axes: Axes) -> None:
        ends = np.array([normal.min(), normal.max()])
        axes.plot(ends, ends, color="#374151", linewidth=1, linestyle=(0, (3, 3)))
        axes.plot(normal, residual, "o", color=COLORS[0], markersize=4)
        axes.set(xlabel="Normal quantile", ylabel="Residual / residual SD")

    caption = f"{fit['name']}: quantiles of the residuals against the normal distribution (dashed: equal)."
    alt = f"{caption} They run from {residual.min():.1f} to {residual.max():.1f} residual SDs."
    return draw(f"residuals_{slug(fit['name'])}", caption, alt, paint)
