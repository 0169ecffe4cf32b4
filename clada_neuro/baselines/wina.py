"""WINA, weight-informed neuron activation (Chen et al. 2025, arXiv 2505.19427).

Elements are scored by magnitude times the norm of the weight column they meet, |x_j|·‖W[:, j]‖₂, and the K highest of
each token are kept. Here gate and up share one mask of x, scored with the norm of [W_g; W_u]; attention, which the
paper also sparsifies, stays dense.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from clada_neuro.runtime.policy import HIDDEN, INPUT, Policy, State
from clada_neuro.runtime.thresholds import Compensation


@dataclass(frozen=True, eq=False)
class Wina(Policy):
    """Keep the top rows of each token.

    Attributes
    ----------
    dropped : mapping of site to Tensor
        Share of rows dropped, ``(layers,)``.
    weights : mapping of site to Tensor
        Norms of the weight columns, ``(layers, rows)``.
    mean_of_dropped : Compensation or None
        Not in the paper: CLADA's compensation, for comparison.
    """

    name: ClassVar[str] = "wina"
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)

    dropped: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    mean_of_dropped: Compensation | None = None

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return the K rows of highest score of each token."""
        score = values.abs().float() * self.weights[site][layer]
        rows = values.shape[-1]
        dropped = rows - round((1 - float(self.dropped[site][layer])) * rows)
        if dropped == 0:
            return score >= 0
        return score > score.kthvalue(dropped, dim=-1, keepdim=True).values

    def compensation(self, layer: int, state: State) -> Tensor | None:
        """Return the calibrated mean of what is dropped, if asked for."""
        return None if self.mean_of_dropped is None else self.mean_of_dropped(layer, state.scale)
