"""R-Sparse, rank-aware activation sparsity (Zhang et al. 2025, arXiv 2504.19449).

Inputs of a matrix are scored by |x_j|·‖W[:, j]‖₂ against a threshold. Those that reach it meet their columns; the others pass through the matrix's
strongest singular directions, W·x ≈ W·kept + U_r·S_r·V_rᵀ·rest, which are read beside the kept columns: of the bytes that are
read, a share α goes to columns and the rest to r directions of inputs + outputs numbers each. Rule, score and ranks as in the
authors' code (a public copy of it), the idea as in the abstract; the paper itself was not at hand.

Chosen here: that code reads sparsity and α of every matrix from a file, which its authors made by a search that is not in it. Here the share
of rows at both sites is set block by block, as for TEAL, then α at the input site, then at the hidden one, each on a grid
that has 1 (no directions), for the least error of the block's output. Gate and up share one mask and one decomposition of
[W_g; W_u]; attention, which the paper also sparsifies, stays dense. U_r·S_r·V_rᵀ is W·V_r·V_rᵀ: what is dropped is projected on V_r,
and x is read by the weights as they are. Kernels do not follow it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from clada_neuro.models.ffn import FFN
from clada_neuro.passes.error import block_error
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.measure import empty_table, quantile
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.policies.teal import splits
from clada_neuro.runtime.policy import HIDDEN, INPUT, Reads, padded, reads
from clada_neuro.runtime.thresholds import ThresholdPolicy

_ALPHAS = (1.0, 0.95, 0.9, 0.8)  # of what is read of a matrix, the share that are columns


@dataclass(frozen=True, eq=False)
class RSparse(ThresholdPolicy):
    """Thresholds on |x_j|·‖W[:, j]‖₂; what is dropped is projected.

    Attributes
    ----------
    directions : mapping of site to sequence of Tensor
        V_r of each layer, ``(rows, r)``.
    """

    name: ClassVar[str] = "r-sparse"
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)

    directions: Mapping[str, list[Tensor]] = field(default_factory=dict)

    def masked(self, layer: int, site: str, values: Tensor, mask: Tensor) -> Tensor:
        """Return kept rows as they are, and the others' part along the strongest directions."""
        along = self.directions[site][layer]
        rest = (values * ~mask).float() @ along @ along.t()
        return (values * mask + rest).to(values.dtype)

    def reads(self, ffn: FFN) -> Reads:
        """Return a block's bytes, its directions among those that no mask can spare."""
        usual = super().reads(ffn)
        extra = sum(
            self.directions[site][ffn.layer].shape[1] * _direction_bytes(ffn, site) for site in self.sites
        )
        return replace(usual, fixed=usual.fixed + extra)


def strongest(ffn: FFN, site: str, rank: int) -> Tensor:
    """Return V_r of the weights that a site's rows meet, ``(rows, rank)`` in float32, the strongest first."""
    weight = _weight(ffn, site).double()
    if weight.shape[1] <= weight.shape[0]:
        found = torch.linalg.eigh(weight.t() @ weight)[1]
    else:
        found = normalize(weight.t() @ torch.linalg.eigh(weight @ weight.t())[1], dim=0)
    return found.flip(1)[:, :rank].float()


def budget(ffn: FFN, site: str, dropped: float, alpha: float) -> tuple[float, int]:
    """Return the share of columns dropped and the rank that read no more than columns alone, ``dropped`` of them left out."""
    rows, row = _weight(ffn, site).shape[1], reads(ffn, RSparse.sites).row[site]
    directions = (1 - alpha) * (1 - dropped) * rows * row / _direction_bytes(ffn, site)
    return 1 - alpha * (1 - dropped), int(directions)


def _weight(ffn: FFN, site: str) -> Tensor:
    return ffn.input_weight if site == INPUT else ffn.down_weight


def _direction_bytes(ffn: FFN, site: str) -> int:
    """Return the bytes of one direction: its column of U·S and its row of V."""
    weight = _weight(ffn, site)
    return sum(padded(size * weight.element_size()) for size in weight.shape)


class _Search:
    """What each block drops and projects at a sparsity, found when the block is reached."""

    def __init__(self, passes: Passes) -> None:
        self.passes, self.known = passes, cache(self._known)

    def at(self, sparsity: float) -> Mapping[str, Tensor]:
        """Return thresholds and ranks of all blocks."""
        passes, sites = self.passes, RSparse.sites
        dropped, ranks = (empty_table(sites, len(passes.layers), passes.tokens.device) for _ in range(2))
        rule = RSparse(
            {}, passes.norms, directions={site: [torch.zeros(0, 0)] * len(passes.layers) for site in sites}
        )

        def choose(layer: int, site: str, seen: Tensor) -> Tensor:
            if site == INPUT:
                for place, (share, rank) in self._best(rule, layer, sparsity, seen).items():
                    dropped[place][layer], ranks[place][layer] = share, rank
                    rule.directions[place][layer] = self.known(layer, place)[:, :rank]
            return quantile(rule.score(layer, site, seen), float(dropped[site][layer]))

        found = passes.thresholds(sites, choose, passes.norms, like=rule)
        return {**found.thresholds, **{f"{site}_rank": ranks[site] for site in sites}}

    def _best(self, rule: RSparse, layer: int, sparsity: float, x: Tensor) -> dict[str, tuple[float, int]]:
        """Return shares dropped and ranks: first the shares without directions, then α site by site."""
        ffn = self.passes.layers[layer]

        def error(chosen: Mapping[str, tuple[float, int]]) -> float:
            for site, (_, rank) in chosen.items():
                rule.directions[site][layer] = self.known(layer, site)[:, :rank]
            one, other = (chosen[site][0] for site in RSparse.sites)
            return block_error(ffn, x, one, other, partial(rule.score, layer), partial(rule.masked, layer))

        pairs = splits(ffn, sparsity)
        best = min(({INPUT: (one, 0), HIDDEN: (other, 0)} for one, other in pairs), key=error)
        for site in RSparse.sites:
            left_out = best[site][0]
            best = min(({**best, site: budget(ffn, site, left_out, alpha)} for alpha in _ALPHAS), key=error)
        return best

    def _known(self, layer: int, site: str) -> Tensor:
        ffn = self.passes.layers[layer]
        return strongest(ffn, site, budget(ffn, site, 0.0, min(_ALPHAS))[1])


def _fit(passes: Passes) -> Piece:
    return {}, passes.at_each_sparsity("r-sparse", _Search(passes).at)


def _make(asked: PolicyRequest) -> RSparse:
    sites = RSparse.sites
    found = asked.fitted("r-sparse", *sites, *(f"{site}_rank" for site in sites))
    directions = {
        site: [strongest(ffn, site, round(float(found[f"{site}_rank"][ffn.layer]))) for ffn in asked.layers]
        for site in sites
    }
    return RSparse({site: found[site] for site in sites}, asked.norms, directions=directions)


DECLARED = [Declaration("r-sparse", 92, _make, _fit)]
