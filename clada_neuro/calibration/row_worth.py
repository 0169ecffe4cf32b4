"""What a row is worth to the prediction: gradients of the loss at all sites, and the loss of dropping rows.

With labels drawn from the model itself, the expected squared gradient g² is the diagonal of the Fisher information, and
dropping rows D of a token raises the KL divergence of its predictions by about ½·E[(Σ_{j∈D} v_j·g_j)²]. Row weights
are the root mean square of g; the loss of a site is that expectation at each share of dropped rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.models.registry import ffn_layers
from clada_neuro.passes.gradients import each_gradient
from clada_neuro.passes.measure import DENSE_PREFIX, quantile
from clada_neuro.runtime.policy import FFN_ONLY, SITES, rows

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_BATCH = 4


@dataclass(frozen=True)
class RowWorth:
    """Row weights and losses of all sites.

    Attributes
    ----------
    weights : dict of site to Tensor
        Root mean square gradient, ``(layers, rows)``.
    losses : dict of site to Tensor
        Rise of KL divergence in nats per token when a share of rows is dropped, ``(layers, len(SHARES))``.
    """

    weights: dict[str, Tensor]
    losses: dict[str, Tensor]


def sensitivity(
    model: PreTrainedModel,
    tokens: Tensor,
    seed: int,
    tick: Callable[[int], object],
    scope: str = FFN_ONLY,
) -> RowWorth:
    """Measure both on texts ``(texts, length)``: weights on all of them first, losses in a second run.

    ``tick`` is told how many tokens were done.
    """
    layers = ffn_layers(model)
    sites = SITES[scope]
    weights = {site: torch.zeros(len(layers), rows(layers[0], site), device=tokens.device) for site in sites}
    losses = {site: torch.zeros(len(layers), len(SHARES), device=tokens.device) for site in sites}

    def add_weight(site: str, layer: int, values: Tensor, gradient: Tensor) -> None:
        weights[site][layer] += gradient.square().sum((0, 1))

    def add_loss(site: str, layer: int, values: Tensor, gradient: Tensor) -> None:
        scores = values.abs() * weights[site][layer]
        for place, share in enumerate(SHARES):
            dropped = scores < quantile(scores, share)
            losses[site][layer, place] += (values * gradient * dropped).sum(-1).square().sum() / 2

    count = len(tokens) * (tokens.shape[1] - DENSE_PREFIX)
    each_gradient(model, layers, tokens, _drawn(seed), add_weight, tick, batch=_BATCH, sites=sites)
    for site in sites:
        weights[site] = (weights[site] / count).sqrt()
    each_gradient(model, layers, tokens, _drawn(seed + 1), add_loss, tick, batch=_BATCH, sites=sites)
    return RowWorth(weights, {site: loss / count for site, loss in losses.items()})


def _drawn(seed: int) -> Callable[[Tensor], Tensor]:
    """Draw labels from the model's predictions."""
    generator = torch.Generator().manual_seed(seed)

    def label(logits: Tensor) -> Tensor:
        p = logits.softmax(-1).cpu()
        return torch.multinomial(p, 1, generator=generator).squeeze(1).to(logits.device)

    return label
