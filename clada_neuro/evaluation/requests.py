"""What is scored, what comes of it, and the tables of tokens in between."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from clada_neuro.runtime.cognitive_load import surprisal_and_entropy

PREDICTIONS_AT_ONCE = 16  # turned into probabilities together: few enough to stay in a processor's cache


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


class Rows:
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


class Parts:
    """Requests in their parts.

    Attributes
    ----------
    prefixes : list of tuple of int
        What is read densely of each context.
    context : Rows
        The rest of each context, read under the policy.
    answer : Rows
        The answers, one request after the other.
    inputs : list of tuple of int
        What is read of each answer: nothing follows its last token.
    counts : list of int
        How many answers each request has.
    parents : Tensor
        The request of each answer.
    seeds : Tensor
        One a request.
    longest : int
        Tokens of the longest context with its answer.
    """

    def __init__(self, requests: Sequence[Request], first: Sequence[int], device: torch.device) -> None:
        answers = [answer for request in requests for answer in request.answers]
        self.prefixes = [request.context[:begin] for request, begin in zip(requests, first, strict=True)]
        self.context = Rows(
            [request.context[begin:] for request, begin in zip(requests, first, strict=True)], device
        )
        self.answer = Rows(answers, device)
        self.inputs = [answer[:-1] for answer in answers]
        self.input_lengths = torch.tensor([len(ids) for ids in self.inputs], device=device)
        self.counts = [len(request.answers) for request in requests]
        self.parents = torch.arange(len(requests), device=device).repeat_interleave(
            torch.tensor(self.counts, device=device)
        )
        self.seeds = torch.tensor([request.seed for request in requests], device=device)
        self.longest = max(map(whole, requests))


@dataclass(frozen=True)
class AnswersRead:
    """What a policy made of the parts.

    Attributes
    ----------
    context : Tensor
        Surprisal and entropy in bits of the contexts' policy tokens, ``(2, requests, tokens)``, 0 where there is padding.
    answer : Tensor
        The same of answers, and 1 where the token is the most probable one, ``(3, answers, tokens)``.
    skipped : Tensor
        Sums over each answer's policy tokens, those of its context among them, of ``ffn_sparsity`` and of the share of
        the policy's scope, ``(2, answers)``.
    """

    context: Tensor
    answer: Tensor
    skipped: Tensor


def whole(request: Request) -> int:
    """Return the length of the context with its longest answer."""
    return len(request.context) + max(map(len, request.answers), default=0)


def predicted(logits: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
    """Return surprisal, entropy and whether the target is the most probable token, ``(3, n)``.

    ``rows (n,)`` says which row of logits a prediction is: one row may be followed by several tokens.
    """
    parts = [torch.zeros(3, 0, device=logits.device)]
    for some, target in zip(rows.split(PREDICTIONS_AT_ONCE), targets.split(PREDICTIONS_AT_ONCE), strict=True):
        part = logits[some]
        parts.append(torch.stack([*surprisal_and_entropy(part, target), (part.argmax(-1) == target).float()]))
    return torch.cat(parts, dim=1)
