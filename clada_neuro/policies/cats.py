"""CATS, contextually-aware thresholding (Lee et al. 2024, arXiv 2404.08763).

A neuron is kept when its gate |σ(W_g x)_i| reaches a layer's threshold, the quantile of |g| at the wanted sparsity.
W_g is read whole; W_u and W_d are spared, so `ffn_sparsity` is 2/3 of the share of dropped neurons. Plain blocks have
no gate: there a itself decides and only the down matrix is spared. Only feed-forward blocks are concerned, as in the
paper.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.measure import quantile
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.runtime.policy import GATE, reads
from clada_neuro.runtime.thresholds import ThresholdPolicy, score


@dataclass(frozen=True, eq=False)
class Cats(ThresholdPolicy):
    """``thresholds["gate"]`` are quantiles of |g|; there are no weights."""

    name: ClassVar[str] = "cats"
    sites: ClassVar[tuple[str, ...]] = (GATE,)


def thresholds_at(
    passes: Passes,
    sparsity: float,
    weights: Mapping[str, Tensor] | None = None,
    sites: tuple[str, ...] = Cats.sites,
) -> Mapping[str, Tensor]:
    """Return the thresholds ``(layers,)`` at a mean `ffn_sparsity`; every layer drops the same share of its neurons.

    Of the magnitude that the only one of ``sites`` sees, times ``weights[site] (layers, neurons)``, where they are given.
    """
    weights = weights or {}
    bytes_of = reads(passes.layers[0], sites)
    share = min(0.999, sparsity / (1 - bytes_of.fixed / bytes_of.total))
    return passes.thresholds(
        sites, lambda layer, site, seen: quantile(score(seen, weights, layer, site), share), weights
    ).thresholds


def _fit(passes: Passes) -> Piece:
    return {}, passes.at_each_sparsity("cats", partial(thresholds_at, passes))


def _make(asked: PolicyRequest) -> Cats:
    return Cats(asked.fitted("cats", GATE), {})


DECLARED = [Declaration("cats", 60, _make, _fit, compared=True)]
