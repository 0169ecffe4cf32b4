"""Thresholds of a model without calibration: quantiles of its own scores on a passage, for when only speed counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.models.ffn import FFN
from clada_neuro.models.registry import ffn_layers
from clada_neuro.models.watching import watching
from clada_neuro.runtime.policy import ALL, FFN_ONLY, HIDDEN, INPUT, OUT, QKV
from clada_neuro.runtime.thresholds import norms, score

# Share of rows dropped at a site for each unit of the scope's sparsity, as calibrations of SmolLM2 have it.
_SPLIT = {
    FFN_ONLY: {INPUT: 0.75, HIDDEN: 1.5},
    ALL: {QKV: 0.92, OUT: 1.1, INPUT: 0.82, HIDDEN: 1.37},
}


@dataclass(frozen=True, eq=False)
class Passage:
    """A model, a text, and how much is to be left out of it.

    Attributes
    ----------
    model : transformers.PreTrainedModel
    ids : Tensor
        ``(tokens,)``.
    sparsity : float
        The wanted share of weight bytes not read, of what the scope is.
    load : Tensor or None
        A recorded load λ, one value a token, for models whose own predictions mean nothing.
    scope : {"ffn", "all"}
    """

    model: PreTrainedModel
    ids: Tensor
    sparsity: float
    load: Tensor | None = None
    scope: str = FFN_ONLY

    @cached_property
    def layers(self) -> list[FFN]:
        """The model's blocks."""
        return ffn_layers(self.model)

    @cached_property
    def norms(self) -> dict[str, Tensor]:
        """Norms of the weight columns, ``(layers, rows)`` a site."""
        return norms(self.layers, self.scope)

    @property
    def dropped(self) -> dict[str, Tensor]:
        """Shares of rows ``(layers,)`` that meet the sparsity, the same in every layer, split as in SmolLM2."""
        split = _SPLIT[self.scope]
        return {
            site: torch.full((len(self.layers),), min(1.0, part * self.sparsity))
            for site, part in split.items()
        }

    def thresholds(self, dropped: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return thresholds ``(layers,)`` that drop the given shares of rows, the first token left out."""
        table = {site: torch.zeros(len(share), device=self.ids.device) for site, share in dropped.items()}

        def note(site: str, ffn: FFN, values: Tensor) -> None:
            scores = score(values[0, 1:], weights, ffn.layer, site)
            rank = max(1, round(float(dropped[site][ffn.layer]) * scores.numel()))
            table[site][ffn.layer] = scores.flatten().kthvalue(rank).values

        names = {INPUT: "x", HIDDEN: "a", QKV: "qkv", OUT: "out"}
        seen = {names[site]: partial(note, site) for site in table}
        with watching(self.layers, **seen), torch.no_grad():
            self.model(self.ids[None])
        return table
