"""Score answers after shared contexts, under many policies.

One protocol: the context is a dense prefix, its last token (``answer``) or its second half (``middle``) and the answer
are processed under the policy. The dense prefix does not depend on the policy, so its keys, values and prefix
statistics are computed once for all policies and all answers; what a policy does with the rest of the context is
computed once for all answers. Where model and policy allow it, texts are read as token trees
(`clada_neuro.evaluation.branched`), else as padded rows (`clada_neuro.evaluation.padded`).

Load is taken from the pass without load (`clada_neuro.runtime.fixed_point`); reanalysed tokens are dense but do not
refresh the prefix statistics. The prediction of an answer's first token is what stepping gives; for later ones
thresholds differ by less than a per cent, and the few rows that this keeps or drops move the log-probability of
unlikely answers by a few tenths of a nat.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.evaluation.branched import Branched, reads_branches
from clada_neuro.evaluation.padded import Padded, together
from clada_neuro.evaluation.requests import Answered, AnswersRead, Parts, Request, Signals, whole
from clada_neuro.models.limits import check_length, check_vocabulary, sliding_window
from clada_neuro.models.rotation import regime
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.fixed_point import scheduled
from clada_neuro.runtime.policy import Policy

STARTS = ("answer", "middle")
CONTEXT_TOKENS = (
    2048  # of a batch, padding included: few, so that contexts of one batch are of similar length
)


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
            lengths.setdefault((length, regime(model, whole(requests[place]))), []).append(place)
        parts += lengths.values()
    return parts


def _padding_is_out_of_sight(requests: Sequence[Request], model: PreTrainedModel) -> bool:
    """Return whether contexts may be padded: a sliding window counts places of the cache, padding included.

    Padding stands after the dense prefix and after the rest of the context, each at most as long as the longest context.
    """
    window = sliding_window(model)
    contexts = [len(request.context) for request in requests]
    answers = [len(answer) for request in requests for answer in request.answers]
    return window is None or len(set(contexts)) == 1 or 2 * max(contexts) + max(answers, default=0) <= window


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
        lengths = [whole(request) for request in requests]
        if len({regime(model, tokens) for tokens in lengths}) > 1:
            raise ModelError(
                f"contexts of {min(lengths)} to {max(lengths)} tokens with their answers are rotated differently by "
                "this model; give those of one rotation"
            )
        first = [max(1, len(ids) - 1 if start == "answer" else len(ids) // 2) for ids in contexts]
        self.model, self._parts = model, Parts(requests, first, model.device)
        self._read_as: dict[type, Branched | Padded] = {}

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
        found = self._reader(policy).read(policy, scale, answer_scale)
        parts = self._parts
        follows = parts.context.lengths > 0
        last = torch.zeros(len(parts.counts), device=scale.device)
        last[follows] = scale[parts.context.ends]
        affected = torch.cat([last[parts.parents, None], answer_scale], dim=1) != 0
        results = self._found(found, affected & bool(policy.sites))
        return results, Signals(found.context, found.answer[:2])

    def _reader(self, policy: Policy) -> Branched | Padded:
        """Return what reads for a policy; the dense prefixes are read when first needed."""
        kind = Branched if reads_branches(self.model, policy) else Padded
        if kind not in self._read_as:
            self._read_as[kind] = kind(self.model, self._parts)
        return self._read_as[kind]

    def _scales(self, policy: Policy, signals: Signals | None) -> tuple[Tensor, Tensor]:
        """Return the threshold scale of every policy token of contexts and of answers; 0 where there is padding."""
        context = torch.where(self._parts.context.real, policy.base_scale, 0.0)
        place = torch.arange(self._parts.answer.real.shape[1] - 1, device=context.device)
        answer = torch.where(place < self._parts.input_lengths[:, None], policy.base_scale, 0.0)
        if not policy.sequential:
            return context, answer
        if signals is None or not isinstance(policy, Clada):
            raise ModelError(
                f"policy '{policy.name}' depends on its own predictions; give the signals it takes"
            )
        lengths, inputs = self._parts.context.lengths.tolist(), self._parts.input_lengths.tolist()
        seeds = self._parts.seeds.tolist()
        for row, parent in enumerate(self._parts.parents.tolist()):
            begin, end = lengths[parent], inputs[row]
            path = torch.cat([signals.context[:, parent, :begin], signals.answer[:, row, :end]], dim=1)
            scale = scheduled(policy, path[0], path[1], 0, seeds[parent])
            context[parent, :begin], answer[row, :end] = scale[:begin], scale[begin:]
        return context, answer

    def _found(self, read: AnswersRead, affected: Tensor) -> list[list[Answered]]:
        parts, real = self._parts, self._parts.answer.real
        log_prob = -(read.answer[0].cpu().double() * real.cpu()).sum(1) * math.log(2)
        greedy = (read.answer[2].bool() | ~real).all(1)
        processed = parts.context.lengths[parts.parents] + parts.input_lengths
        columns = (
            log_prob,
            greedy,
            parts.answer.lengths,
            (affected & real).sum(1),
            processed,
            *(read.skipped / processed.clamp_min(1)),
        )
        found = iter([Answered(*values) for values in zip(*(c.tolist() for c in columns), strict=True)])
        return [[next(found) for _ in range(count)] for count in parts.counts]
