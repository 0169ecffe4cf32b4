"""A fit as text, HTML, JSON, an APA sentence, and an R script."""

from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from clada_neuro.numerals import decimals, p_text
from clada_neuro.stats.anova import anova
from clada_neuro.stats.coding import Coding, codings, named
from clada_neuro.stats.effects import effects
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.marginal.overview import overview
from clada_neuro.stats.marginal.scales import facts
from clada_neuro.stats.rscript import to_r_script
from clada_neuro.stats.secondary import attempt
from clada_neuro.stats.smooths.record import smooth_records
from clada_neuro.stats.smooths.table import tests_of
from clada_neuro.stats.uncertainty.base import Known

_UNITS = ("subject", "item", "stimulus")
_QUANTILES = np.array([0.001, 0.005, *np.linspace(0.01, 0.99, 45), 0.995, 0.999])


def to_dict(fit: Fitted) -> dict[str, Any]:
    """Return the entry of fits.json: name, formula, engine, sizes, coefficients, random part, R², flags.

    Also what a report draws and prints: `vcov` in the coefficients' order, fitted lines, quantiles of
    residual / sigma, and the lme4 script for ``trials.csv``.
    """
    return common(fit) | {
        "reml": fit.reml,
        "df_method": "" if isinstance(fit.uncertainty, Known) else fit.df_method,
        "robust": fit.sequences,
        "sigma": fit.sigma,
        "terms": anova(fit).to_dict("records"),
        "smooths": smooth_records(fit),
        "residual_quantiles": {
            "p": _QUANTILES.tolist(),
            "normal": ndtri(_QUANTILES).tolist(),
            "value": np.quantile(fit.residuals() / fit.sigma, _QUANTILES).tolist(),
        },
        "lme4_script": to_r_script(fit),
    }


def common(fit: Fitted) -> dict[str, Any]:
    """Return the part of an entry that every fit has: what was fitted to what, estimates, R², flags, marginal means."""
    shares, notes = fit.r2(), list(fit.warnings)
    return {
        "name": fit.name,
        "formula": fit.formula,
        "response": fit.model.formula.response,
        "engine": fit.engine,
        **sizes(fit),
        **on_response(fit),
        "coefficients": {term: fit.coefficient(term) for term in fit.design.names},
        "random": fit.random.to_dict("records"),
        "loglik": fit.loglik,
        "aic": fit.aic,
        "r2_marginal": shares.marginal,
        "r2_conditional": shares.conditional,
        "singular": fit.singular,
        "converged": fit.converged,
        "warnings": notes,
        "vcov": fit.uncertainty.vcov.tolist(),
        "effects": effects(fit),
        "marginal": attempt("marginal means", partial(overview, fit), notes) or [],
    }


def sizes(fit: Fitted) -> dict[str, Any]:
    """Return the part of an entry that says what was fitted: scales, codings, rows and groups."""
    return {
        "standardized": {name: {"mean": mean, "sd": sd} for name, (mean, sd) in fit.standardized.items()},
        "contrasts": fit.contrasts,
        "codes": codes_used(fit),
        "weights": fit.model.weights,
        "levels": levels_used(fit),
        "n_obs": fit.n_obs,
        "n_dropped": fit.n_dropped,
        "n_groups": fit.n_groups,
        "used": used(fit),
        "distinct_values": distinct_values(fit),
    }


def used(fit: Fitted) -> dict[str, dict[str, int]]:
    """Return which rows were used: how many subjects, items and texts are in them, and gaps of the others by column."""
    data = fit.model.data
    groups = {name: int(data[name].nunique()) for name in _UNITS if name in data}
    return {"groups": groups, "missing": dict(fit.model.missing)}


def on_response(fit: Fitted) -> dict[str, Any]:
    """Return the part of an entry that says on which scale its lines and means stand, where that is not the model's own."""
    found = facts(fit)
    return {} if found is None else {"response_scale": found}


def apa(row: dict[str, float]) -> str:
    """Return ``b = 0.89, SE = 0.09, t(83.7) = 9.90, p < .001, 95 % CI [0.71, 1.07]``."""
    df = "" if row["df"] == float("inf") else f"({row['df']:.1f})"
    statistic = "z" if not df else "t"
    digits = decimals(row["se"])
    return (
        f"b = {row['estimate']:.{digits}f}, SE = {row['se']:.{digits}f}, {statistic}{df} = {row['t']:.2f}, "
        f"{p_text(row['p'])}, 95 % CI [{row['ci_low']:.{digits}f}, {row['ci_high']:.{digits}f}]"
    )


def summary(fit: Fitted) -> str:
    """Return the fit as a page of text: method, sizes, variances, coefficients, R², notes."""
    shares = fit.r2()
    lines = [
        f"Linear mixed model by {'REML' if fit.reml else 'ML'} ({fit.engine}): {fit.formula}",
        *about(fit),
        "",
        fit.random.to_string(index=False, float_format="{:.4f}".format)
        if len(fit.random)
        else "no random effects",
        f"residual SD {fit.sigma:.4f}",
        "",
        coefficient_text(fit).to_string(index=False),
        *smooth_text(fit),
        "",
        f"log-likelihood {fit.loglik:.3f}, AIC {fit.aic:.3f}, "
        f"R² marginal {shares.marginal:.4f}, conditional {shares.conditional:.4f}",
    ]
    return "\n".join([*lines, *(f"note: {message}" for message in fit.warnings)])


def smooth_text(fit: Fitted) -> list[str]:
    """Return the smooths' degrees of freedom and tests against zero as lines, none without smooths."""
    if not fit.design.smooths:
        return []
    table = tests_of(fit).assign(p=lambda rows: rows["p"].map(_p_cell))
    return ["", "smooths:", *table.to_string(index=False, float_format="{:.4f}".format).splitlines()]


def about(fit: Fitted) -> list[str]:
    """Return lines on rows, groups, codings and scales."""
    groups = ", ".join(f"{name} {count}" for name, count in fit.n_groups.items())
    return [
        f"{fit.n_obs} rows ({fit.n_dropped} left out for missing values); groups: {groups or 'none'}",
        f"contrasts: {_contrast_text(fit)}; z-scored: {_standardized_text(fit)}",
        *([f"standard errors by sandwich over the sequences of '{fit.sequences}'"] if fit.sequences else []),
        *(f"  {line}" for name, coding in named(fit.design.spec).items() for line in _matrix(name, coding)),
    ]


def coefficient_text(fit: Fitted) -> pd.DataFrame:
    """Return the coefficients as text: at least four decimals, more for a small standard error, p never as 0.0000.

    Beside the degrees of freedom, or the standard error of a z test, stands the number of distinct values of the column.
    """
    coefficients = fit.coefficients
    digits = [max(4, decimals(se)) for se in coefficients["se"]]
    in_units = {
        name: [f"{value:.{n}f}" for value, n in zip(coefficients[name], digits, strict=True)]
        for name in ("estimate", "se", "ci_low", "ci_high")
    }
    others = [name for name in coefficients if name not in (*in_units, "term", "p")]
    plain = {name: coefficients[name].map("{:.4f}".format) for name in others}
    text = coefficients.assign(**in_units, **plain, p=coefficients["p"].map(_p_cell))
    before = "df" if "df" in text else "se"
    text.insert(list(text).index(before) + 1, "values", list(distinct_values(fit).values()))
    return text


def html(fit: Fitted) -> str:
    """Return the fit as two tables and its notes."""
    shares = fit.r2()
    head = f"<p><b>{escape(fit.formula)}</b>, {'REML' if fit.reml else 'ML'}, {fit.n_obs} rows</p>"
    tail = f"<p>R² marginal {shares.marginal:.4f}, conditional {shares.conditional:.4f}</p>"
    tables = [
        table.to_html(index=False, float_format="{:.4f}".format, border=0)
        for table in (coefficient_text(fit), fit.random)
    ]
    return head + "".join(tables) + tail + _notes(fit.warnings)


def facts_html(title: str, rows: Mapping[str, str], notes: Sequence[str] = ()) -> str:
    """Return a title, names with their values, and notes."""
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows.items()
    )
    return f"<p><b>{escape(title)}</b></p><table>{cells}</table>{_notes(notes)}"


def _notes(messages: Sequence[str]) -> str:
    return "".join(f"<p>note: {escape(message)}</p>" for message in messages)


def _p_cell(p: float) -> str:
    return p_text(p).removeprefix("p ").removeprefix("= ")


def distinct_values(fit: Fitted) -> dict[str, int]:
    """Return how many distinct values each column of the fixed part has: far fewer than its df is a warning by itself."""
    return {
        name: len(np.unique(values.round(10)))
        for name, values in zip(fit.design.names, fit.design.X.T, strict=True)
    }


def codes_used(fit: Fitted) -> dict[str, dict[str, Any]]:
    """Return the coding matrix of each factor: ``levels``, and ``codes`` with one row a level."""
    return {
        name: {"levels": list(coding.levels), "codes": coding.codes.tolist()}
        for name, coding in named(fit.design.spec).items()
    }


def levels_used(fit: Fitted) -> dict[str, list[str]]:
    """Return the levels of each factor of the fixed part, in the order of its coding."""
    return {coding.column: list(coding.levels) for coding in codings(fit.design.spec).values()}


def _contrast_text(fit: Fitted) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in fit.contrasts.items()) or "no factors"


def _matrix(name: str, coding: Coding) -> list[str]:
    """Return a coding matrix as lines, one a level; none where its name says all."""
    if len(coding.levels) == 2 or str(coding).startswith(("treatment", "one indicator")):
        return []
    codes = pd.DataFrame(coding.codes, index=coding.levels).to_string(
        header=False, float_format="{:.4g}".format
    )
    return [f"codes of {name}:", *(f"  {line}" for line in codes.splitlines())]


def _standardized_text(fit: Fitted) -> str:
    parts = [f"{name} (mean {mean:.4g}, SD {sd:.4g})" for name, (mean, sd) in fit.standardized.items()]
    return ", ".join(parts) or "none"
