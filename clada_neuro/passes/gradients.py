"""Gradients of the loss at the sites of a policy, for labels that are read off the model's own predictions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from clada_neuro.models.ffn import FFN
from clada_neuro.models.watching import watching
from clada_neuro.passes.measure import DENSE_PREFIX
from clada_neuro.runtime.policy import FFN_ONLY, HIDDEN, INPUT, OUT, QKV, SITES

Use = Callable[[str, int, Tensor, Tensor], object]


def each_gradient(
    model: PreTrainedModel,
    layers: Sequence[FFN],
    tokens: Tensor,
    label: Callable[[Tensor], Tensor],
    use: Use,
    tick: Callable[[int], object],
    *,
    batch: int,
    sites: tuple[str, ...] = SITES[FFN_ONLY],
) -> None:
    """Call ``use`` with the values and the gradients of the loss at every site, dense prefix left out.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    layers : sequence of FFN
    tokens : Tensor
        ``(texts, length)``.
    label : callable
        From logits ``(tokens, vocabulary)`` to the ids ``(tokens,)`` whose summed cross-entropy is the loss of a pass.
    use : callable
        Given site, layer, values and gradients, each ``(texts, length - DENSE_PREFIX, rows)``; ∂loss/∂values in nats.
    tick : callable
        Told how many tokens were done.
    batch : int
        Texts of a pass. In a token's gradient are its own loss and those of all later tokens of its text.
    sites : tuple of str
        Where x of attention is also that of the block (GPT-J, Phi), the gradients there are of both.
    """
    for texts in tokens.split(batch):
        embedded = model.get_input_embeddings()(texts).detach().requires_grad_(True)
        with _gradients_at_sites(layers, sites, texts.shape, use), torch.enable_grad():
            logits = model(inputs_embeds=embedded, use_cache=False).logits.float().flatten(0, 1)
            nn.functional.cross_entropy(logits, label(logits.detach()), reduction="sum").backward()
        tick(texts.numel())


@contextmanager
def _gradients_at_sites(
    layers: Sequence[FFN], sites: tuple[str, ...], shape: torch.Size, use: Use
) -> Iterator[None]:
    def after_prefix(values: Tensor) -> Tensor:
        return values.reshape(*shape, -1)[:, DENSE_PREFIX:]

    def watch(site: str, ffn: FFN, values: Tensor) -> None:
        seen = after_prefix(values.detach())
        values.register_hook(lambda gradient: use(site, ffn.layer, seen, after_prefix(gradient)))

    places = {INPUT: "x", HIDDEN: "a", QKV: "qkv", OUT: "out"}
    with watching(layers, **{places[site]: partial(watch, site) for site in sites}):
        yield
