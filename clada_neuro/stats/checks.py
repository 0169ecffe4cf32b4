"""What stands beside each regression of a study: does it hang on a few trials, is it a line, what could it show?

These cost a few more fits. What hangs on one subject, item or laboratory costs a fit a level, and is done on request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clada_neuro.parts import Jobs
from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.diagnostics import residual_summary, vif
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.nesting import settled
from clada_neuro.stats.power import detectable_effect
from clada_neuro.stats.secondary import attempt
from clada_neuro.stats.sensitivity import influence, without_extremes
from clada_neuro.stats.smooths.linearity import linearity
from clada_neuro.stats.smooths.terms import LEAST_K

FACTORS = ("subject", "item", "lab")


def checks(fit: MixedFit, focal: Sequence[str]) -> dict[str, Any]:
    """Return the checks of a fit as its entry of fits.json holds them.

    Parameters
    ----------
    focal
        Terms whose smallest detectable effect is wanted.

    Returns
    -------
    dict
        ``part_r2`` (see `part_r2`), ``vif``, ``residual_summary``, ``sensitivity`` (without extreme trials),
        ``curves`` (of the focal predictors, of all without focal terms: a smooth beside the straight line; see
        `smooths.linearity.linearity`) and ``detectable`` (the effect found with power .80). One that cannot be done on these data
        is None or left out, and ``warnings`` holds the fit's own and why.
    """
    notes: list[str] = []
    found = {
        "part_r2": attempt("part R²", lambda: part_r2(fit, focal), notes),
        "vif": vif(fit).to_dict(),
        "residual_summary": residual_summary(fit),
        "sensitivity": attempt("the fit without extreme trials", lambda: _sensitivity(fit), notes),
        "curves": _curves(fit, focal, notes),
        "detectable": {
            term: asdict(detectable_effect(fit, term)) for term in focal if term in fit.design.names
        },
    }
    return {**found, "warnings": [*fit.warnings, *notes]}


def part_r2(fit: MixedFit, focal: Sequence[str]) -> dict[str, Any] | None:
    """Return what the focal terms, and products with them, add to marginal R² over the other fixed terms.

    R²m of the model minus that of the model without them, both by ML with the same rows and random part; it can be
    negative, when variance moves to the random part.

    Returns
    -------
    dict or None
        ``terms``, ``others`` and ``r2``; None where there are no others, or no focal terms.
    """
    design = fit.design
    kept = np.array([not any(part in focal for part in name.split(":")) for name in design.names])
    others = [name for name in np.array(design.names)[kept] if name != INTERCEPT]
    if kept.all() or not others:
        return None
    names = tuple(np.array(design.names)[kept].tolist())
    smaller = replace(fit.model, design=replace(design, X=design.X[:, kept], names=names))
    without = estimate(smaller, reml=False, engine=fit.engine)
    terms = [term for term in focal if term in design.names]
    gain = settled(without, fit.refit(reml=False)).r2().marginal - without.r2().marginal
    return {"terms": terms, "others": [str(name) for name in others], "r2": gain}


def left_out(
    fit: Fitted, focal: Sequence[str], *, jobs: Jobs = 1, folder: str | Path | None = None
) -> dict[str, list[Mapping[str, Any]]]:
    """Leave out each subject, item and laboratory in turn, as far as the trials name them.

    Returns
    -------
    dict
        From factor to rows (level, n_obs, term, estimate, shift), largest shift first; terms are the focal ones, or
        all without any.
    """
    terms = [term for term in focal if term in fit.design.names] or None
    return {
        factor: influence(fit, factor, terms, jobs=jobs, folder=folder, progress=True).to_dict("records")
        for factor in FACTORS
        if factor in fit.model.data
    }


def _sensitivity(fit: MixedFit) -> dict[str, Any]:
    found = without_extremes(fit)
    columns = ["term", "estimate_without", "se_without", "p_without", "shift"]
    return {
        "cutoff": found.cutoff,
        "n_left_out": found.n_left_out,
        "terms": found.table[columns].to_dict("records"),
    }


def _curves(fit: MixedFit, focal: Sequence[str], notes: list[str]) -> dict[str, Any]:
    numeric = fit.model.numeric_predictors()
    chosen = [name for name in numeric if name in focal] if focal else numeric
    # What has three values or fewer has no curve, what stands in products alone no line of its own.
    able = [name for name in chosen if name in fit.design.names and fit.model.data[name].nunique() > LEAST_K]
    found = {name: attempt(f"the curve of {name}", partial(linearity, fit, name), notes) for name in able}
    return {name: curve for name, curve in found.items() if curve is not None}
