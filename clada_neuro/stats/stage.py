"""The statistics of a study: fit what its analysis specifies, adjust p values over families, keep what is finished."""

import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.artifacts import read_json
from clada_neuro.cache import Store, cache_key
from clada_neuro.errors import DataError
from clada_neuro.numerals import decimals, p_text
from clada_neuro.parts import Jobs
from clada_neuro.records.fits import FitRecord, ranges
from clada_neuro.records.synergy import SynergyRecord
from clada_neuro.responses.response import response_of
from clada_neuro.stats.allfit import allfit
from clada_neuro.stats.checks import checks, left_out
from clada_neuro.stats.compare import adjust
from clada_neuro.stats.departures import reduction
from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.generalized.checks import checks as count_checks
from clada_neuro.stats.generalized.fit_counts import GeneralizedFit
from clada_neuro.stats.ladder import Ladder, climb_down, groups_of, has_slopes
from clada_neuro.stats.mixed import FitWarning, MixedFit
from clada_neuro.stats.names import check_fits
from clada_neuro.stats.r2_intervals import r2_intervals
from clada_neuro.stats.secondary import attempt
from clada_neuro.stats.specification import ModelSpecification, SynergySpecification
from clada_neuro.stats.synergy import fixed_parts, synergy

Progress = Callable[[str], None]
REPLICATES, _LEAST, _ALL_UP_TO = 200, 50, 35_000


def fit_models(
    trials: pd.DataFrame,
    models: tuple[ModelSpecification, ...],
    path: Path,
    inputs: str,
    progress: Progress = lambda line: None,
    *,
    influence: bool = False,
    optimizers: bool = False,
    replicates: int = 0,
    seed: int = 0,
    jobs: Jobs = 1,
) -> list[dict[str, Any]]:
    """Fit each model, reducing slopes that make it singular, and write the list to `path` after each one.

    Parameters
    ----------
    inputs : str
        Hash of `trials`: a stored entry for the same rows and specification is kept.
    influence : bool
        Also leave out each subject, item and laboratory in turn, `jobs` at once (`clada_neuro.parts`).
    optimizers : bool
        Also fit each model by every optimizer (see `allfit.allfit`).
    replicates : int
        Of the parametric bootstrap behind the intervals of R²; 0 for none. `seed` is theirs.

    Returns
    -------
    list of dict
        The entries of fits.json, with registered directions and p values adjusted (Benjamini-Hochberg) over the
        family: all focal terms of all models of one response.
    """
    check_fits(trials, models)
    finished = {entry.get("inputs"): entry for entry in _stored(path)}
    entries: list[dict[str, Any]] = []
    asked = (influence, replicates, seed if replicates else None, *(["optimizers"] if optimizers else []))
    keys = [cache_key(__name__, inputs, model, *asked) for model in models]
    for key, specification in zip(keys, models, strict=True):
        entry = finished.get(key)
        if entry is None:
            fitted = _fit(trials, specification)
            if specification.robust and isinstance(fitted.fit, MixedFit):
                fitted = replace(fitted, fit=fitted.fit.robust(specification.robust))
            entry = {
                **_entry(fitted, specification, _weight_mean(trials, specification.weights)),
                "inputs": key,
                "trials": inputs,
            }
            if influence:
                folder = path.parent / "influence" / key
                entry["influence"] = attempt(
                    "influence of single levels",
                    partial(left_out, fitted.fit, entry["focal"], jobs=jobs, folder=folder),
                    entry["warnings"],
                )
                entry["influence_ranges"] = ranges(entry["influence"] or {})
            if optimizers:
                terms = [term for term in entry["focal"] if term in entry["coefficients"]]
                table = attempt(
                    "the fit by every optimizer",
                    partial(allfit, fitted.fit, terms or None),
                    entry["warnings"],
                )
                entry["allfit"] = [] if table is None else table.to_dict("records")
            if replicates:
                found = attempt(
                    "intervals of R²",
                    partial(
                        r2_intervals,
                        fitted.fit,
                        replicates,
                        seed=seed,
                        jobs=jobs,
                        folder=path.parent,
                        progress=True,
                    ),
                    entry["warnings"],
                )
                entry["r2_intervals"] = {kind: asdict(interval) for kind, interval in (found or {}).items()}
        entries.append(entry)
        # Those of later models stay: after an interrupt they need not be fitted again.
        later = [finished[key] for key in keys[len(entries) :] if key in finished]
        FitRecord.write_all(path, [*entries, *later])
        progress(f"{specification.name}: {_headline(entry)}")
        if len(entry["ladder"]) > 1:
            progress(f"{specification.name}: singular; {reduction(entry)}")
    FitRecord.write_all(path, with_families(entries))
    return entries


def default_replicates(n_trials: int) -> int:
    """Return how many bootstrap replicates are drawn where nobody says: 200 up to 35,000 trials, then fewer, at least 50.

    A replicate's time grows with the trials, so that the product of both is kept; it depends on the trials alone, not
    on a clock, and every machine draws the same ones.
    """
    return max(_LEAST, min(REPLICATES, REPLICATES * _ALL_UP_TO // max(n_trials, 1)))


def synergy_formula(specification: SynergySpecification) -> str:
    """Return the model with the product."""
    _, larger = fixed_parts(specification.predictors, specification.controls)
    return f"{specification.response} ~ {larger} + {specification.random}"


def estimate_synergy(
    trials: pd.DataFrame,
    specification: SynergySpecification,
    path: Path,
    inputs: str,
    seed: int,
    *,
    replicates: int | None = None,
    cluster_replicates: int = 0,
    jobs: Jobs = 1,
) -> dict[str, Any]:
    """Estimate the interaction over main effects and squares and write it to `path`, unless it stands there.

    Parameters
    ----------
    replicates : int, optional
        Of the parametric bootstrap, in place of the specified or default number. Finished ones are kept beside `path`.
    cluster_replicates : int
        Of the bootstrap over subjects and items, where the random part has both.
    """
    if replicates is None:
        replicates = specification.bootstrap
    if replicates is None:
        replicates = default_replicates(len(trials))
    store = Store.of(
        path.parent,
        __name__,
        inputs,
        specification,
        seed,
        replicates,
        cluster_replicates,
        codec=SynergyRecord.codec(),
    )

    def entry() -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # they stand in the entry
            random, rungs = _carried(trials, specification)
            result = synergy(
                trials,
                specification.response,
                specification.predictors,
                controls=specification.controls,
                random=random,
                folds=min(10, trials["item"].nunique()) if "item" in trials else 0,
                bootstrap=replicates,
                cluster_bootstrap=cluster_replicates if {"subject", "item"} <= groups_of(random) else 0,
                seed=seed,
                jobs=jobs,
                folder=path.parent if replicates else None,
                progress=True,
            )
        return {**result.to_dict(), "ladder": rungs, "trials": inputs}

    return store.once(path.stem, entry)


def _carried(trials: pd.DataFrame, specification: SynergySpecification) -> tuple[str, list[dict[str, Any]]]:
    """Return the random part that the larger model can carry, for both models, and the rungs tried."""
    formula = synergy_formula(specification)
    if not has_slopes(formula):
        return specification.random, []
    reduced = climb_down(trials, formula, reml=False, standardize=True)
    return reduced.random, reduced.to_dict()


def _stored(path: Path) -> list[dict[str, Any]]:
    """Return the fits that an earlier run wrote, each under a key of its own; a damaged file is computed again."""
    try:
        found = read_json(path)
    except DataError:
        return []
    return found if isinstance(found, list) else []


def _fit(trials: pd.DataFrame, specification: ModelSpecification) -> Ladder:
    weights = specification.weights
    if weights:
        # With mean 1, sigma and R² stand on the scale of the rows; coefficients do not change.
        trials = trials.assign(**{weights: trials[weights] / _weight_mean(trials, weights)})
    return climb_down(
        trials,
        specification.formula,
        reml=specification.reml,
        name=specification.name,
        standardize=specification.standardize,
        contrasts=specification.contrasts,
        weights=weights,
        df=specification.df,
        family=specification.family,
    )


def _weight_mean(trials: pd.DataFrame, weights: str | None) -> float:
    return float(trials[weights].mean()) if weights else 1.0


def _entry(fitted: Ladder, specification: ModelSpecification, weight_mean: float) -> dict[str, Any]:
    directions = dict(specification.directions or {})
    focal = list(directions)
    described, found = fitted.fit.to_dict(), fitted.fit
    if isinstance(found, GeneralizedFit):
        checked = count_checks(found, focal)
    else:
        checked = checks(found, focal)
        described["lme4_script"] = found.to_r_script(weight_mean=weight_mean)
    return {
        **described,
        **checked,
        "warnings": list(dict.fromkeys([*described["warnings"], *checked["warnings"]])),
        "specified": specification.formula,
        "specified_contrasts": dict(specification.contrasts or {}),
        "ladder": fitted.to_dict(),
        "response": specification.response,
        "family_name": specification.adjust_with or specification.response,
        "directions": directions,
        "focal": focal,
        "note": specification.note,
    }


def _headline(entry: dict[str, Any]) -> str:
    """Return b and t of the focal terms, or of every term when none is, and of smooths the test: plain ASCII signs, for any terminal."""
    coefficients, unit = entry["coefficients"], response_of(entry["response"]).unit
    unit = "" if "link" in entry else unit
    smooths = entry.get("smooths", [])
    lines = tuple(f"{one['smooth']}." for one in smooths)
    others = [term for term in coefficients if term != INTERCEPT and not (lines and term.startswith(lines))]
    shown = [term for term in entry["focal"] if term in coefficients] or others
    curves = [f"{one['smooth']} edf {one['edf']:.2f}, {p_text(one['p'])}" for one in smooths]
    return "; ".join([*(_line(term, coefficients[term], unit) for term in shown), *curves]) or "fitted"


def _line(term: str, values: dict[str, float], unit: str) -> str:
    estimate = f"{values['estimate']:.{max(4, decimals(values['se']))}f} {unit}".rstrip()
    if "t" in values:
        return f"{term} b = {estimate}, t = {values['t']:.3f}"
    name = next(name for name in ("odds_ratio", "rate_ratio") if name in values)
    return f"{term} b = {estimate}, z = {values['z']:.3f}, {name.replace('_', ' ')} = {values[name]:.3f}"


def with_families(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adjust p over each family (by default all focal terms of all models of one response), and note it."""
    tests = pd.DataFrame(
        [
            (number, entry["family_name"], term, entry["coefficients"][term]["p"])
            for number, entry in enumerate(entries)
            for term in entry["focal"]
            if term in entry["coefficients"]
        ],
        columns=["entry", "family", "term", "p"],
    )
    for entry in entries:
        entry["p_bh"] = {}
    for row in adjust(tests, family="family").itertuples():
        entry = entries[row.entry]
        entry["p_bh"][row.term] = row.p_bh
        terms = "focal term" if row.family_size == 1 else "focal terms"
        entry["family"] = f"{row.family_size} {terms} of all models of {row.family}"
    return entries
