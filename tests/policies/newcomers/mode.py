"""Dropped rows stand at their mode instead of zero, and rows far from it are kept, as SCAP does."""

from dataclasses import dataclass

import torch
from torch import Tensor

from clada_neuro.passes.measure import quantile
from clada_neuro.policies.declaration import Declaration
from clada_neuro.runtime.policy import HIDDEN
from clada_neuro.runtime.thresholds import ThresholdPolicy


@dataclass(frozen=True, eq=False)
class Mode(ThresholdPolicy):
    name, sites = "mode", (HIDDEN,)
    modes: Tensor = None

    def score(self, layer, site, values):
        return (values - self.modes[layer]).abs().float()

    def masked(self, layer, site, values, mask):
        return torch.where(mask, values, self.modes[layer])


def fit(passes):
    modes = torch.zeros(len(passes.layers), passes.layers[0].intermediate_size)

    def look(layer, site, seen):
        modes[layer] = seen.median(0).values
        return torch.zeros(())

    passes.thresholds(Mode.sites, look)
    rule = Mode({}, {}, modes=modes)

    def at(sparsity):
        def choose(layer, site, seen):
            return quantile(rule.score(layer, site, seen), min(0.99, 3 * sparsity))

        return passes.thresholds(Mode.sites, choose, like=rule).thresholds

    return {}, {**passes.at_each_sparsity("mode", at), "mode_modes": modes}


def make(asked):
    modes = asked.calibration.tensors["mode_modes"]
    return Mode(asked.fitted("mode", HIDDEN, reach=0.3), {}, modes=modes)


DECLARED = [Declaration("mode", 85, make, fit)]
