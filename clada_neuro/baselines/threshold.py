"""TT, threshold truncation (Ma et al. 2024, arXiv 2405.09274, with the CETT of Zhang et al. 2024, arXiv 2402.03804).

A neuron is kept when the norm of its output, ‖n_i‖ = |a_i|·‖W_d[:, i]‖₂, reaches a threshold ε_l. The thresholds give
every layer the same CETT, the mean relative error ‖Σ_dropped n_i‖ / ‖FFN(x)‖. a must be computed first, so only the
down matrix is spared: `ffn_sparsity` stays below 1/3 in gated blocks (1/2 in plain ones).
"""

from dataclasses import dataclass
from typing import ClassVar

from clada_neuro.runtime.policy import HIDDEN
from clada_neuro.runtime.thresholds import ThresholdPolicy


@dataclass(frozen=True, eq=False)
class ThresholdTruncation(ThresholdPolicy):
    """``weights["hidden"]`` are the norms c_i, ``thresholds["hidden"]`` the ε_l of equal CETT."""

    name: ClassVar[str] = "tt"
    sites: ClassVar[tuple[str, ...]] = (HIDDEN,)
