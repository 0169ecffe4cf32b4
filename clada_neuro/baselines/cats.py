"""CATS, contextually-aware thresholding (Lee et al. 2024, arXiv 2404.08763).

A neuron is kept when its gate |σ(W_g x)_i| reaches a layer's threshold, the quantile of |g| at the wanted sparsity.
W_g is read whole; W_u and W_d are spared, so `ffn_sparsity` is 2/3 of the share of dropped neurons. Plain blocks have
no gate: there a itself decides and only the down matrix is spared. Only feed-forward blocks are concerned, as in the
paper.
"""

from dataclasses import dataclass
from typing import ClassVar

from clada_neuro.runtime.policy import GATE
from clada_neuro.runtime.thresholds import ThresholdPolicy


@dataclass(frozen=True, eq=False)
class Cats(ThresholdPolicy):
    """``thresholds["gate"]`` are quantiles of |g|; there are no weights."""

    name: ClassVar[str] = "cats"
    sites: ClassVar[tuple[str, ...]] = (GATE,)
