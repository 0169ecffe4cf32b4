"""The statistics of a study: fit what its analysis specifies, adjust p values over families, keep what is finished."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.artifacts import content_hash, read_json, write_json
from clada_neuro.errors import DataError
from clada_neuro.stats.compare import adjust
from clada_neuro.stats.diagnostics import residual_summary, vif
from clada_neuro.stats.mixed import FitWarning, fit
from clada_neuro.stats.specification import ModelSpecification, SynergySpecification
from clada_neuro.stats.synergy import synergy

Progress = Callable[[str], None]


def fit_models(
    trials: pd.DataFrame,
    models: tuple[ModelSpecification, ...],
    path: Path,
    inputs: str,
    progress: Progress = lambda line: None,
) -> list[dict[str, Any]]:
    """Fit each model and write the list to `path` after each one.

    Parameters
    ----------
    inputs : str
        Hash of `trials`: a stored entry for the same rows and specification is kept.

    Returns
    -------
    list of dict
        The entries of fits.json, with registered directions and p values adjusted (Benjamini-Hochberg) over the
        family: all focal terms of all models of one response.
    """
    finished = {entry.get("inputs"): entry for entry in _stored(path, [])}
    entries: list[dict[str, Any]] = []
    for specification in models:
        key = content_hash(inputs, vars(specification))
        entries.append(finished.get(key) or {**_fit(trials, specification), "inputs": key})
        write_json(path, entries)
        progress(f"{specification.name}: {_headline(entries[-1])}")
    write_json(path, _with_families(entries))
    return entries


def estimate_synergy(
    trials: pd.DataFrame, specification: SynergySpecification, path: Path, inputs: str, seed: int
) -> dict[str, Any]:
    """Estimate the interaction over main effects and squares and write it to `path`, unless it stands there."""
    key = content_hash(inputs, vars(specification), seed)
    stored = _stored(path, {})
    if stored.get("inputs") == key:
        return stored
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # they stand in the entry
        result = synergy(
            trials,
            specification.response,
            specification.predictors,
            controls=specification.controls,
            random=specification.random,
            folds=min(10, trials["item"].nunique()),
            bootstrap=specification.bootstrap,
            seed=seed,
            folder=path.parent if specification.bootstrap else None,
        )
    entry = {**result.to_dict(), "inputs": key}
    write_json(path, entry)
    return entry


def _stored(path: Path, empty: Any) -> Any:
    """Return what an earlier run wrote; a damaged file is computed again."""
    try:
        found = read_json(path)
    except DataError:
        return empty
    return found if isinstance(found, type(empty)) else empty


def _fit(trials: pd.DataFrame, specification: ModelSpecification) -> dict[str, Any]:
    weights = specification.weights
    if weights:
        # With mean 1, sigma and R² stand on the scale of the rows; coefficients do not change.
        trials = trials.assign(**{weights: trials[weights] / trials[weights].mean()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # they stand in the entry
        fitted = fit(
            trials,
            specification.formula,
            reml=specification.reml,
            name=specification.name,
            standardize=specification.standardize,
            weights=weights,
        )
    directions = dict(specification.directions or {})
    return {
        **fitted.to_dict(),
        "vif": vif(fitted).to_dict(),
        "residual_summary": residual_summary(fitted),
        "response": specification.response,
        "directions": directions,
        "focal": list(directions),
        "note": specification.note,
    }


def _headline(entry: dict[str, Any]) -> str:
    focal = [term for term in entry["focal"] if term in entry["coefficients"]]
    values = [(term, entry["coefficients"][term]) for term in focal]
    return (
        "; ".join(f"{term} b = {value['estimate']:.4f} µV, t = {value['t']:.3f}" for term, value in values)
        or "fitted"
    )


def _with_families(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tests = pd.DataFrame(
        [
            (number, entry["response"], term, entry["coefficients"][term]["p"])
            for number, entry in enumerate(entries)
            for term in entry["focal"]
            if term in entry["coefficients"]
        ],
        columns=["entry", "response", "term", "p"],
    )
    for entry in entries:
        entry["p_bh"] = {}
    for row in adjust(tests, family="response").itertuples():
        entry = entries[row.entry]
        entry["p_bh"][row.term] = row.p_bh
        entry["family"] = f"{row.family_size} focal terms of all models of {row.response}"
    return entries
