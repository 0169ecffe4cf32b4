"""The raw trials behind fitted effects: means of stimuli, of bins of trials, and of the levels of factors."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from pandas.api import types

from clada_neuro.errors import FitError
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.terms import contrast, factors
from clada_neuro.responses.response import response_of
from clada_neuro.stats.conditions import means
from clada_neuro.stats.generalized.counts import with_share

_BINS, _BINS_OF_A_THIRD = 10, 6
_MOST_FACTORS = 2


def responses(fits: Sequence[FitRecord], trials: pd.DataFrame) -> list[str]:
    """Return the columns that the regressions explain; without regressions, those named after their unit."""
    sides = [re.findall(r"\w+", fit.response) for fit in fits]
    named = dict.fromkeys(name for side in sides for name in side) or [
        name for name in trials if name.endswith(("_uv", "_ms")) and "baseline" not in name
    ]
    return [name for name in named if name in trials and types.is_numeric_dtype(trials[name])]


def stimulus_means(fits: Sequence[FitRecord], trials: pd.DataFrame) -> pd.DataFrame:
    """Return the means of predictor ``x`` and response ``y`` over each stimulus's trials, for every line that a fit holds."""
    key = next((name for name in ("stimulus", "stimulus_id") if name in trials), None)
    found = []
    for rows, response, (predictor,) in _lines(fits, trials, 1) if key else ():
        mean = rows.groupby(key)[[predictor, response]].mean().reset_index(drop=True)
        mean.columns = pd.Index(["x", "y"])
        mean.insert(0, "predictor", predictor)
        mean.insert(0, "response", response)
        found.append(mean)
    columns = ["response", "predictor", "x", "y"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def binned(fits: Sequence[FitRecord], trials: pd.DataFrame) -> list[dict[str, Any]]:
    """Return means in bins of equally many trials, for every line; of interactions in thirds of the second predictor."""
    found = [
        {"response": response, "predictor": predictor, "n": len(rows), **_bins(rows, predictor, response, _BINS)}
        for rows, response, (predictor,) in _lines(fits, trials, 1)
    ]  # fmt: skip
    for rows, response, (predictor, by) in _lines(fits, trials, 2):
        thirds = pd.qcut(rows[by].rank(method="first"), 3, labels=False)
        for third in range(3):
            part = rows[thirds == third]
            found.append(
                {
                    "response": response, "predictor": predictor, "by": by, "third": third, "n": len(part),
                    **_bins(part, predictor, response, _BINS_OF_A_THIRD),
                }
            )  # fmt: skip
    return found


def _bins(rows: pd.DataFrame, name: str, response: str, bins: int) -> dict[str, Any]:
    """Return mean predictor and response in bins of equally many trials (ties stay together)."""
    codes = pd.qcut(rows[name], bins, labels=False, duplicates="drop")
    mean = rows.groupby(codes)[[name, response]].mean()
    return {"x": mean[name], "y": mean[response]}


def by_levels(fits: Sequence[FitRecord], trials: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the means of each response by the levels of its regressions' factors, and in the cells of two that interact."""
    unit = "subject" if "subject" in trials else None
    seen = set()
    for fit in fits:
        rows, response = _measured(fit, trials)
        for term in fit.coefficients:
            found = [contrast(part) for part in factors(term)]
            names = tuple(level.factor for level in found if level)
            asked = (response, names)
            if len(names) < len(found) or len(names) > _MOST_FACTORS or asked in seen:
                continue
            seen.add(asked)
            if {*names, response} <= set(rows):
                yield from cells(means(rows, [response], list(names), unit), list(names))


def cells(found: pd.DataFrame, by: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a table of `means` measure by measure."""
    for measure, rows in found.groupby("measure", sort=False):
        entries = rows[["mean", "ci_low", "ci_high", "n"]].to_dict("records")
        labels = rows[by].to_dict("records")
        yield {
            "measure": measure,
            "by": by,
            "cells": [
                {"cell": {name: str(level) for name, level in label.items()}, **entry}
                for label, entry in zip(labels, entries, strict=True)
            ],
        }


def _lines(
    fits: Sequence[FitRecord], trials: pd.DataFrame, count: int
) -> Iterator[tuple[pd.DataFrame, str, list[str]]]:
    """Yield for each fitted line of so many predictors the trials without gaps, the response and the predictors, once."""
    seen = set()
    for fit in fits:
        rows, response = _measured(fit, trials)
        for term in fit.effects:
            names = factors(term)
            asked = (response, *names)
            if len(names) != count or asked in seen or not set(asked) <= set(rows):
                continue
            seen.add(asked)
            complete = rows.dropna(subset=list(asked))
            if len(complete):
                yield complete, response, names


def _measured(fit: FitRecord, trials: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return trials with the response as numbers, a share that was counted, true and false as 1 and 0; and its column."""
    scale = fit.response_scale
    column = response_of(scale.column if scale and fit.link is None else fit.response).column
    if fit.link is None or (column in trials and types.is_numeric_dtype(trials[column])):
        return trials, column
    try:
        return with_share(trials, column, fit.response_family), column
    except FitError:  # of a column that the trials do not hold
        return trials, column
