"""Fitted lines as a report draws them, evaluated by the fit: what a term means is known to its formula, not to its name."""

from typing import Any

from clada_neuro.stats.diagnostics import partial_effect
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.marginal.scales import scale_of

_POINTS = 41


def effects(fit: Fitted) -> dict[str, list[dict[str, Any]]]:
    """Return the fitted lines of a model in the units of its data.

    Returns
    -------
    dict
        From each numeric predictor to one line, and from each product of two to three: at the second one's mean and a
        standard deviation below and above. A line has ``by`` (the second one's value, None without), ``x``,
        ``estimate``, ``ci_low`` and ``ci_high``, on the scale of the response (probabilities, rates, medians of what a
        logarithm was taken of). Other numbers are at their means, factors at their first level.
    """
    numbers = fit.model.numeric_predictors()
    lines = {name: [_line(fit, name)] for name in numbers}
    for term in fit.design.names:
        first, _, second = term.partition(":")
        if first in numbers and second in numbers:
            center, sd = fit.standardized.get(second, (0.0, 1.0))
            values = center + sd * fit.model.data[second].astype(float)
            levels = (values.mean() + step * values.std() for step in (-1, 0, 1))
            lines[term] = [_line(fit, first, **{second: float(level)}) for level in levels]
    return lines


def _line(fit: Fitted, predictor: str, **held: float) -> dict[str, Any]:
    table = partial_effect(fit, predictor, _POINTS, held=held).rename(columns={predictor: "x"})
    if scale := scale_of(fit):
        table = table.assign(
            **{name: scale.inverse(table[name].to_numpy()) for name in ("estimate", "ci_low", "ci_high")}
        )
    return {"by": next(iter(held.values()), None), **table.to_dict("list")}
