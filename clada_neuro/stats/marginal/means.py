"""Estimated marginal means, and slopes of a predictor, by the cells of factors."""

import re

from clada_neuro.errors import FitError
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.marginal.estimates import Estimates, Functions, known_names
from clada_neuro.stats.marginal.grid import At, design_of, reference_grid
from clada_neuro.stats.marginal.scales import LINK, bias_factor, needed
from clada_neuro.stats.notation import tokens

# Of a covariate's SD: half the distance over which a slope is taken; lines and parabolas have no error at any.
_STEP = 1e-3


def emmeans(
    fit: Fitted, specs: str, at: At | None = None, type: str = LINK, bias_adjust: bool = False
) -> Estimates:
    """Return the fitted means of the cells of factors: averaged, with equal weights, over the levels of all others.

    Covariates stand at their means; one with two values counts as a factor. Random effects are at zero.

    Parameters
    ----------
    specs
        ``"condition"``, ``"condition + group"`` for the cells of both, ``"condition | group"`` for condition within
        each group: contrasts then stay within groups.
    at
        Values of covariates, in the data's units, or levels of factors, in place of means and of all levels.
    type
        ``link`` for the scale on which the model is linear, ``response`` for probabilities, rates, or what ``log()`` was taken
        of: then the median, averages over cells being taken before, and contrasts are ratios (see `scales`).
    bias_adjust
        The mean of a log-normal response in place of its median.

    Returns
    -------
    Estimates
        One row a cell: the factors, estimate, se, df, ci_low, ci_high (95 %); ``pairs`` and ``contrasts`` compare them.

    Raises
    ------
    FitError
        For names and values that the fixed part does not know.
    """
    grid = reference_grid(fit, at)
    names, by = read_specs(specs)
    known_names([*names, *by], list(grid.levels), fit)
    if bias_adjust and needed(fit, type) is None:
        raise FitError("bias_adjust turns medians into means of the response; add type='response'")
    cells, weights = grid.averaged(design_of(fit, grid.rows), [*names, *by])
    bias = bias_factor(fit) if bias_adjust else 1.0
    return Estimates.of(Functions(fit, weights, cells, tuple(by), type=type, bias=bias))


def emtrends(
    fit: Fitted, predictor: str, specs: str = "", at: At | None = None, type: str = LINK
) -> Estimates:
    """Return the slope of a numeric predictor in the cells of factors (simple slopes); see `emmeans` for the rest.

    A slope is per unit of the predictor as it was fitted: per SD where it was z-scored. With ``type="response"`` it is the
    ratio of odds, rates or times a unit apart (emmeans leaves slopes on the scale of the link).
    """
    if predictor not in fit.model.numeric_predictors():
        known = ", ".join(fit.model.numeric_predictors()) or "none"
        raise FitError(f"'{predictor}' is no numeric predictor of '{fit.formula}'; there are {known}")
    values = fit.model.data[predictor].astype(float)
    center, sd = fit.standardized.get(predictor, (0.0, 1.0))
    grid = reference_grid(fit, {predictor: center + sd * float(values.mean()), **(at or {})})
    names, by = read_specs(specs)
    known_names([*names, *by], list(grid.levels), fit)
    step = _STEP * float(values.std())
    above, below = (
        design_of(fit, grid.rows.assign(**{predictor: grid.rows[predictor] + sign * step}))
        for sign in (1, -1)
    )
    cells, weights = grid.averaged((above - below) / (2 * step), [*names, *by])
    return Estimates.of(Functions(fit, weights, cells, tuple(by), predictor, type))


def read_specs(specs: str) -> tuple[list[str], list[str]]:
    """Return the factors before and behind the bar of ``"a + b | c"``; a tilde before them says nothing new."""
    inside = re.sub(r"^\s*~", "", specs)
    front, bar, behind = inside.partition("|")
    found = [
        [token.strip("`") for token in tokens(side) if not re.fullmatch(r"[\s+*:]", token)]
        for side in (front, behind)
    ]
    if (bar and not all(found)) or "~" in inside:
        raise FitError(
            f'cannot read \'{specs}\'; write "condition", "condition + group" or "condition | group"'
        )
    return found[0], found[1]
