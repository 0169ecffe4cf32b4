"""Is the effect of a predictor a straight line? The same model with a smooth in its place, beside the line that was fitted."""

from dataclasses import replace
from typing import Any

import numpy as np

from clada_neuro.errors import FitError
from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.engines import DEFAULT
from clada_neuro.stats.engines.base import engine_of
from clada_neuro.stats.engines.smooth import Smoothed
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.model import Model
from clada_neuro.stats.smooths.columns import smooths_of
from clada_neuro.stats.smooths.curve import curve, functions_of, posterior_of
from clada_neuro.stats.smooths.line import against_line, without
from clada_neuro.stats.smooths.terms import DEFAULT_K, LEAST_K, SmoothTerm

# Beside the curve, where the values lie.
_DECILES = np.linspace(0, 1, 11)


def linearity(fit: Fitted, predictor: str) -> dict[str, Any]:
    """Fit a smooth in place of a numeric predictor and test it against the line.

    Returns
    -------
    dict
        ``term`` (the smooth as mgcv reads it), ``edf`` (1: a line), ``lrt`` and ``p_line`` (see `line.against_line`); ``x`` in the
        predictor's own unit, and at these values ``estimate``, ``se``, ``ci_low``, ``ci_high``, ``band_low`` and ``band_high`` of the curve and
        ``line`` of the straight effect, both with mean zero over the rows; ``deciles`` of the predictor over the rows.

    Raises
    ------
    FitError
        For a predictor that has no term of its own, a model without intercept, and fewer than four distinct values.
    """
    model, straight = fit.model, fit.refit(reml=True)
    for needed in (predictor, INTERCEPT):
        if needed not in model.design.names:
            raise FitError(f"'{fit.formula}' has no term '{needed}' of its own")
    values = model.data[predictor].to_numpy(float)
    if (distinct := len(np.unique(values))) <= LEAST_K:
        raise FitError(f"'{predictor}' has {distinct} distinct values, too few for a curve")
    term = SmoothTerm("s", (predictor,), (min(DEFAULT_K["s"], distinct),), "tp")
    bent = _bent(model, predictor, term)
    known = fit.engine == DEFAULT and bool(model.design.blocks) and not model.design.smooths
    near = straight.estimate.theta if known else None
    found = Fitted.from_estimate(bent, True, engine_of(DEFAULT), Smoothed(bent.design, True, near).estimate())
    smooth = bent.design.smooths[-1]
    lrt, p_line = against_line(found, smooth, straight.estimate if known else without(found, smooth))
    table = curve(found, smooth.label).rename(columns={predictor: "x"})
    center, sd = fit.standardized.get(predictor, (0.0, 1.0))
    slope = float(straight.estimate.beta[straight.design.names.index(predictor)])
    line = slope * ((table["x"] - center) / sd - values.mean())
    return {
        "term": str(term),
        "edf": float(posterior_of(found).edf[functions_of(found, smooth)].sum()),
        "lrt": lrt,
        "p_line": p_line,
        "deciles": (center + sd * np.quantile(values, _DECILES)).tolist(),
        **table.assign(line=line).to_dict("list"),
    }


def _bent(model: Model, predictor: str, term: SmoothTerm) -> Model:
    """Return the model with a smooth whose line stands for the predictor's own column; products with it stay as they are."""
    design = model.design
    ((smooth, line),) = smooths_of(term, model.data, model.formula.text)
    at, names, X = design.names.index(predictor), list(design.names), design.X.copy()
    names[at], X[:, at] = smooth.line_names[0], line[:, 0]
    return replace(model, design=replace(design, X=X, names=tuple(names), smooths=(*design.smooths, smooth)))
