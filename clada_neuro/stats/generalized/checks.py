"""What stands beside each generalised model of a study: profile intervals, the part of its focal terms, collinearity, bins."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.records.curves import NORMAL_95
from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.diagnostics import vif
from clada_neuro.stats.generalized.family import family_of
from clada_neuro.stats.generalized.fit_counts import GeneralizedFit
from clada_neuro.stats.power import DetectableEffect, solve_effect
from clada_neuro.stats.secondary import attempt

_POWER, _ALPHA, _BINS = 0.8, 0.05, 10


def checks(fit: GeneralizedFit, focal: Sequence[str]) -> dict[str, Any]:
    """Return the checks of a fit as its entry of fits.json holds them.

    Returns
    -------
    dict
        ``profile`` (from each focal term, of all where none is, to its limits on the scale of the link and of its
        ratio), ``part_r2`` on the latent scale, ``vif``, ``linearity`` (residual shares or events over bins of each
        predictor) and ``detectable`` (the smallest log odds or log rates found with power .80); ``warnings``.
    """
    notes: list[str] = []
    terms = [term for term in focal if term in fit.design.names]
    return {
        "profile": attempt("profile intervals", lambda: _profile(fit, terms or _all(fit)), notes) or {},
        "part_r2": attempt("part R²", lambda: part_r2(fit, focal), notes),
        "vif": vif(fit).to_dict(),
        "linearity": {name: _bins(fit, name) for name in fit.model.numeric_predictors()},
        "detectable": {term: _detectable(fit, term) for term in terms},
        "warnings": [*fit.warnings, *notes],
    }


def part_r2(fit: GeneralizedFit, focal: Sequence[str]) -> dict[str, Any] | None:
    """Return what the focal terms, and products with them, add to marginal R² on the latent scale; see `checks.part_r2`."""
    design = fit.design
    kept = np.array([not any(part in focal for part in name.split(":")) for name in design.names])
    names = tuple(np.array(design.names)[kept].tolist())
    others = [name for name in names if name != INTERCEPT]
    if kept.all() or not others:
        return None
    smaller = replace(fit.model, design=replace(design, X=design.X[:, kept], names=names))
    without = GeneralizedFit.of_counts(smaller, fit.family)
    terms = [term for term in focal if term in design.names]
    return {"terms": terms, "others": others, "r2": fit.r2().marginal - without.r2().marginal}


def _all(fit: GeneralizedFit) -> list[str]:
    return [name for name in fit.design.names if name != INTERCEPT]


def _profile(fit: GeneralizedFit, terms: list[str]) -> dict[str, dict[str, float]]:
    if not fit.converged:
        return {}  # why stands in the fit's warnings
    ratio = family_of(fit.family).ratio.replace(" ", "_")
    found = {}
    for row in fit.confint(terms).to_dict("records"):
        limits = {
            f"{ratio}_low": float(np.exp(row["ci_low"])),
            f"{ratio}_high": float(np.exp(row["ci_high"])),
        }
        found[str(row["term"])] = {"ci_low": row["ci_low"], "ci_high": row["ci_high"], **limits}
    return found


def _detectable(fit: GeneralizedFit, term: str) -> dict[str, Any]:
    se = fit.coefficient(term)["se"]
    effect = solve_effect(se, np.inf, _POWER, _ALPHA)
    return asdict(DetectableEffect(term, effect, se, np.inf, _POWER, _ALPHA))


def _bins(fit: GeneralizedFit, predictor: str) -> list[Any]:
    """Return mean residuals over quantile bins of a predictor, in its own unit: around zero when its effect is a line."""
    center, sd = fit.standardized.get(predictor, (0.0, 1.0))
    values = fit.model.data[predictor].to_numpy(float)
    table = pd.DataFrame({"predictor": center + sd * values, "residual": fit.residuals()})
    groups = table.groupby(pd.qcut(values, _BINS, duplicates="drop"), observed=True)
    means, n = groups.mean(), groups.size()
    se = groups["residual"].std() / np.sqrt(n)
    half = NORMAL_95 * se
    limits = {"ci_low": means["residual"] - half, "ci_high": means["residual"] + half}
    return means.assign(se=se, **limits, n=n).to_dict("records")
