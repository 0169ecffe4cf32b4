"""LaRoSA, layerwise rotated sparse activation (Liu et al. 2025, arXiv 2507.01299).

What gate and up read is rotated by Q, x̃ = x·Q, the K largest |x̃_j| of each token are kept, and the maps read them through
W·Q: dropping a row drops a row of W·Q. Q holds the eigenvectors of E[x·xᵀ] of the layer's x on calibration texts (PCA
without centring). In front of the down map the K largest |a_i| of each token are kept, unrotated. Rule and Q are those of the authors'
code; of the paper itself the abstract was at hand.

Chosen here: one share of rows at each site for all layers, as in the paper, which searches the ratio of the two shares on a grid for each
model (the authors' code has 2 : 3); searched here for the least mean error of the blocks' outputs. Queries, keys and values, which the paper
rotates and sparsifies, too, and the output map stay dense. Rotations count as merged: W·Q is as large as W, and the product x·Q itself,
which the paper puts into the weights before it and into residual adapters, is not counted in `ffn_sparsity`; it would be hidden² weights
a block. Numbers are those of W·Q with dropped rows left out, computed as W·(x − Q·dropped); weights elsewhere are untouched.
Kernels do not follow it. Q is too large for a calibration's file and lies in the cache of the computer that calibrated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from clada_neuro.errors import CalibrationError
from clada_neuro.models.ffn import FFN
from clada_neuro.models.watching import watching
from clada_neuro.passes.error import block_error
from clada_neuro.passes.fitting import GRID, Passes
from clada_neuro.passes.measure import DENSE_PREFIX
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.policies.teal import splits
from clada_neuro.runtime.policy import HIDDEN, INPUT, Policy, State, highest

_ROTATION = "larosa_rotation_aside"
_LARGEST = 256_000_000  # bytes of all rotations: 7 billion weights would have a gigabyte and eigenvectors for an hour


@dataclass(frozen=True, eq=False)
class LaRosa(Policy):
    """Keep the top rows of each token, those of the input site in a basis of their own.

    Attributes
    ----------
    dropped : mapping of site to Tensor
        Share of rows dropped, ``(layers,)``.
    rotation : Tensor
        Q, orthogonal, ``(layers, hidden, hidden)``; columns are directions of x.
    """

    name: ClassVar[str] = "larosa"
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)

    dropped: Mapping[str, Tensor]
    rotation: Tensor

    def score(self, layer: int, site: str, values: Tensor) -> Tensor:
        """Return |x·Q| or |a|, in float32."""
        return (self._turned(layer, values) if site == INPUT else values.float()).abs()

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return the K rows of highest score of each token; at the input site they are rows of W·Q."""
        return highest(self.score(layer, site, values), float(self.dropped[site][layer]))

    def masked(self, layer: int, site: str, values: Tensor, mask: Tensor) -> Tensor:
        """Return a's kept rows and zeros, or x without its parts along dropped directions."""
        if site != INPUT:
            return values * mask
        lost = (self._turned(layer, values) * ~mask) @ self.rotation[layer].t()
        return (values.float() - lost).to(values.dtype)

    def _turned(self, layer: int, values: Tensor) -> Tensor:
        return values.float() @ self.rotation[layer]


def rotations(passes: Passes) -> Tensor:
    """Return the eigenvectors of E[x·xᵀ] of every layer, dense prefix left out, ``(layers, hidden, hidden)``."""
    size = passes.layers[0].hidden_size
    tokens = passes.many
    moments = torch.zeros(len(passes.layers), size, size, dtype=torch.float64)

    def add(ffn: FFN, x: Tensor) -> None:
        x = x.reshape(*tokens.shape, -1)[:, DENSE_PREFIX:].flatten(0, 1).float()
        moments[ffn.layer] += (x.t() @ x).cpu()

    with watching(passes.layers, x=add), torch.no_grad():
        passes.model(tokens, logits_to_keep=1, use_cache=False)
    passes.tick(tokens.numel())
    return torch.linalg.eigh(moments)[1].float()


def split(errors: Tensor, pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the pair of shares of inputs and neurons whose error ``(layers, pairs)`` is least in the mean."""
    return pairs[int(errors.mean(0).argmin())]


def _shares(passes: Passes, rule: LaRosa) -> Piece:
    """Search the shares of every sparsity in one dense pass."""
    pairs = {sparsity: splits(passes.layers[0], sparsity) for sparsity in GRID}
    errors = {sparsity: torch.zeros(len(passes.layers), len(tried)) for sparsity, tried in pairs.items()}

    def note(ffn: FFN, x: Tensor) -> None:
        x = x.reshape(*passes.tokens.shape, -1)[:, DENSE_PREFIX:].flatten(0, 1)
        score, masked = partial(rule.score, ffn.layer), partial(rule.masked, ffn.layer)
        for sparsity, tried in pairs.items():
            for place, pair in enumerate(tried):
                errors[sparsity][ffn.layer, place] = block_error(ffn, x, *pair, score, masked)

    with watching(passes.layers, x=note), torch.no_grad():
        passes.model(passes.tokens, logits_to_keep=1, use_cache=False)
    passes.tick(passes.tokens.numel())
    chosen = torch.tensor([split(errors[sparsity], pairs[sparsity]) for sparsity in GRID])
    every = chosen[:, None].expand(-1, len(passes.layers), -1)
    return {}, {f"larosa_{site}": every[..., place] for place, site in enumerate(LaRosa.sites)}


def _fit(passes: Passes) -> Piece:
    if _size(passes.layers) > _LARGEST:
        return {}, {}
    _, found = passes.piece("larosa-rotation", lambda: ({}, {_ROTATION: rotations(passes)}))
    rule = LaRosa({}, found[_ROTATION].to(passes.tokens.device))
    _, shares = passes.piece("larosa-shares", lambda: _shares(passes, rule))
    return {}, {**shares, **found}


def _make(asked: PolicyRequest) -> LaRosa:
    if _size(asked.layers) > _LARGEST:
        raise CalibrationError(
            f"policy 'larosa' would keep {_size(asked.layers) / 1e9:.1f} GB of rotations of this model, at most "
            f"{_LARGEST / 1e9:.2f} GB expected; choose another policy"
        )
    return LaRosa(asked.fitted("larosa", *LaRosa.sites), asked.aside(_ROTATION))


def _size(layers: list[FFN]) -> int:
    return 4 * len(layers) * layers[0].hidden_size ** 2


DECLARED = [Declaration("larosa", 90, _make, _fit, aside=(_ROTATION,))]
