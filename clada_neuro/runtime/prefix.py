"""What the sequence so far says about which neurons matter.

GRIFFIN's score (Dong, Chen & Chi 2024, arXiv 2404.01365): over the tokens of the prefix, s_i² = Σ_t a_ti² / ‖a_t‖².
Here the mean over tokens is kept instead of the sum, which ranks alike and lets later, densely computed tokens
refresh it as a moving average.

GLASS (arXiv 2508.14302) adds what a model's neurons do on any text: ranks of the sequence's score and of a calibrated
prior are averaged. `standardized_rank` turns the result into z_i with mean 0 and variance 1.
"""

import torch
from torch import Tensor

REFRESH_WEIGHT = 0.1  # least weight of a newly computed token in the moving average


class Prefix:
    """Per-sequence neuron scores s² of every layer, from densely computed tokens only."""

    def __init__(self, batch: int, device: torch.device | str = "cpu") -> None:
        self.batch = batch
        self.device = torch.device(device)
        self._score: dict[int, Tensor] = {}
        self._count: dict[int, Tensor] = {}
        self._rank: dict[int, Tensor] = {}

    def update(self, layer: int, a: Tensor, counted: Tensor) -> None:
        """Take in hidden activations ``(batch, seq, intermediate)`` where ``counted (batch, seq)`` is true."""
        new = counted.sum(1)
        if not bool(new.any()):
            return
        energy = a.float().square()
        share = energy / energy.sum(-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        mean = (share * counted[..., None]).sum(1) / new.clamp_min(1)[:, None]
        count = self._count.get(layer, torch.zeros_like(new))
        score = self._score.get(layer, torch.zeros_like(mean))
        weight = torch.where(
            count == 0, 1.0, torch.maximum(new / (count + new), 1 - (1 - REFRESH_WEIGHT) ** new)
        )
        weight = torch.where(new == 0, 0.0, weight)[:, None]
        self._score[layer] = score + weight * (mean - score)
        self._count[layer] = count + new
        self._rank.pop(layer, None)

    def score(self, layer: int) -> Tensor:
        """Return s² ``(batch, intermediate)``."""
        return self._score[layer]

    def standardized_rank(self, layer: int, prior: Tensor | None = None) -> Tensor:
        """Return z ``(batch, intermediate)``: rank of s², averaged with the rank of ``prior (intermediate,)``.

        A sequence without counted tokens takes the prior's rank alone, or zeros.
        """
        if layer not in self._rank:
            self._rank[layer] = self._aggregate(layer, prior)
        return self._rank[layer]

    def _aggregate(self, layer: int, prior: Tensor | None) -> Tensor:
        local = standardize(ranks(self._score[layer])) if layer in self._score else None
        general = None if prior is None else standardize(ranks(prior))[None]
        if local is None:
            return torch.zeros(self.batch, 1, device=self.device) if general is None else general
        if general is None:
            return local
        known = (self._count[layer] > 0)[:, None]
        return torch.where(known, standardize(local + general), general)

    def reorder(self, index: Tensor) -> None:
        """Keep the sequences of ``index``, in that order."""
        self.batch = len(index)
        for table in (self._score, self._count, self._rank):
            for layer, value in table.items():
                table[layer] = value[index] if len(value) > 1 else value


def ranks(score: Tensor) -> Tensor:
    """Return ranks from 0 (smallest) along the last dimension; ties in order of position."""
    order = score.argsort(dim=-1, stable=True)
    rank = torch.empty_like(order)
    rank.scatter_(-1, order, torch.arange(score.shape[-1], device=score.device).expand_as(order))
    return rank.float()


def standardize(values: Tensor) -> Tensor:
    """Return values with mean 0 and variance 1 along the last dimension."""
    centered = values - values.mean(-1, keepdim=True)
    return centered / centered.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-12)
