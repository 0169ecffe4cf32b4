"""Rows of another basis, as LaRoSA drops them, and dropped rows that pass through a low rank, as R-Sparse lets them."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from clada_neuro.passes.measure import quantile
from clada_neuro.policies.declaration import Declaration
from clada_neuro.runtime.policy import INPUT
from clada_neuro.runtime.thresholds import ThresholdPolicy

RANK = 4


@dataclass(frozen=True, eq=False)
class Rotated(ThresholdPolicy):
    name, sites = "rotated", (INPUT,)
    basis: Tensor = None

    def score(self, layer, site, values):
        return (values @ self.basis[layer]).abs().float()

    def masked(self, layer, site, values, mask):
        return (values @ self.basis[layer] * mask) @ self.basis[layer].T


@dataclass(frozen=True, eq=False)
class LowRank(ThresholdPolicy):
    name, sites = "low-rank", (INPUT,)
    basis: Tensor = None

    def masked(self, layer, site, values, mask):
        base = self.basis[layer]
        return values * mask + (values * ~mask) @ base @ base.T

    def reads(self, ffn):
        usual = super().reads(ffn)
        extra = RANK * 4 * (ffn.hidden_size + 2 * ffn.intermediate_size)
        return replace(usual, fixed=usual.fixed + extra)


def bases(passes):
    """Right singular vectors of each block's first maps."""
    return torch.stack([torch.linalg.svd(ffn.input_weight)[2].T for ffn in passes.layers])


def fit(kind, columns, passes):
    basis = bases(passes)[..., :columns].contiguous()
    rule = kind({}, {}, basis=basis)

    def at(sparsity):
        def choose(layer, site, seen):
            return quantile(rule.score(layer, site, seen), 1.5 * sparsity)

        return passes.thresholds(kind.sites, choose, like=rule).thresholds

    return {}, {**passes.at_each_sparsity(kind.name, at), f"{kind.name}_basis": basis}


def make(kind, asked):
    return kind(asked.fitted(kind.name, INPUT), {}, basis=asked.calibration.tensors[f"{kind.name}_basis"])


DECLARED = [
    Declaration("rotated", 86, partial(make, Rotated), partial(fit, Rotated, None)),
    Declaration("low-rank", 88, partial(make, LowRank), partial(fit, LowRank, RANK)),
]
