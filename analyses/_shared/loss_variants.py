"""Policies that exist for comparison only: other places for load to act, and rules with fewer of its parts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from clada_neuro.calibration.allocation import equal_error
from clada_neuro.calibration.row_worth import SHARES
from clada_neuro.models.ffn import FFN
from clada_neuro.passes.error import site_errors
from clada_neuro.passes.measure import fit_thresholds, quantile
from clada_neuro.policies.artifact import Calibration
from clada_neuro.policies.clada import base_policy, full_policy
from clada_neuro.policies.controls import RandomLoad, ReversedLoad, recast
from clada_neuro.policies.wina import Wina
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.policy import HIDDEN, INPUT, Policy, State, reads
from clada_neuro.runtime.thresholds import ThresholdPolicy, norms, score

KAPPA = 0.05  # of budgets that follow load, the same for all of them
DENSE_SHARE = 0.05  # of tokens that are computed densely where load is their trigger
INPUT_PART, HIDDEN_PART = 0.75, 1.5  # shares dropped in every layer, as multiples of ffn_sparsity


@dataclass(frozen=True, eq=False)
class RankBudget(Clada):
    """The K highest scores of each token are kept; the share that is dropped is `dropped` times the token's scale."""

    name: ClassVar[str] = "budget"
    dropped: Mapping[str, Tensor] = field(default_factory=dict)

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return which rows are among the K highest."""
        score = self.score(layer, site, values)
        rows = score.shape[-1]
        share = (self.dropped[site][layer] * state.scale).expand(score.shape[:2])
        count = (share * rows).round().long().clamp(0, rows - 1)
        cut = score.sort(dim=-1).values.gather(-1, count[..., None])
        return score >= cut


@dataclass(frozen=True, eq=False)
class RankBudgetRandom(RankBudget, RandomLoad):
    """Random load as a rank budget."""


@dataclass(frozen=True, eq=False)
class RankBudgetReversed(RankBudget, ReversedLoad):
    """Reversed load as a rank budget."""


@dataclass(frozen=True, eq=False)
class TopFifth(Clada):
    """Only load above its 80th percentile lowers thresholds: loss rises most, and most steeply, there."""

    name: ClassVar[str] = "top-fifth"
    knee: float = 0.0

    def scale(self, load: Tensor, acts: Tensor) -> Tensor:
        """Return exp(−2κ·max(λ − knee, 0)) times the base scale."""
        return self.base_scale * torch.exp(-2 * self.kappa * (load - self.knee).clamp_min(0))


@dataclass(frozen=True, eq=False)
class TopFifthRandom(TopFifth, RandomLoad):
    """Random load in its place."""


@dataclass(frozen=True, eq=False)
class TopFifthReversed(TopFifth, ReversedLoad):
    """Reversed load in its place."""


def load_variant(name: str, calibration: Calibration, sparsity: float) -> Clada:
    """Return ``PLACE-SOURCE``: load from SOURCE (load, random, reversed, fixed) acting at PLACE."""
    place, source = name.split("-")
    policy = replace(full_policy(calibration, sparsity), kappa=KAPPA, reanalysis_load=math.inf)
    quantiles = calibration.tensors["load_quantiles"]
    random = {"quantiles": quantiles} if source == "random" else {}
    kinds: dict[str, type[Clada]]
    if place == "dense":
        kinds = {"load": Clada, "random": RandomLoad, "reversed": ReversedLoad}
        tail = -quantiles if source == "reversed" else quantiles
        limit = float(torch.quantile(tail, 1 - DENSE_SHARE))
        return recast(policy, kinds[source], kappa=0.0, reanalysis_load=limit, **random)
    if place == "fifth":
        kinds = {"load": TopFifth, "random": TopFifthRandom, "reversed": TopFifthReversed}
        tail = -quantiles if source == "reversed" else quantiles
        return recast(policy, kinds[source], knee=float(torch.quantile(tail, 0.8)), **random)
    kinds = {
        "fixed": RankBudget,
        "load": RankBudget,
        "random": RankBudgetRandom,
        "reversed": RankBudgetReversed,
    }
    shares = calibration.header["shares_dropped"]
    dropped = {site: torch.tensor(shares[site]) for site in (INPUT, HIDDEN)}
    kappa = 0.0 if source == "fixed" else KAPPA
    return recast(policy, kinds[source], kappa=kappa, dropped=dropped, **random)


LOAD_VARIANTS = tuple(
    f"{place}-{source}"
    for place, sources in {
        "budget": ("fixed", "load", "random", "reversed"),
        "fifth": ("load", "random", "reversed"),
        "dense": ("load", "random", "reversed"),
    }.items()
    for source in sources
)
SIMPLER_RULES = ("wina-uniform", "wina-thresholds", "gradient-weights", "equal-error")


class SimplerRules:
    """Rules that lack one or more of CLADA's offline parts; none of them is compensated.

    ``wina-uniform`` keeps the top K by norms and ``wina-thresholds`` what passes thresholds by norms, one share of
    inputs and one of neurons in every layer; ``gradient-weights`` are those thresholds by CLADA's weights;
    ``equal-error`` has CLADA's weights and the same relative error in every layer and site.
    """

    def __init__(self, model, layers: list[FFN], calibration: Calibration, tokens: Tensor) -> None:
        self.model, self.layers, self.calibration, self.tokens = model, layers, calibration, tokens
        self.norms = norms(layers)
        self.thresholds = cache(self._thresholds)
        self.errors = cache(lambda: site_errors(model, layers, tokens, self._gradients(), SHARES))

    def policy(self, name: str, sparsity: float) -> Policy:
        """Return a rule at about an `ffn_sparsity`."""
        if name == "wina-uniform":
            return Wina(self._uniform(sparsity), self.norms)
        return self.thresholds(name, sparsity)

    def _thresholds(self, name: str, sparsity: float) -> ThresholdPolicy:
        weights = self.norms if name == "wina-thresholds" else self._gradients()
        shares = self._equal_error(sparsity) if name == "equal-error" else self._uniform(sparsity)

        def choose(layer: int, site: str, seen: Tensor) -> Tensor:
            return quantile(score(seen, weights, layer, site), float(shares[site][layer]))

        fit = fit_thresholds(self.model, self.layers, self.tokens, (INPUT, HIDDEN), choose, weights)
        return Clada(thresholds=fit.thresholds, weights=weights)

    def _gradients(self) -> Mapping[str, Tensor]:
        return base_policy(self.calibration, 0.4).weights

    def _uniform(self, sparsity: float) -> dict[str, Tensor]:
        everywhere = torch.ones(len(self.layers))
        return {INPUT: everywhere * sparsity * INPUT_PART, HIDDEN: everywhere * sparsity * HIDDEN_PART}

    def _equal_error(self, sparsity: float) -> dict[str, Tensor]:
        bytes_of = [reads(ffn, (INPUT, HIDDEN)) for ffn in self.layers]
        rows = {INPUT: self.layers[0].hidden_size, HIDDEN: self.layers[0].intermediate_size}
        return equal_error(
            self.errors(),
            SHARES,
            {site: torch.tensor([rows[site] * b.row[site] for b in bytes_of]) for site in rows},
            sum(b.total for b in bytes_of),
            sparsity,
        )
