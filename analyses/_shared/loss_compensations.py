"""Other ways to replace what a block drops, fitted to the thresholds of CLADA without load, for comparison only."""

from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from _shared.loss_variants import recast
from clada_neuro.models.ffn import FFN
from clada_neuro.passes.measure import measure
from clada_neuro.policies.artifact import Calibration
from clada_neuro.policies.clada import base_policy
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.policy import HIDDEN, INPUT, State

COMPENSATIONS = ("refit-mean", "refit-rescaled")


@dataclass(frozen=True, eq=False)
class Rescaled(Clada):
    """What is left of a block's output, times a gain and plus a mean for each channel.

    Attributes
    ----------
    layers : list of FFN
    gain, mean : Tensor
        ``(layers, hidden)``.
    """

    name: ClassVar[str] = "rescaled"

    layers: list[FFN] = field(default_factory=list)
    gain: Tensor = field(default_factory=lambda: torch.ones(0))
    mean: Tensor = field(default_factory=lambda: torch.zeros(0))
    _seen: dict[str, Tensor] = field(default_factory=dict)

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return CLADA's mask and keep what is needed to see the block's output."""
        mask = super().select(layer, site, values, state)
        self._seen[site] = values
        if site == HIDDEN:
            self._seen["kept"] = mask | state.dense[..., None]
        return mask

    def compensation(self, layer: int, state: State) -> Tensor:
        """Return what is added to the block's output ``(batch, seq, hidden)``, nothing at dense tokens."""
        return ((self.gain[layer] - 1) * self._left(layer) + self.mean[layer]) * self._sparse(state)[
            ..., None
        ]

    def _left(self, layer: int) -> Tensor:
        return self.layers[layer].output(self._seen[HIDDEN] * self._seen["kept"])

    def _sparse(self, state: State) -> Tensor:
        return ~state.dense.expand(self._seen[HIDDEN].shape[:2])


@dataclass(frozen=True, eq=False)
class FitRescaled(Rescaled):
    """Sets gain and mean, in place, by least squares from the tokens that arrive; without `rescales` the mean alone."""

    name: ClassVar[str] = "fit-rescaled"

    rescales: bool = True

    def compensation(self, layer: int, state: State) -> Tensor:
        """Fit, then apply."""
        ffn, sparse = self.layers[layer], self._sparse(state)
        left, whole = self._left(layer)[sparse], ffn.output(ffn.hidden(self._seen[INPUT][sparse]))
        if self.rescales:
            centred = left - left.mean(0)
            self.gain[layer] = (centred * (whole - whole.mean(0))).sum(0) / centred.square().sum(0)
        self.mean[layer] = whole.mean(0) - self.gain[layer] * left.mean(0)
        return super().compensation(layer, state)


class Compensations:
    """Fits each of `COMPENSATIONS` once a sparsity, layer by layer with the compensated layers before it."""

    def __init__(self, model, layers: list[FFN], calibration: Calibration, tokens: Tensor) -> None:
        self.model, self.layers, self.calibration, self.tokens = model, layers, calibration, tokens
        self.policy = cache(self._policy)

    def _policy(self, name: str, sparsity: float) -> Clada:
        base = base_policy(self.calibration, sparsity)
        shape = (len(self.layers), self.layers[0].hidden_size)
        fitted = {"layers": self.layers, "gain": torch.ones(shape), "mean": torch.zeros(shape)}
        fit = recast(base, FitRescaled, rescales=name == "refit-rescaled", **fitted)
        measure(self.model, fit, self.tokens, base.base_scale)
        return recast(base, Rescaled, **fitted)
