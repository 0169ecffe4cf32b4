"""What a row is worth to the prediction: gradients of the loss at both sites, and the loss of dropping rows.

With labels drawn from the model itself, the expected squared gradient g² is the diagonal of the Fisher information, and
dropping rows D of a token raises the KL divergence of its predictions by about ½·E[(Σ_{j∈D} v_j·g_j)²]. Row weights
are the root mean square of g; the loss of a site is that expectation at each share of dropped rows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from clada_neuro.models.ffn import FFN
from clada_neuro.models.registry import ffn_layers
from clada_neuro.models.watching import watching
from clada_neuro.passes.measure import DENSE_PREFIX, quantile
from clada_neuro.runtime.policy import HIDDEN, INPUT

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SITES = (INPUT, HIDDEN)
_BATCH = 4


@dataclass(frozen=True)
class RowWorth:
    """Row weights and losses of both sites.

    Attributes
    ----------
    weights : dict of site to Tensor
        Root mean square gradient, ``(layers, rows)``.
    losses : dict of site to Tensor
        Rise of KL divergence in nats per token when a share of rows is dropped, ``(layers, len(SHARES))``.
    """

    weights: dict[str, Tensor]
    losses: dict[str, Tensor]


def sensitivity(model: PreTrainedModel, tokens: Tensor, seed: int, tick: Callable[[int], object]) -> RowWorth:
    """Measure both on texts ``(texts, length)``: weights on all of them first, losses in a second run.

    ``tick`` is told how many tokens were done.
    """
    layers = ffn_layers(model)
    weights = {
        INPUT: torch.zeros(len(layers), layers[0].hidden_size, device=tokens.device),
        HIDDEN: torch.zeros(len(layers), layers[0].intermediate_size, device=tokens.device),
    }
    losses = {site: torch.zeros(len(layers), len(SHARES), device=tokens.device) for site in SITES}

    def add_weight(site: str, layer: int, values: Tensor, gradient: Tensor) -> None:
        weights[site][layer] += gradient.square().sum((0, 1))

    def add_loss(site: str, layer: int, values: Tensor, gradient: Tensor) -> None:
        scores = values.abs() * weights[site][layer]
        for place, share in enumerate(SHARES):
            dropped = scores < quantile(scores, share)
            losses[site][layer, place] += (values * gradient * dropped).sum(-1).square().sum() / 2

    count = len(tokens) * (tokens.shape[1] - DENSE_PREFIX)
    _each_gradient(model, layers, tokens, seed, add_weight, tick)
    for site in SITES:
        weights[site] = (weights[site] / count).sqrt()
    _each_gradient(model, layers, tokens, seed + 1, add_loss, tick)
    return RowWorth(weights, {site: loss / count for site, loss in losses.items()})


def _each_gradient(
    model: PreTrainedModel,
    layers: list[FFN],
    tokens: Tensor,
    seed: int,
    use: Callable[[str, int, Tensor, Tensor], None],
    tick: Callable[[int], object],
) -> None:
    """Call ``use`` with the values and loss gradients at every site, dense prefix left out."""
    generator = torch.Generator().manual_seed(seed)
    for batch in tokens.split(_BATCH):
        embedded = model.get_input_embeddings()(batch).detach().requires_grad_(True)
        with _gradients_at_sites(layers, batch.shape, use), torch.enable_grad():
            logits = model(inputs_embeds=embedded, use_cache=False).logits.float().flatten(0, 1)
            p = logits.detach().softmax(-1).cpu()
            drawn = torch.multinomial(p, 1, generator=generator).squeeze(1).to(logits.device)
            nn.functional.cross_entropy(logits, drawn, reduction="sum").backward()
        tick(batch.numel())


@contextmanager
def _gradients_at_sites(
    layers: list[FFN], shape: torch.Size, use: Callable[[str, int, Tensor, Tensor], None]
) -> Iterator[None]:
    def after_prefix(values: Tensor) -> Tensor:
        return values.reshape(*shape, -1)[:, DENSE_PREFIX:]

    def watch(site: str, ffn: FFN, values: Tensor) -> None:
        seen = after_prefix(values.detach())
        values.register_hook(lambda gradient: use(site, ffn.layer, seen, after_prefix(gradient)))

    with watching(layers, x=partial(watch, INPUT), a=partial(watch, HIDDEN)):
        yield
