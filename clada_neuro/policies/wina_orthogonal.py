"""WINA with its transformation: the weights that a mask's rows meet are made column-orthogonal (Chen et al. 2025, arXiv 2505.19427, section 3.4).

With W = UΣVᵀ, x̃ = x·V is read by W·V = UΣ, whose columns are orthogonal, so that |x̃_j|·σ_j is what dropping row j costs
exactly. The paper transforms the gate (and, in attention, the keys), merges V into the weights before and the residual stream, scores
these rows by |x̃_j|·‖(W·V)[:, j]‖₂, every other matrix' by magnitude alone, and keeps the K highest of each token.

Chosen here: W is [W_g; W_u], since gate and up share a mask, for which the error of both is then what the score says; in front of the
down map the score is |a_i|, as in the paper. Shares are set as WINA's here, block by block. V counts as merged, as LaRoSA's rotation does:
the product x·V, hidden² weights a block, is not in `ffn_sparsity`. Numbers are those of W·V with dropped rows left out, computed as
W·(x − V·dropped); attention stays dense and untouched. Kernels do not follow it. V comes from the weights when the policy is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from clada_neuro.models.ffn import FFN
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.policies.r_sparse import strongest
from clada_neuro.policies.teal import fit_blocks
from clada_neuro.runtime.policy import HIDDEN, INPUT, State, highest
from clada_neuro.runtime.thresholds import ThresholdPolicy

_NAME = "wina-orthogonal"


@dataclass(frozen=True, eq=False)
class WinaOrthogonal(ThresholdPolicy):
    """Keep the top rows of each token, those of the input site in the basis of the weights' right singular vectors.

    Attributes
    ----------
    dropped : mapping of site to Tensor
        Share of rows dropped, ``(layers,)``.
    turns : sequence of Tensor
        V of each layer, ``(hidden, hidden)``; columns are directions of x.
    weights : mapping of site to Tensor
        At the input site σ, ``(layers, hidden)``.
    """

    name: ClassVar[str] = _NAME
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)

    dropped: Mapping[str, Tensor] = field(default_factory=dict)
    turns: Sequence[Tensor] = ()

    def score(self, layer: int, site: str, values: Tensor) -> Tensor:
        """Return |x·V|·σ or |a|, in float32."""
        return super().score(layer, site, self._turned(layer, values) if site == INPUT else values)

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return the K rows of highest score of each token; at the input site they are rows of W·V."""
        return highest(self.score(layer, site, values), float(self.dropped[site][layer]))

    def masked(self, layer: int, site: str, values: Tensor, mask: Tensor) -> Tensor:
        """Return a's kept rows and zeros, or x without its parts along dropped directions."""
        if site != INPUT:
            return values * mask
        lost = (self._turned(layer, values) * ~mask) @ self.turns[layer].t()
        return (values.float() - lost).to(values.dtype)

    def _turned(self, layer: int, values: Tensor) -> Tensor:
        return values.float() @ self.turns[layer]


def turned(layers: Sequence[FFN], dropped: Mapping[str, Tensor]) -> WinaOrthogonal:
    """Return the policy of some blocks, with V and σ of their input maps' weights."""
    turns = [strongest(ffn, INPUT, ffn.hidden_size) for ffn in layers]
    values = [(ffn.input_weight.float() @ turn).norm(dim=0) for ffn, turn in zip(layers, turns, strict=True)]
    return WinaOrthogonal({}, {INPUT: torch.stack(values)}, dropped=dropped, turns=turns)


def _fit(passes: Passes) -> Piece:
    rule = turned(passes.layers, {})
    return {}, passes.at_each_sparsity(_NAME, lambda sparsity: fit_blocks(passes, {}, sparsity, like=rule)[0])


def _make(asked: PolicyRequest) -> WinaOrthogonal:
    return turned(asked.layers, asked.fitted(_NAME, *WinaOrthogonal.sites))


DECLARED = [Declaration(_NAME, 81, _make, _fit)]
