"""Contexts and answers as rows of a batch, padded on the right: what every model can read, and every policy."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from clada_neuro.evaluation.asked_only import asked_only
from clada_neuro.evaluation.requests import AnswersRead, Parts, Rows, predicted
from clada_neuro.models.rotation import rotated_for
from clada_neuro.policies.griffin import Griffin
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.policy import Policy
from clada_neuro.runtime.session import Session

ANSWER_TOKENS = 512  # of answers that pass together, padding included: enough to keep a processor busy


def together(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return positions of sequences of similar length, longest first, about ``budget`` tokens with padding each."""
    found: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if found and (len(found[-1]) + 1) * lengths[found[-1][0]] <= budget:
            found[-1].append(place)
        else:
            found.append([place])
    return found


@dataclass(frozen=True)
class _Seen:
    """Keys and values of earlier tokens, and which columns hold real ones ``(rows, columns)``."""

    cache: DynamicCache
    real: Tensor

    def fork(self, rows: Tensor | None = None) -> "_Seen":
        """Return a state that may grow without changing this one, of some rows."""
        cache = forked(self.cache)
        if rows is None:
            return _Seen(cache, self.real)
        cache.batch_select_indices(rows)
        return _Seen(cache, self.real[rows])


def forked(cache: DynamicCache) -> DynamicCache:
    """Return a cache that may grow without changing this one."""
    other = copy.copy(cache)
    # Layers replace their tensors when they grow, so that forks share memory until then.
    other.layers = [copy.copy(layer) for layer in cache.layers]
    return other


class Padded:
    """A batch of contexts after their dense prefix, and the prefix statistics of each."""

    def __init__(self, model: PreTrainedModel, parts: Parts) -> None:
        self.model, self.parts, device = model, parts, model.device
        lengths = [len(ids) for ids in parts.inputs]
        self._groups = [
            (torch.tensor(rows, device=device), Rows([parts.inputs[row] for row in rows], device))
            for rows in together(lengths, ANSWER_TOKENS)
            if parts.inputs[rows[0]]
        ]
        prefix = Rows(parts.prefixes, device)
        # Any policy that reads the prefix gathers its statistics; they do not depend on which.
        with attach(model, Griffin()) as session, rotated_for(model, parts.longest):
            session.begin(len(parts.counts))
            self._opening, self._seen = self._pass(prefix, None, prefix.ends)
            self._statistics = session.state.prefix
        self._follows = parts.context.lengths > 0  # which contexts have tokens left for the policy

    def read(self, policy: Policy, scale: Tensor, answer_scale: Tensor) -> AnswersRead:
        """Read the rest of the contexts and the answers under a policy, at given threshold scales."""
        parts = self.parts
        with attach(self.model, policy) as session, rotated_for(self.model, parts.longest):
            session.begin(len(parts.counts), parts.seeds)
            session.state.prefix = copy.deepcopy(self._statistics)
            seen, skipped = self._seen.fork(), torch.zeros(2, len(parts.counts), device=self.model.device)
            logits = self._opening[:0]
            if self._follows.any():
                _plan(session, scale)
                logits, seen = self._pass(parts.context, seen, parts.context.real)
                skipped = _totals(session, parts.context)
            context, answer = self._read_context(logits)
            skipped = skipped[:, parts.parents]
            after_context = session.state
            for rows, tokens in self._groups:
                parents, width = parts.parents[rows], tokens.real.shape[1]
                session.state = copy.deepcopy(after_context)
                policy.reorder(session.state, parents)
                _plan(session, answer_scale[rows, :width])
                logits, _ = self._pass(tokens, seen.fork(parents), tokens.real)
                skipped[:, rows] += _totals(session, tokens)
                found = torch.zeros(3, *tokens.real.shape, device=logits.device)
                found[:, tokens.real] = _each(logits, parts.answer.tokens[rows, 1 : width + 1][tokens.real])
                answer[:, rows, 1 : width + 1] = found
        return AnswersRead(context, answer, skipped)

    def _read_context(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return surprisal and entropy at the context's policy tokens, and what is known of the answers' first ones."""
        rows, parents = self.parts.context, self.parts.parents
        ends, real, tokens = rows.ends[rows.real], rows.real, rows.tokens
        context = torch.zeros(2, *real.shape, device=logits.device)
        first = _each(self._opening[self._follows], tokens[self._follows, :1].flatten())
        context[:, self._follows, :1] = first[:2, :, None]
        context[:, :, 1:][:, real[:, 1:]] = _each(logits[~ends], tokens[:, 1:][real[:, 1:]])[:2]
        last = self._opening.clone()
        last[self._follows] = logits[ends]
        answer = torch.zeros(3, *self.parts.answer.tokens.shape, device=logits.device)
        answer[:, :, 0] = predicted(last, parents, self.parts.answer.tokens[:, 0])
        return context, answer

    def _pass(self, rows: Rows, seen: _Seen | None, asked: Tensor) -> tuple[Tensor, _Seen]:
        """Process rows after what was seen; return logits ``(n, vocabulary)`` at the asked positions, row by row."""
        if seen is None:
            seen = _Seen(DynamicCache(config=self.model.config), rows.real[:, :0])
        real = torch.cat([seen.real, rows.real], dim=1)
        # Padding repeats the last position: the next ones may lie beyond what the model reads.
        position = (real.cumsum(1) - 1).clamp_min(0)[:, seen.real.shape[1] :]
        with asked_only(self.model, asked):
            logits = self.model(
                input_ids=rows.tokens,
                attention_mask=real.long(),
                position_ids=position,
                past_key_values=seen.cache,
                use_cache=True,
            ).logits
        return logits[0], _Seen(seen.cache, real)


def _each(logits: Tensor, targets: Tensor) -> Tensor:
    return predicted(logits, torch.arange(len(targets), device=logits.device), targets)


def _plan(session: Session, scale: Tensor) -> None:
    session.plan(scale, counted=torch.zeros_like(scale, dtype=torch.bool))


def _totals(session: Session, rows: Rows) -> Tensor:
    """Return the sums over each row's tokens of the last pass's mean `ffn_sparsity` and `sparsity`, ``(2, rows)``."""
    shares = torch.stack([session.ffn_sparsity(), session.sparsity()])
    return (shares.mean(-1) * rows.real).sum(-1)
