"""Continuations of many prompts in lock step, with or without dense passes over what was written.

*Dense refresh* every n tokens: where a policy processes one token after the other, every nth token comes with the n − 1
before it in one dense pass, which writes their keys and values anew (after Sirius, Zhou et al. 2024, arXiv 2409.03856, without
its rolling back of tokens). That pass reads every weight once, as a dense token does, so that a policy of sparsity
s·n/(n − 1) between two such passes leaves out s of all bytes on average. It computes n tokens, which this does not count.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.policy import Policy

_AT_ONCE = 128  # positions whose distributions are in memory together
Draw = Callable[
    [Tensor, list[int]], Tensor
]  # from logits (batch, vocabulary) and prompts' numbers to tokens (batch,)


@dataclass(frozen=True)
class Start:
    """Prompts that were read densely but for their last token.

    Attributes
    ----------
    cache : DynamicCache
        Keys and values.
    real : Tensor
        Which places of the cache are tokens, ``(batch, places)``.
    last : Tensor
        The last tokens ``(batch,)``.
    """

    cache: Any
    real: Tensor
    last: Tensor


@dataclass
class Continuation:
    """What was written after a prompt.

    Attributes
    ----------
    tokens : list of int
    ffn_sparsity : list of float
        One a token that was read; 0 where a dense pass read it.
    predicted : list of Tensor
        The logits ``(vocabulary,)`` that each token was drawn from, where they were asked for.
    """

    tokens: list[int] = field(default_factory=list)
    ffn_sparsity: list[float] = field(default_factory=list)
    predicted: list[Tensor] = field(default_factory=list)


@torch.no_grad()
def read(model: PreTrainedModel, prompts: Sequence[Sequence[int]], shared: Sequence[int] = ()) -> Start:
    """Read prompts that all begin with ``shared`` tokens, which are read once."""
    cache = DynamicCache(config=model.config)
    if shared:
        model(torch.tensor([list(shared)]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(len(prompts))
    width = max(map(len, prompts)) - 1
    tokens = torch.tensor([[0] * (width + 1 - len(own)) + list(own[:-1]) for own in prompts])
    own = torch.arange(width) >= torch.tensor([width + 1 - len(own) for own in prompts])[:, None]
    real = torch.cat([torch.ones(len(prompts), len(shared), dtype=torch.bool), own], dim=1)
    if width:
        _pass(model, cache, real, tokens)
    return Start(cache, real, torch.tensor([own[-1] for own in prompts]))


@torch.no_grad()
def continued(
    model: PreTrainedModel,
    policy: Policy,
    start: Start,
    count: int,
    draw: Draw,
    *,
    seeds: Sequence[int],
    refresh: int = 0,
    goes_on: Callable[[int, list[int]], bool] = lambda prompt, tokens: True,
    keep: bool = False,
) -> list[Continuation]:
    """Write up to ``count`` tokens after every prompt under a policy.

    Parameters
    ----------
    seeds : sequence of int
        Of controls that draw their load, one a prompt.
    refresh : int
        Every so many tokens one dense pass over them; 0 for never.
    goes_on : callable
        Whether a prompt goes on, given its number and its tokens so far.
    keep : bool
        Whether to keep what the tokens were drawn from.
    """
    found = [Continuation() for _ in start.last]
    cache, real, active = copy.deepcopy(start.cache), start.real, list(range(len(found)))
    with attach(model, policy) as session:
        assert not policy.uses_prefix, "the prompts were read without the policy's statistics"
        session.begin(len(found), torch.tensor(seeds))
        real = _grown(real)
        logits = _pass(model, cache, real, start.last[:, None])
        for place in range(1, count + 1):
            token = draw(logits, active)
            for row, prompt in enumerate(active):
                found[prompt].tokens.append(int(token[row]))
                if keep:
                    found[prompt].predicted.append(logits[row].clone())
            going = [row for row, prompt in enumerate(active) if goes_on(prompt, found[prompt].tokens)]
            if place == count or not going:
                break
            if len(going) < len(active):
                index = torch.tensor(going)
                cache.batch_select_indices(index)
                session.reorder(index)
                real, token, active = real[index], token[index], [active[row] for row in going]
            session.drawn(token)
            real, new = _grown(real), token[:, None]
            if refresh and place % refresh == 0:
                session.cancel()
                cache.crop(-(refresh - 1))
                new = torch.tensor([found[prompt].tokens[-refresh:] for prompt in active])
            logits = _pass(model, cache, real, new)
            for prompt, share in zip(active, session.ffn_sparsity()[:, -1].mean(-1).tolist(), strict=True):
                found[prompt].ffn_sparsity.append(share)
    return found


@torch.no_grad()
def judged(
    model: PreTrainedModel, prompt: Sequence[int], written: Continuation
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what the dense model, reading all of it, says of each token that was written, in nats.

    Its surprisal, and how far the distribution that it was drawn from is from the dense one: KL(policy ‖ dense).
    """
    tokens = torch.tensor(written.tokens)
    whole = torch.cat([torch.tensor(prompt), tokens[:-1]])
    logits = model(whole[None], use_cache=False, logits_to_keep=len(tokens)).logits[0]
    surprisal, divergence = [], []
    for at in torch.arange(len(tokens)).split(_AT_ONCE):
        dense = logits[at].float().log_softmax(-1)
        own = torch.stack([written.predicted[place] for place in at.tolist()]).float().log_softmax(-1)
        surprisal.append(-dense.gather(1, tokens[at, None])[:, 0])
        divergence.append((own.exp() * (own - dense)).sum(-1))
    return torch.cat(surprisal).numpy(), torch.cat(divergence).numpy()


def between(sparsity: float, refresh: int) -> float:
    """Return the sparsity between dense passes that leaves out as many bytes on average as ``sparsity`` without them."""
    return sparsity * refresh / (refresh - 1) if refresh else sparsity


def departure(tokens: Sequence[int], reference: Sequence[int]) -> int | None:
    """Return how many tokens two continuations share before they first differ; None where they do not."""
    pairs = enumerate(zip(tokens, reference, strict=False))
    return next((place for place, (one, other) in pairs if one != other), None)


def _grown(real: Tensor) -> Tensor:
    return torch.cat([real, torch.ones_like(real[:, :1])], dim=1)


def _pass(model: PreTrainedModel, cache: Any, real: Tensor, tokens: Tensor) -> Tensor:
    """Process the last places of all that is ``real``; return logits ``(batch, vocabulary)`` of what follows."""
    positions = (real.long().cumsum(1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
    mask = (
        None if bool(real.all()) else real.long()
    )  # without one, heads share keys and values where they lie
    output = model(
        input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
        logits_to_keep=1,
    )  # fmt: skip
    return output.logits[:, -1]
