"""Nested models of one response on the same rows with one random part, each fitted and scored once."""

from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.responses.response import response_of
from clada_neuro.stats.compare import compare
from clada_neuro.stats.crossval import HeldOut, gain, held_out
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.nesting import settled
from clada_neuro.stats.steps import LadderSpecification, Step, Terms

_Z = 1.96


class Nested:
    """The models of one ladder, by ML.

    Parameters
    ----------
    rows : pandas.DataFrame
        Trials without gaps in any model's columns.
    random : str
        The random part of every model.
    folds, seed : int
        Of the comparison on held-out levels of the ladder's `fold`.
    """

    def __init__(
        self, rows: pd.DataFrame, ladder: LadderSpecification, random: str, folds: int, seed: int
    ) -> None:
        self.rows = rows
        self.ladder = ladder
        self.random = random
        self.folds = min(folds, rows[ladder.fold].nunique())
        self.seed = seed
        self._fits: dict[Terms, MixedFit] = {}
        self._scores: dict[Terms, HeldOut] = {}

    def fit(self, terms: Terms) -> MixedFit:
        """Return the model with these fixed terms."""
        if terms not in self._fits:
            formula = f"{self.ladder.response} ~ {' + '.join(terms)} + {self.random}"
            model = specify(self.rows, formula, standardize=True, weights=self.ladder.weights)
            self._fits[terms] = estimate(model, reml=False)
        return self._fits[terms]

    def _score(self, terms: Terms) -> HeldOut:
        if terms not in self._scores:
            fit, item = self.fit(terms), self.ladder.fold
            self._scores[terms] = held_out(fit, item=item, folds=self.folds, seed=self.seed)
        return self._scores[terms]

    def compare(self, step: Step) -> dict[str, Any]:
        """Return one row: in-sample test, held-out gain in nats a trial with its interval, and R²."""
        smaller = self.fit(step.smaller)
        larger = self._fits[step.larger] = settled(smaller, self.fit(step.larger))
        unseen = gain(self._score(step.smaller), self._score(step.larger))
        better, margin = unseen.delta_loglik_per_trial, _Z * unseen.se
        test = compare(smaller, larger)
        return {
            "question": self.ladder.name, "component": self.ladder.component, "step": step.name,
            "n_obs": larger.n_obs, "chi2": test.chi2, "df": test.df, "p": test.p,
            "delta_loglik": test.delta_loglik_per_trial,
            "held_out": better, "held_out_low": better - margin, "held_out_high": better + margin,
            "r2_marginal": larger.r2().marginal, "r2_conditional": larger.r2().conditional,
            "delta_r2": test.delta_r2_marginal, "singular": larger.singular,
            "delta_r2_low": np.nan, "delta_r2_high": np.nan, "p_null": np.nan, "n_replicates": 0,
        }  # fmt: skip

    def added(self, step: Step) -> list[dict[str, Any]]:
        """Return the coefficients of the terms that a step adds, by REML."""
        inference = self.fit(step.larger).refit(reml=True)
        registered, unit = self.ladder.directions, response_of(self.ladder.response).unit
        return [
            {
                "question": self.ladder.name, "step": step.name, "term": term, **inference.coefficient(term), "unit": unit,
                "registered": registered.get(term, ""),
            }
            for term in step.added
        ]  # fmt: skip
