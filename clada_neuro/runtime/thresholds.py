"""Keep a row where |value| · weight reaches its threshold; replace what is dropped by its calibrated mean."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

import torch
from torch import Tensor

from clada_neuro.models.ffn import FFN
from clada_neuro.runtime.policy import ALL, ATTENTION, FFN_ONLY, HIDDEN, INPUT, OUT, QKV, Policy, State


def norms(layers: list[FFN], scope: str = FFN_ONLY) -> dict[str, Tensor]:
    """Return the norms of the weight columns that a row of each site of the scope meets, ``(layers, rows)``."""
    found = {
        INPUT: torch.stack([ffn.input_norms for ffn in layers]),
        HIDDEN: torch.stack([ffn.neuron_norms for ffn in layers]),
    }
    if scope == ALL:
        found[QKV] = torch.stack([ffn.attention.qkv_norms for ffn in layers])
        found[OUT] = torch.stack([ffn.attention.out_norms for ffn in layers])
    return found


def score(values: Tensor, weights: Mapping[str, Tensor], layer: int, site: str) -> Tensor:
    """Return |value| · weight, in float32; a site without weights is scored by magnitude alone."""
    magnitude = values.abs().float()
    return magnitude * weights[site][layer] if site in weights else magnitude


@dataclass(frozen=True, eq=False)
class Compensation:
    """The mean of what a block loses, as a function of the threshold scale.

    Attributes
    ----------
    scales : Tensor
        Increasing, first 0, ``(points,)``.
    bias : Tensor
        Calibrated means, zero at scale 0, ``(points, layers, hidden)``.
    """

    scales: Tensor
    bias: Tensor

    def __call__(self, layer: int, scale: Tensor) -> Tensor:
        """Return the bias ``(*scale.shape, hidden)``, linear between points and constant beyond the last."""
        return self._between(self.bias[:, layer], scale)

    def of_token(self, scale: Tensor) -> Tensor:
        """Return the bias ``(layers, hidden)`` of all layers at one token's ``scale (1,)``."""
        return self._between(self.bias.flatten(1), scale).view(self.bias.shape[1:])

    def put(self, scale: float, out: Tensor) -> None:
        """Write the same ``(layers, hidden)`` into a tensor, on plain numbers: one operation between two tokens."""
        scale = min(scale, self._points[-1][0])
        upper = min(max(bisect_left(self._points, scale, key=itemgetter(0)), 1), len(self._points) - 1)
        (low, below), (high, above) = self._points[upper - 1 : upper + 1]
        torch.lerp(below, above, (scale - low) / (high - low), out=out)

    @cached_property
    def _points(self) -> list[tuple[float, Tensor]]:
        return list(zip(self.scales.tolist(), self.bias.unbind(), strict=True))

    def _between(self, bias: Tensor, scale: Tensor) -> Tensor:
        # On a GPU nothing here may wait for a number.
        scale = torch.minimum(scale, self.scales[-1])
        upper = torch.searchsorted(self.scales, scale).clamp(1, len(self.scales) - 1)
        low, high = self.scales[upper - 1], self.scales[upper]
        share = ((scale - low) / (high - low))[..., None]
        return torch.lerp(bias[upper - 1], bias[upper], share)


@dataclass(frozen=True, eq=False)
class ThresholdPolicy(Policy):
    """Per-token thresholds on weighted magnitudes.

    Attributes
    ----------
    thresholds : mapping of site to Tensor
        One threshold a layer, ``(layers,)``.
    weights : mapping of site to Tensor
        Row weights ``(layers, rows)``; a site without an entry is scored by magnitude alone.
    mean_of_dropped : Compensation or None
    base_scale : float
        Multiplies every threshold; calibrated so that the mean sparsity meets its target.
    mean_at : mapping of site to Compensation
        The mean of what attention's maps lose, ``(points, layers, outputs)``, by site of attention.
    """

    thresholds: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    mean_of_dropped: Compensation | None = None
    base_scale: float = 1.0
    mean_at: Mapping[str, Compensation] = field(default_factory=dict)

    @property
    def attention_sites(self) -> tuple[str, ...]:
        """Those of attention that have thresholds."""
        return tuple(site for site in ATTENTION if site in self.thresholds)

    def score(self, layer: int, site: str, values: Tensor) -> Tensor:
        """Return |value| · weight, in float32."""
        return score(values, self.weights, layer, site)

    def threshold(self, layer: int, site: str, state: State) -> Tensor:
        """Return thresholds broadcastable to ``(batch, seq, rows)``."""
        return self.thresholds[site][layer] * state.scale[..., None]

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return score ≥ threshold."""
        return self.score(layer, site, values) >= self.threshold(layer, site, state)

    def compensation(self, layer: int, state: State) -> Tensor | None:
        """Return the calibrated mean of what is dropped at the tokens' scale."""
        return None if self.mean_of_dropped is None else self.mean_of_dropped(layer, state.scale)

    def attention_compensation(self, layer: int, site: str, state: State) -> Tensor | None:
        """Return the calibrated mean of what is dropped at the tokens' scale."""
        return self.mean_at[site](layer, state.scale) if site in self.mean_at else None
