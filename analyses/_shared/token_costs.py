"""What a policy costs token by token: divergence from dense, rise of loss, bytes left out, and what was known beforehand.

The prefix is dense under every policy, so a batch of texts passes it once; policies go on from its keys and values.
"""

import math
from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property

import torch
from torch import Tensor
from transformers import DynamicCache

from clada_neuro.calibration.loss import LIKELIEST, with_rest
from clada_neuro.models.loading import LanguageModel
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.policy import Policy
from clada_neuro.runtime.predictions import AT_ONCE, kept

Costs = dict[str, Tensor]


class Batch:
    """Texts of equal length, processed together.

    Every value that is found is ``(texts, n)``, n = length − prefix − 1, and belongs to processing the token at ``prefix`` + its place: ``divergence``,
    KL(dense ‖ policy) of what the token predicts, and ``rise`` of the next token's loss (nats); ``sparsity``; known before it are its ``surprisal``
    and the ``entropy`` (bits) and ``margin`` (nats, first over second) of the distribution it came from.

    Parameters
    ----------
    model : LanguageModel
    tokens : Tensor
        ``(texts, length)``.
    prefix : int
        Dense tokens at the start of each, the start token included.
    """

    def __init__(self, model: LanguageModel, tokens: Tensor, prefix: int) -> None:
        self.model, self.tokens, self.prefix = model.model, tokens, prefix
        self.count = tokens.shape[1] - prefix - 1

    @cached_property
    def _cache(self) -> DynamicCache:
        """Keys and values of the prefixes."""
        with torch.no_grad():
            found = self.model(self.tokens[:, : self.prefix], use_cache=True, logits_to_keep=1)
        return found.past_key_values

    @torch.no_grad()
    def dense(self) -> Costs:
        """Return what the dense model knows and predicts: with ``loss`` also ``index`` and ``log_p`` of its likeliest tokens."""
        with kept(self.model) as states:
            self.model(self.tokens, use_cache=False)
        rows, places = self._places(self.prefix - 1)
        parts = [
            _described(states.logits(row, place), self.tokens[row, place + 1], likeliest=True)
            for row, place in zip(rows.split(AT_ONCE), places.split(AT_ONCE), strict=True)
        ]
        found = _joined(parts, len(self.tokens))
        before = {name: found[name][:, :-1] for name in ("surprisal", "entropy", "margin")}
        after = {name: found[name][:, 1:] for name in ("index", "log_p")}
        return before | after | {"loss": found["surprisal"][:, 1:] * math.log(2)}

    @torch.no_grad()
    def under(self, policy: Policy, dense: Mapping[str, Tensor], signals: bool = False) -> Costs:
        """Return what a policy costs over `dense`; with ``signals`` also what was known before each token."""
        texts = len(self.tokens)
        cache = deepcopy(self._cache)
        with attach(self.model, policy) as session, kept(self.model) as states:
            session.begin(texts, torch.arange(texts))
            session.plan(
                torch.full((texts, self.count), policy.base_scale),
                torch.zeros(texts, self.count, dtype=torch.bool),
            )
            self.model(self.tokens[:, self.prefix : -1], past_key_values=cache, use_cache=True)
            sparsity = session.sparsity().mean(-1)
        rows, places = self._places(self.prefix)
        index = dense["index"].flatten(0, 1)
        parts = [
            _described(
                states.logits(row, place - self.prefix), self.tokens[row, place + 1], signals, of.long()
            )
            for row, place, of in zip(
                rows.split(AT_ONCE), places.split(AT_ONCE), index.split(AT_ONCE), strict=True
            )
        ]
        found = _joined(parts, texts)
        before, after = with_rest(dense["log_p"]), with_rest(found["log_p"])
        costs = {
            "divergence": (before.exp() * (before - after)).sum(-1),
            "rise": found["surprisal"] * math.log(2) - dense["loss"],
            "sparsity": sparsity,
        }
        for name in ("surprisal", "entropy", "margin") if signals else ():
            costs[name] = torch.cat([dense[name][:, :1], found[name][:, :-1]], dim=1)
        return costs

    def _places(self, first: int) -> tuple[Tensor, Tensor]:
        """Return row and position of every prediction from ``first`` on whose token is known."""
        wanted = torch.arange(first, self.tokens.shape[1] - 1)
        rows = torch.arange(len(self.tokens))
        return rows.repeat_interleave(len(wanted)), wanted.repeat(len(rows))


def _described(
    logits: Tensor, token: Tensor, signals: bool = True, index: Tensor | None = None, likeliest: bool = False
) -> Costs:
    """Return surprisal (bits) of the tokens ``(n,)``, log probabilities at ``index`` or of the likeliest, and on request entropy and margin."""
    logits = logits.float()
    log_z = logits.logsumexp(-1, keepdim=True)
    found = {"surprisal": (log_z - logits.gather(-1, token[:, None])).squeeze(-1) / math.log(2)}
    if likeliest:
        index = logits.topk(min(LIKELIEST, logits.shape[-1])).indices
        found["index"] = index.int()
    assert index is not None
    found["log_p"] = logits.gather(-1, index) - log_z
    if signals:
        p = (logits - log_z).exp()
        found["entropy"] = (log_z.squeeze(-1) - torch.linalg.vecdot(p, logits)) / math.log(2)
        two = logits.topk(2).values
        found["margin"] = two[:, 0] - two[:, 1]
    return found


def _joined(parts: list[Costs], texts: int) -> Costs:
    return {name: torch.cat([part[name] for part in parts]).unflatten(0, (texts, -1)) for name in parts[0]}
