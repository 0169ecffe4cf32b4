"""The marginal means, slopes and contrasts that a report shows of a model with factors, as data."""

from math import prod
from typing import Any

import pandas as pd

from clada_neuro.stats.anova import terms_of
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import names_of
from clada_neuro.stats.marginal.estimates import Estimates
from clada_neuro.stats.marginal.grid import factors_of
from clada_neuro.stats.marginal.means import emmeans, emtrends
from clada_neuro.stats.marginal.scales import RESPONSE, bias_factor
from clada_neuro.stats.notation import quoted

ADJUST = "holm"
# A factor with more levels than these, such as items, is not compared pair by pair.
MOST_LEVELS, MOST_CELLS = 8, 24


def overview(fit: Fitted) -> list[dict[str, Any]]:
    """Return means of the cells of each factor, or of those that interact, and slopes of what a factor interacts with.

    Returns
    -------
    list of dict
        ``factors`` (compared), ``by`` (within which), ``slope`` (the predictor, empty for means), ``unit``, ``adjust``,
        ``estimates`` and ``contrasts`` (all pairs within each family; none for one level): rows with their ``cell``. All on
        the scale of the response, where the model's own is another: medians of log-normal responses, with their ``mean``.
    """
    levels = factors_of(fit)
    terms, order = terms_of(fit), list(dict.fromkeys(names_of(fit.model.formula.fixed)))
    shown = []
    for one in terms:
        factors = [name for name in order if name in one.factors]
        cells = prod(len(levels[name]) for name in factors)
        wide = cells > MOST_CELLS or len(levels[factors[0]]) > MOST_LEVELS if factors else True
        if wide or any(other.holds(one) for other in terms):
            continue
        numbers = [name for name in one.covariates if name in fit.model.numeric_predictors()]
        specs = " | ".join(
            [quoted(factors[0]), *([" + ".join(map(quoted, factors[1:]))] if factors[1:] else [])]
        )
        if not one.covariates:
            shown.append(_entry(emmeans(fit, specs, type=RESPONSE)))
        elif len(numbers) == 1 == len(one.covariates):
            shown.append(_entry(emtrends(fit, numbers[0], specs, type=RESPONSE)))
    return shown


def _entry(found: Estimates) -> dict[str, Any]:
    known = found.functions
    several = len(known.families()[0]) > 1
    rows = _rows(found, list(known.cells))
    if known.scale and known.scale.ratio == "ratio" and not known.slope:
        factor = bias_factor(known.fit)
        rows = [row | {"mean": factor * row["estimate"]} for row in rows]
    return {
        "factors": known.factors,
        "by": list(known.by),
        "slope": known.slope,
        "unit": found.unit,
        "adjust": ADJUST,
        "estimates": rows,
        "contrasts": _rows(found.pairs(ADJUST), ["contrast", *known.by]) if several else [],
    }


def _rows(table: pd.DataFrame, cells: list[str]) -> list[dict[str, Any]]:
    return [
        {"cell": {name: str(row[name]) for name in cells}}
        | {str(name): float(value) for name, value in row.items() if name not in cells}
        for row in pd.DataFrame(table).to_dict("records")
    ]
