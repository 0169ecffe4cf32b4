"""The report's tables: what stands on the page and, with full precision, in ``tables/*.csv``."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.numerals import decimals, fixed, interval, spread
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.manifest import Truth
from clada_neuro.records.overview import HOW, Means
from clada_neuro.reporting.blocks import Table
from clada_neuro.reporting.labels import axis, is_measure, words
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.scales import ratio, response
from clada_neuro.reporting.text import cell, column, number, p_value, shares
from clada_neuro.responses.response import response_of

# What stands beside an interval in its unit, and what is in seconds.
_ESTIMATES = {"estimate", "mean", "value_uv", "b", "b_uv", "se", "ci_low", "ci_high"}
_SECONDS = {"tmin_s": "tmin_ms", "tmax_s": "tmax_ms", "time_s": "time_ms"}
_VALUES = "; values: how many distinct ones the predictor has"


def table(name: str, caption: str, rows: Iterable[Mapping[str, Any]] | pd.DataFrame) -> Table:
    """Build a table whose cells are printed by their column's usual format."""
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    return Table(name, caption, frame, printed(frame))


def printed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame as text: each column as usual, an estimate and its interval with the same decimals, times in ms."""
    cells = {str(name): column(frame[name]) for name in frame}
    if {"ci_low", "ci_high"} <= set(cells):
        digits = [decimals(spread(*limits)) for limits in zip(frame["ci_low"], frame["ci_high"], strict=True)]
        for name in _ESTIMATES & set(cells):
            known = frame[name].astype(float)
            cells[name] = [fixed(value, n) for value, n in zip(known, digits, strict=True)]
    cells |= {
        name: [number(1e3 * value, 0) for value in frame[name]] for name in _SECONDS.keys() & set(cells)
    }
    return pd.DataFrame(cells).rename(columns=_SECONDS)


def exclusions(results: Results) -> Table | None:
    """Return the rows removed at each step, as the manifest counted them."""
    return _steps("exclusions", "Rows removed before analysis, step by step.", results)


def joins(results: Results) -> Table | None:
    """Return what each join left unmatched."""
    return _steps("joins", "Rows that found no partner when trials and words were joined.", results)


def _steps(name: str, caption: str, results: Results) -> Table | None:
    rows = pd.DataFrame([step.row() for step in getattr(results.manifest, name)]).dropna(
        axis="columns", how="all"
    )
    known = [
        column for column in ("step", "reason", "rows_before", "rows_removed", "rows_after") if column in rows
    ]
    return table(name, caption, rows[[*known, *rows.columns.difference(known)]]) if len(rows) else None


def conditions(results: Results) -> Table | None:
    """Return texts, items, critical words and trials by condition: counts only."""
    rows = pd.DataFrame([counted.row() for counted in results.overview.conditions])
    known = rows.dropna(axis="columns", how="all").rename(columns={"stimuli": "unique texts"})
    return table("conditions", "Stimuli and trials by condition.", known) if len(rows) else None


def means_by_condition(results: Results) -> Table | None:
    """Return the responses and the model's measures by condition, each with its 95 % interval."""
    means = [*responses_by_condition(results), *_measures_by_condition(results)]
    rows = [{"measure": found.measure, **cell.cell, **cell.row()} for found in means for cell in found.cells]
    if not rows:
        return None
    frame = pd.DataFrame(rows, columns=["measure", "condition", "mean", "ci_low", "ci_high", "n"])
    digits = [
        decimals(spread(low, high)) for low, high in zip(frame["ci_low"], frame["ci_high"], strict=True)
    ]
    shown = pd.DataFrame(
        {
            "measure": [
                axis(name) if is_measure(name) else _response_axis(name) for name in frame["measure"]
            ],
            "condition": frame["condition"],
            "mean": [fixed(value, n) for value, n in zip(frame["mean"], digits, strict=True)],
            "95 % CI": [
                interval(low, high, n)
                for low, high, n in zip(frame["ci_low"], frame["ci_high"], digits, strict=True)
            ],
            "n": frame["n"].map(str),
        }
    )
    return Table("means_by_condition", f"Means by condition, with {HOW}.{beside(results)}", frame, shown)


def responses_by_condition(results: Results) -> list[Means]:
    """Return the means of the responses by condition, in the order in which the stimuli have their conditions."""
    order = [counted.condition for counted in results.overview.conditions]
    place = {name: number for number, name in enumerate(order)}

    def in_order(found: Means) -> Means:
        last = len(place)
        cells = sorted(found.cells, key=lambda cell: place.get(str(cell.cell["condition"]), last))
        return Means(measure=found.measure, by=found.by, cells=cells)

    known = {found.column for found in results.overview.responses}
    return [in_order(found) for found in results.overview.by("condition") if found.measure in known]


def _measures_by_condition(results: Results) -> list[Means]:
    known = {found.column for found in results.overview.responses}
    return [found for found in results.overview.by("condition") if found.measure not in known]


def beside(results: Results) -> str:
    """Return that responses to other words than the critical ones are in the means, where there are some."""
    critical = results.tables.get("trials", pd.DataFrame()).get("is_critical")
    if critical is None or critical.all() or not critical.any():
        return ""
    return " Responses are to all words that were measured, not to critical words alone."


def _response_axis(name: str) -> str:
    measured = response_of(name)
    return measured.axis if measured.unit else axis(name)


def summary(fits: list[FitRecord]) -> Table | None:
    """Return one row per regression: size, likelihood, R², convergence."""
    keys = ("n_obs", "n_dropped", "loglik", "aic", "r2_marginal", "r2_conditional")
    rows = [
        {
            "model": fit.name,
            "engine": fit.engine,
            **{key: getattr(fit, key) for key in keys},
            **_r2_limits(fit),
            "state": _state(fit),
        }
        for fit in fits
    ]
    caption = "Regressions. R² marginal: variance explained by fixed effects; conditional: by fixed and random effects; of counts, on the latent scale."
    return table("models", caption, rows) if rows else None


def _r2_limits(fit: FitRecord) -> dict[str, str]:
    return {
        f"95 % of R² {kind}": shares(drawn.low, drawn.high, 4)
        for kind, drawn in (fit.r2_intervals or {}).items()
    }


def _state(fit: FitRecord) -> str:
    if fit.converged is False:
        return "not converged"
    return "singular" if fit.singular else "converged"


def coefficients(fit: FitRecord) -> Table:
    """Return a regression's fixed effects, with the BH-adjusted p where the stage wrote one."""
    adjusted = fit.p_bh
    rows = [
        {"term": term, **values.row(), **({"p_bh": adjusted.get(term)} if adjusted else {})}
        for term, values in fit.coefficients.items()
    ]
    frame = pd.DataFrame(rows)
    others = ("t", "df") if fit.link else ("z", *(name for name in frame if "ratio" in name))
    frame = frame.drop(columns=list(others))
    shown = _ratio_cells(fit, frame) if fit.link else coefficient_cells(frame)
    shown.insert(0, "term", frame["term"])
    if counted := fit.distinct_values:
        shown.insert(
            list(shown).index("SE" if fit.link else "df") + 1,
            "values",
            [f"{counted.get(t, 0):,}" for t in frame["term"]],
        )
    if adjusted:
        shown["p (BH)"] = [p_value(p) if pd.notna(p) else "" for p in frame["p_bh"]]
    return Table(
        f"coefficients_{slug(fit.name)}",
        f"Fixed effects of {fit.name}{_VALUES if 'values' in shown else ''}.",
        frame,
        shown,
    )


def _ratio_cells(fit: FitRecord, frame: pd.DataFrame) -> pd.DataFrame:
    """Return log odds or rates with SE, z and p, and their ratios with Wald and, where they were made, profile intervals."""
    cells = coefficient_cells(frame.assign(df=np.nan, t=frame["z"])).drop(columns=["df", "95 % CI"])
    cells = cells.rename(columns={"t": "z"})
    found = [ratio(fit, values) for values in fit.coefficients.values()]
    known = [
        (estimate, low, high, decimals(spread(low, high))) for _, estimate, low, high in filter(None, found)
    ]
    name = fit.response_scale.ratio if fit.response_scale else "ratio"
    cells[name] = [fixed(estimate, digits) for estimate, _, _, digits in known]
    cells["95 % CI (Wald)"] = [interval(low, high, digits) for _, low, high, digits in known]
    if fit.profile:
        key = name.replace(" ", "_")
        cells["95 % CI (profile)"] = [
            interval(getattr(one, f"{key}_low"), getattr(one, f"{key}_high"), digits)
            if (one := fit.profile.get(term))
            else ""
            for term, (*_, digits) in zip(fit.coefficients, known, strict=True)
        ]
    return cells


def coefficient_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Return b, SE, 95 % CI, df, t and p as APA writes them, each row with the decimals its SE allows."""
    rows = [(row.estimate, row.se, row.ci_low, row.ci_high, decimals(row.se)) for row in frame.itertuples()]
    return pd.DataFrame(
        {
            "b": [fixed(estimate, digits) for estimate, *_, digits in rows],
            "SE": [fixed(se, digits) for _, se, *_, digits in rows],
            "95 % CI": [interval(low, high, digits) for *_, low, high, digits in rows],
            "df": [number(df, 1) for df in frame["df"]],
            "t": frame["t"].map(number),
            "p": frame["p"].map(p_value),
        }
    )


def codes(fit: FitRecord) -> Table | None:
    """Return the coding matrix of each factor, a row a level; nothing without factors."""
    rows = [
        {"factor": name, "level": level, **{f"code {at}": code for at, code in enumerate(row, start=1)}}
        for name, coding in fit.codes.items()
        for level, row in zip(coding.levels, coding.codes, strict=True)
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    shown = pd.DataFrame(
        {name: ["" if pd.isna(value) else cell(value) for value in frame[name]] for name in frame}
    )
    return Table(f"codes_{slug(fit.name)}", f"Codes of the factors of {fit.name}.", frame, shown)


def terms(fit: FitRecord) -> Table | None:
    """Return the type III F test of each term, where a term has several coefficients."""
    rows = pd.DataFrame([test.row() for test in fit.terms])
    if rows.empty or (rows["df1"] == 1).all():
        return None
    shown = pd.DataFrame(
        {
            "term": [words(name) for name in rows["term"]],
            "F": rows["F"].map(number),
            "df1": rows["df1"].map(str),
            "df2": [number(df, 1) for df in rows["df2"]],
            "p": rows["p"].map(p_value),
        }
    )
    return Table(f"terms_{slug(fit.name)}", f"Type III F tests of the terms of {fit.name}.", rows, shown)


def random_effects(fit: FitRecord) -> Table:
    """Return a regression's random effects: standard deviations, and correlations where ``term2`` is named."""
    groups = fit.n_groups
    rows = [
        {
            "group": row.group,
            "term": f"{row.term2}, {row.term}" if row.term2 else row.term,
            "levels": groups.get(row.group),
            "SD": None if row.term2 else row.sdcor,
            "correlation": row.sdcor if row.term2 else None,
        }
        for row in fit.random
    ]
    if fit.link is None:
        rows.append({"group": "residual", "term": "", "levels": None, "SD": fit.sigma, "correlation": None})
    frame = pd.DataFrame(rows).astype({"levels": "Int64", "SD": float, "correlation": float})
    if frame["correlation"].isna().all():
        frame = frame.drop(columns="correlation")
    unit = response(fit).unit if fit.link else "the response's unit"
    caption = f"Random effects of {fit.name}; standard deviations in {unit}."
    shown = table("", "", frame).shown.replace("NA", "")
    return Table(f"random_{slug(fit.name)}", caption, frame, shown)


def scales(fits: list[FitRecord]) -> Table | None:
    """Return the mean and SD by which each predictor was z-scored, and its variance inflation."""
    rows = [
        {"model": fit.name, "predictor": name, **values.row(), "vif": fit.vif.get(name)}
        for fit in fits
        for name, values in (fit.standardized or {}).items()
    ]
    frame = pd.DataFrame(rows).dropna(axis="columns", how="all")
    caption = "Means and standard deviations used for z-scoring"
    caption += ", with variance inflation factors (VIF)." if "vif" in frame else "."
    return table("scales", caption, frame) if rows else None


def residuals(fits: list[FitRecord]) -> Table | None:
    """Return moments of the standardized residuals and their tie to the fitted values, where the stage wrote them."""
    rows = [{"model": fit.name, **fit.residual_summary} for fit in fits if fit.residual_summary]
    caption = (
        "Standardized residuals. Spread by fit: Spearman's correlation of their size with the fitted values, 0 when "
        "the spread is even."
    )
    return table("residuals", caption, rows) if rows else None


def truth(results: Results) -> Table | None:
    """Return the effects that simulated responses were made with, beside what the regressions found."""
    simulation = results.manifest.simulation
    rows = simulation.truth if simulation else []
    if not rows:
        return None
    stated = pd.DataFrame([row.row() for row in rows])
    found = [_recovered(results.fits, row) for row in rows]
    frame = stated.join(pd.DataFrame(found, index=stated.index))
    caption = (
        "SIMULATED data: what the responses were made with (fixed: µV per SD; others: SD in µV) and what the "
        "regressions found. One 95 % interval in twenty misses the stated value by chance."
    )
    return Table("simulation_truth", caption, frame, table("", "", frame).shown.replace("NA", ""))


def _recovered(fits: list[FitRecord], row: Truth) -> dict[str, float | None]:
    for fit in fits:
        if fit.response != row.component:
            continue
        if row.kind == "residual_sd":
            return {"estimate": fit.sigma, "ci_low": None, "ci_high": None}
        term = "(Intercept)" if row.term == "intercept" else row.term
        if row.kind == "fixed":
            values = fit.coefficients.get(term)
            return {key: getattr(values, key, None) for key in ("estimate", "ci_low", "ci_high")}
        group = str(row.kind).split("_")[0]
        for random in fit.random:
            if (random.group, random.term, random.term2 or "") == (group, term, ""):
                return {"estimate": random.sdcor, "ci_low": None, "ci_high": None}
    return {"estimate": None, "ci_low": None, "ci_high": None}


def slug(name: str) -> str:
    """Return a name fit for a file: lower-case letters, digits and single underscores."""
    return re.sub(r"\W+", "_", name.lower()).strip("_") or "x"
