"""What a policy fits with in the calibration passes: texts, and tables with one row for every sparsity of a grid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.models.ffn import FFN
from clada_neuro.passes.measure import FittedPass, fit_thresholds
from clada_neuro.passes.pieces import Piece, Pieces
from clada_neuro.runtime.policy import FFN_ONLY
from clada_neuro.runtime.thresholds import ThresholdPolicy, norms

GRID = (0.2, 0.3, 0.4, 0.5)  # sparsity at which tables are fitted


@dataclass(frozen=True)
class Passes:
    """Passes over the texts of one calibration.

    Attributes
    ----------
    model : transformers.PreTrainedModel
    layers : list of FFN
    tokens : Tensor
        ``(texts, length)``.
    pieces : Store of Piece
        Keeps every piece of work.
    tick : callable
        Told how many tokens were processed.
    scope : str
        What sparsity is a share of: feed-forward blocks, or those and attention.
    more : Tensor or None
        Further texts ``(texts, length)``, for what takes many.
    """

    model: PreTrainedModel
    layers: list[FFN]
    tokens: Tensor
    pieces: Pieces
    tick: Callable[[int], object]
    scope: str = FFN_ONLY
    more: Tensor | None = None

    @property
    def many(self) -> Tensor:
        """All texts that may be read."""
        return self.tokens if self.more is None else torch.cat([self.tokens, self.more])

    @cached_property
    def norms(self) -> dict[str, Tensor]:
        """Norms of the weight columns, ``(layers, rows)`` a site."""
        return norms(self.layers, self.scope)

    def thresholds(
        self,
        sites: tuple[str, ...],
        choose: Callable[[int, str, Tensor], Tensor],
        weights: Mapping[str, Tensor] | None = None,
        *,
        compensated: bool = False,
        like: ThresholdPolicy | None = None,
    ) -> FittedPass:
        """Find thresholds block by block (`clada_neuro.passes.measure.fit_thresholds`)."""
        found = fit_thresholds(
            self.model,
            self.layers,
            self.tokens,
            sites,
            choose,
            weights or {},
            compensated=compensated,
            like=like,
        )
        self.tick(self.tokens.numel())
        return found

    def piece(self, name: str, compute: Callable[[], Piece]) -> Piece:
        """Return a piece of work, from disk when it was done before."""
        return self.pieces.once(name, compute)

    def at_each_sparsity(
        self, policy: str, fit: Callable[[float], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Return the tables of a policy, ``{policy}_{key}``, one row a sparsity of `GRID`."""
        rows = [
            self.piece(f"{policy}-{sparsity}", partial(lambda one: ({}, fit(one)), sparsity))[1]
            for sparsity in GRID
        ]
        return {f"{policy}_{key}": torch.stack([row[key] for row in rows]) for key in rows[0]}
