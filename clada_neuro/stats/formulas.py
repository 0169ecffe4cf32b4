"""The stage that fits formulas one by one, as they are given, and compares them."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.artifacts import write_text
from clada_neuro.exports import write_csv, write_for_r
from clada_neuro.lineage import refuse_other_trials, store_estimates
from clada_neuro.stage import Stage
from clada_neuro.stats.alternatives import common_rows
from clada_neuro.stats.formula import ModelFormula
from clada_neuro.stats.generalized.fit_counts import GeneralizedFit
from clada_neuro.stats.mixed import FitWarning, MixedFit, fit
from clada_neuro.stats.rscript import PACKAGES
from clada_neuro.stats.several import compare
from clada_neuro.stats.stage import Progress

Fit = MixedFit | GeneralizedFit
_TABLES = ("tidy", "glance")


@dataclass(frozen=True)
class Formulas:
    """Fits of formulas, and how they compare: None for one formula."""

    fits: list[Fit]
    compared: pd.DataFrame | None


@dataclass(frozen=True)
class FormulaStage(Stage[Formulas]):
    """Fit formulas without reduction, to the rows that all of them have values for.

    A fit takes moments and is wanted as such, to be printed, so that none is read back.

    Attributes
    ----------
    data : pandas.DataFrame
    of : str
        The id of the rows, and the name of their `source` for messages.
    formulas : tuple of ModelFormula
    how : mapping
        Keywords of `clada_neuro.fit` that hold for every formula.
    zscore, contrasts
        Predictors to z-score, and contrasts of factors; each of several formulas takes those that it names.
    bayes, broom : bool
        Also sample posteriors; also write the tables of R's broom.mixed.
    packages : tuple of str
        Of R, for which scripts are written, too.
    progress : callable
        Receives the summary of each fit.
    """

    name = "fit"
    files = (
        *("fits.json", "refit.csv", "refit.R", "comparison.csv", "tidy.csv", "glance.csv"),
        *(f"refit_{package}.R" for package in PACKAGES),
    )

    data: pd.DataFrame
    of: str
    source: str | Path
    formulas: tuple[ModelFormula, ...]
    how: Mapping[str, Any] = field(default_factory=dict)
    zscore: tuple[str, ...] = ()
    contrasts: Mapping[str, str] = field(default_factory=dict)
    bayes: bool = False
    broom: bool = False
    packages: tuple[str, ...] = ()
    progress: Progress = lambda line: None

    def make(self, folder: Path) -> Formulas:
        """Fit all, then write them, with scripts that refit them in R."""
        refuse_other_trials(folder, self.of, self.source)
        alone = len(self.formulas) == 1
        rows = self.data if alone else common_rows(self.data, [formula.text for formula in self.formulas])
        if len(rows) < len(self.data):
            self.progress(
                f"{len(rows):,} of {len(self.data):,} rows have a value in every column of all formulas"
            )
        fits = []
        for at, formula in enumerate(self.formulas, start=1):
            fits.append(self._fit(rows, formula, None if alone else f"model {at}"))
            self.progress(fits[-1].summary())
        found = Formulas(fits, None if alone else compare(fits))
        self._write(folder, rows, found, self._entries(fits))
        return found

    def _fit(self, rows: pd.DataFrame, formula: ModelFormula, name: str | None) -> Fit:
        named = {*self.zscore, *self.contrasts} if name is None else set(formula.variables())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # they stand in the summary
            return fit(
                rows,
                formula.text,
                name=name,
                standardize=[column for column in self.zscore if column in named] or False,
                contrasts={factor: kind for factor, kind in self.contrasts.items() if factor in named},
                **self.how,
            )

    def _entries(self, fits: list[Fit]) -> list[dict[str, Any]]:
        """Return the entries of fits.json, with the posteriors where they are asked for."""
        entries = [one.to_dict() | {"lme4_script": one.to_r_script("refit.csv")} for one in fits]
        for one, entry in zip(fits, entries, strict=True) if self.bayes else ():
            posterior = one.bayes(progress=True)
            self.progress(f"\n{posterior.summary()}")
            entry["bayes"] = posterior.to_dict()
        return entries

    def _write(
        self, folder: Path, rows: pd.DataFrame, found: Formulas, entries: list[dict[str, Any]]
    ) -> None:
        store_estimates(folder, entries, None, self.of)
        write_for_r(rows, folder / "refit.csv")
        write_text(folder / "refit.R", "\n".join(entry["lme4_script"] for entry in entries))
        for table in _TABLES if self.broom else ():
            frames = [getattr(one, table)().assign(model=one.name) for one in found.fits]
            write_for_r(pd.concat(frames, ignore_index=True), folder / f"{table}.csv")
        if found.compared is None:
            (folder / "comparison.csv").unlink(missing_ok=True)  # of another call
        else:
            write_csv(found.compared, folder / "comparison.csv")
        for package in self.packages:  # last: one that does not take a model loses nothing
            scripts = [one.to_r_script("refit.csv", package=package) for one in found.fits]
            write_text(folder / f"refit_{package}.R", "\n".join(scripts))
