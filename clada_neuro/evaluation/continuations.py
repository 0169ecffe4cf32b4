"""Score answers after shared contexts, under many policies.

One protocol: the context is a dense prefix, its last token (``answer``) or its second half (``middle``) and the answer
are processed under the policy. The dense prefix does not depend on the policy, so its keys, values and prefix
statistics are computed once for all policies and all answers; what a policy does with the rest of the context is
computed once for all answers.

Load is taken from the pass without load (`clada_neuro.runtime.fixed_point`); reanalysed tokens are dense but do not
refresh the prefix statistics. The prediction of an answer's first token is what stepping gives; for later ones
thresholds differ by less than a per cent, and the few rows that this keeps or drops move the log-probability of
unlikely answers by a few tenths of a nat.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.models.limits import check_length, check_vocabulary, sliding_window
from clada_neuro.models.rotation import regime, rotated_for
from clada_neuro.policies.griffin import Griffin
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.cognitive_load import surprisal_and_entropy
from clada_neuro.runtime.fixed_point import scheduled
from clada_neuro.runtime.policy import Policy
from clada_neuro.runtime.session import Session

STARTS = ("answer", "middle")
CONTEXT_TOKENS = (
    2048  # of a batch, padding included: few, so that contexts of one batch are of similar length
)
ANSWER_TOKENS = 512  # of answers that pass together, padding included: enough to keep a processor busy
LOGITS_AT_ONCE = 256  # predictions that are turned into probabilities together


@dataclass(frozen=True)
class Request:
    """Answers that share a context, as token ids; ``seed`` serves the random controls."""

    context: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    seed: int = 0


@dataclass(frozen=True)
class Answered:
    """One answer under one policy.

    Attributes
    ----------
    log_prob : float
        Of the answer after its context, nats.
    greedy : bool
        Whether every token is the most probable one.
    tokens, affected : int
        Of the answer; and those among them whose prediction comes from a token processed under the policy.
    policy_tokens : int
        Tokens processed under the policy, in context and answer.
    ffn_sparsity : float
        Mean over these of the share of feed-forward weight bytes not read.
    sparsity : float
        The same of what the policy's scope is.
    """

    log_prob: float
    greedy: bool
    tokens: int
    affected: int
    policy_tokens: int
    ffn_sparsity: float
    sparsity: float


@dataclass(frozen=True)
class Signals:
    """Surprisal and entropy (first dimension) in bits, of policy tokens of contexts and of answers, padded."""

    context: Tensor
    answer: Tensor


def together(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return positions of sequences of similar length, longest first, about ``budget`` tokens with padding each."""
    found: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if found and (len(found[-1]) + 1) * lengths[found[-1][0]] <= budget:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def batches(requests: Sequence[Request], model: PreTrainedModel) -> list[list[int]]:
    """Return positions of requests whose contexts are read together; of one length where padding would count.

    All are rotated alike (`clada_neuro.models.rotation`).
    """
    found = together([len(request.context) for request in requests], CONTEXT_TOKENS)
    parts: list[list[int]] = []
    for batch in found:
        apart = not _padding_is_out_of_sight([requests[row] for row in batch], model)
        lengths: dict[tuple[int, int], list[int]] = {}
        for place in batch:
            length = len(requests[place].context) if apart else 0
            lengths.setdefault((length, regime(model, _whole(requests[place]))), []).append(place)
        parts += lengths.values()
    return parts


def _whole(request: Request) -> int:
    """Return the length of the context with its longest answer."""
    return len(request.context) + max(map(len, request.answers), default=0)


def _padding_is_out_of_sight(requests: Sequence[Request], model: PreTrainedModel) -> bool:
    """Return whether contexts may be padded: a sliding window counts places of the cache, padding included.

    Padding stands after the dense prefix and after the rest of the context, each at most as long as the longest context.
    """
    window = sliding_window(model)
    contexts = [len(request.context) for request in requests]
    answers = [len(answer) for request in requests for answer in request.answers]
    return window is None or len(set(contexts)) == 1 or 2 * max(contexts) + max(answers, default=0) <= window


class _Rows:
    """Token sequences, padded on the right."""

    def __init__(self, sequences: Sequence[Sequence[int]], device: torch.device) -> None:
        self.lengths = torch.tensor([len(tokens) for tokens in sequences], device=device)
        texts = [torch.tensor(tokens, dtype=torch.long, device=device) for tokens in sequences]
        self.tokens = pad_sequence(texts, batch_first=True)
        self.real = torch.arange(self.tokens.shape[1], device=device) < self.lengths[:, None]

    @property
    def ends(self) -> Tensor:
        """Where each sequence has its last token."""
        return torch.arange(self.real.shape[1], device=self.real.device) == self.lengths[:, None] - 1


@dataclass(frozen=True)
class _Seen:
    """Keys and values of earlier tokens, and which columns hold real ones ``(rows, columns)``."""

    cache: DynamicCache
    real: Tensor

    def fork(self, rows: Tensor | None = None) -> "_Seen":
        """Return a state that may grow without changing this one, of some rows."""
        cache = copy.copy(self.cache)
        # Layers replace their tensors when they grow, so that forks share memory until then.
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        if rows is None:
            return _Seen(cache, self.real)
        cache.batch_select_indices(rows)
        return _Seen(cache, self.real[rows])


class Contexts:
    """A batch of contexts after their dense prefix.

    Where rotary positions follow the length of a text, all answers to a context are rotated as the longest one asks.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    requests : sequence of Request
    start : {"answer", "middle"}
        Where in the context the policy sets in: at its last token, or in the middle. The first token is always dense,
        so that a context of one token leaves the prediction of the answer's first token to the dense model.

    Raises
    ------
    ModelError
        For another start, a context or answer without tokens, both together longer than the model reads, contexts of
        unequal lengths beyond a sliding window, or contexts that are rotated differently (see `batches`).
    """

    @torch.no_grad()
    def __init__(self, model: PreTrainedModel, requests: Sequence[Request], start: str = "answer") -> None:
        contexts = [request.context for request in requests]
        answers = [answer for request in requests for answer in request.answers]
        if start not in STARTS:
            raise ModelError(f"start '{start}' given, one of {', '.join(STARTS)} expected")
        if not all(contexts) or not all(answers):
            raise ModelError("a context or an answer has no token, at least one expected")
        for request in requests:
            for answer in request.answers:
                what = f"a context of {len(request.context)} tokens with an answer of {len(answer)}"
                # Nothing follows the answer's last token, which is not read.
                check_length(model, len(request.context) + len(answer) - 1, what, "shorten it")
                check_vocabulary(model, request.context + answer, what)
        if not _padding_is_out_of_sight(requests, model):
            raise ModelError(
                f"contexts of {min(map(len, contexts))} to {max(map(len, contexts))} tokens together exceed the sliding "
                f"window of {sliding_window(model)}, in which padding would count; give contexts of one length"
            )
        whole = [_whole(request) for request in requests]
        if len({regime(model, tokens) for tokens in whole}) > 1:
            raise ModelError(
                f"contexts of {min(whole)} to {max(whole)} tokens with their answers are rotated differently by "
                "this model; give those of one rotation"
            )
        self._longest = max(whole)
        first = [max(1, len(ids) - 1 if start == "answer" else len(ids) // 2) for ids in contexts]
        self.model, device = model, model.device
        self._counts = [len(request.answers) for request in requests]
        self._seeds = torch.tensor([request.seed for request in requests], device=device)
        self._parents = torch.arange(len(requests), device=device).repeat_interleave(
            torch.tensor(self._counts, device=device)
        )
        prefix = _Rows([ids[:begin] for ids, begin in zip(contexts, first, strict=True)], device)
        self._context = _Rows([ids[begin:] for ids, begin in zip(contexts, first, strict=True)], device)
        self._answer = _Rows(answers, device)
        inputs = [answer[:-1] for answer in answers]  # nothing follows the last token
        self._input_lengths = torch.tensor([len(ids) for ids in inputs], device=device)
        self._groups = [
            (torch.tensor(rows, device=device), _Rows([inputs[row] for row in rows], device))
            for rows in together([len(ids) for ids in inputs], ANSWER_TOKENS)
            if inputs[rows[0]]
        ]
        # Any policy that reads the prefix gathers its statistics; they do not depend on which.
        with attach(model, Griffin()) as session, rotated_for(model, self._longest):
            session.begin(len(requests))
            self._opening, self._seen = self._pass(prefix, None, prefix.ends)
            self._statistics = session.state.prefix
        self._follows = self._context.lengths > 0  # which contexts have tokens left for the policy

    @torch.no_grad()
    def run(self, policy: Policy, signals: Signals | None = None) -> tuple[list[list[Answered]], Signals]:
        """Score the answers under a policy.

        Parameters
        ----------
        policy : Policy
        signals : Signals, optional
            Where a policy with load takes it from: what the policy without load returned.

        Returns
        -------
        list of list of Answered
            Of each request, its answers.
        Signals

        Raises
        ------
        ModelError
            If the policy needs signals and none are given.
        """
        scale, answer_scale = self._scales(policy, signals)
        with attach(self.model, policy) as session, rotated_for(self.model, self._longest):
            session.begin(len(self._counts), self._seeds)
            session.state.prefix = copy.deepcopy(self._statistics)
            seen, skipped = self._seen.fork(), torch.zeros(2, len(self._counts), device=self.model.device)
            logits = self._opening[:0]
            if self._follows.any():
                _plan(session, scale)
                logits, seen = self._pass(self._context, seen, self._context.real)
                skipped = _totals(session, self._context)
            read, answer_read = self._read_context(logits)
            skipped = skipped[:, self._parents]
            after_context = session.state
            for rows, tokens in self._groups:
                parents, width = self._parents[rows], tokens.real.shape[1]
                session.state = copy.deepcopy(after_context)
                policy.reorder(session.state, parents)
                _plan(session, answer_scale[rows, :width])
                logits, _ = self._pass(tokens, seen.fork(parents), tokens.real)
                skipped[:, rows] += _totals(session, tokens)
                found = torch.zeros(3, *tokens.real.shape, device=logits.device)
                found[:, tokens.real] = _read(logits, self._answer.tokens[rows, 1 : width + 1][tokens.real])
                answer_read[:, rows, 1 : width + 1] = found
        last = torch.zeros(len(self._counts), device=scale.device)
        last[self._follows] = scale[self._context.ends]
        affected = torch.cat([last[self._parents, None], answer_scale], dim=1) != 0
        results = self._found(answer_read, affected & bool(policy.sites), skipped)
        return results, Signals(read, answer_read[:2])

    def _scales(self, policy: Policy, signals: Signals | None) -> tuple[Tensor, Tensor]:
        """Return the threshold scale of every policy token of contexts and of answers; 0 where there is padding."""
        context = torch.where(self._context.real, policy.base_scale, 0.0)
        place = torch.arange(self._answer.real.shape[1] - 1, device=context.device)
        answer = torch.where(place < self._input_lengths[:, None], policy.base_scale, 0.0)
        if not policy.sequential:
            return context, answer
        if signals is None or not isinstance(policy, Clada):
            raise ModelError(
                f"policy '{policy.name}' depends on its own predictions; give the signals it takes"
            )
        lengths, inputs = self._context.lengths.tolist(), self._input_lengths.tolist()
        seeds = self._seeds.tolist()
        for row, parent in enumerate(self._parents.tolist()):
            begin, end = lengths[parent], inputs[row]
            path = torch.cat([signals.context[:, parent, :begin], signals.answer[:, row, :end]], dim=1)
            scale = scheduled(policy, path[0], path[1], 0, seeds[parent])
            context[parent, :begin], answer[row, :end] = scale[:begin], scale[begin:]
        return context, answer

    def _read_context(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return surprisal and entropy at the context's policy tokens, and what is known of the answers' first ones."""
        ends, real, tokens = self._context.ends[self._context.real], self._context.real, self._context.tokens
        context = torch.zeros(2, *real.shape, device=logits.device)
        first = _read(self._opening[self._follows], tokens[self._follows, :1].flatten())
        context[:, self._follows, :1] = first[:2, :, None]
        context[:, :, 1:][:, real[:, 1:]] = _read(logits[~ends], tokens[:, 1:][real[:, 1:]])[:2]
        last = self._opening.clone()
        last[self._follows] = logits[ends]
        answer = torch.zeros(3, *self._answer.tokens.shape, device=logits.device)
        answer[:, :, 0] = _read(last[self._parents], self._answer.tokens[:, 0])
        return context, answer

    def _found(self, read: Tensor, affected: Tensor, skipped: Tensor) -> list[list[Answered]]:
        real = self._answer.real
        log_prob = -(read[0].cpu().double() * real.cpu()).sum(1) * math.log(2)
        greedy = (read[2].bool() | ~real).all(1)
        processed = self._context.lengths[self._parents] + self._input_lengths
        columns = (
            log_prob,
            greedy,
            self._answer.lengths,
            (affected & real).sum(1),
            processed,
            *(skipped / processed.clamp_min(1)),
        )
        found = iter([Answered(*values) for values in zip(*(c.tolist() for c in columns), strict=True)])
        return [[next(found) for _ in range(count)] for count in self._counts]

    def _pass(self, rows: _Rows, seen: "_Seen | None", asked: Tensor) -> tuple[Tensor, "_Seen"]:
        """Process rows after what was seen; return logits ``(n, vocabulary)`` at the asked positions, row by row."""
        if seen is None:
            seen = _Seen(DynamicCache(config=self.model.config), rows.real[:, :0])
        real = torch.cat([seen.real, rows.real], dim=1)
        # Padding repeats the last position: the next ones may lie beyond what the model reads.
        position = (real.cumsum(1) - 1).clamp_min(0)[:, seen.real.shape[1] :]
        with _only(self.model, asked):
            logits = self.model(
                input_ids=rows.tokens,
                attention_mask=real.long(),
                position_ids=position,
                past_key_values=seen.cache,
                use_cache=True,
            ).logits
        return logits[0], _Seen(seen.cache, real)


def _plan(session: Session, scale: Tensor) -> None:
    session.plan(scale, counted=torch.zeros_like(scale, dtype=torch.bool))


def _totals(session: Session, rows: _Rows) -> Tensor:
    """Return the sums over each row's tokens of the last pass's mean `ffn_sparsity` and `sparsity`, ``(2, rows)``."""
    shares = torch.stack([session.ffn_sparsity(), session.sparsity()])
    return (shares.mean(-1) * rows.real).sum(-1)


def _read(logits: Tensor, targets: Tensor) -> Tensor:
    """Return surprisal, entropy and whether the target is the most probable token, ``(3, n)``."""
    parts = [
        torch.stack([*surprisal_and_entropy(part, target), (part.argmax(-1) == target).float()])
        for part, target in zip(logits.split(LOGITS_AT_ONCE), targets.split(LOGITS_AT_ONCE), strict=True)
    ]
    return torch.cat(parts, dim=1)


@contextmanager
def _only(model: PreTrainedModel, asked: Tensor) -> Iterator[None]:
    """Let the output layer see the asked positions alone: logits are (1, positions, vocabulary)."""

    def select(_: torch.nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0][asked][None],)

    handle = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()
