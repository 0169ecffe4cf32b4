"""Contexts and answers as token trees: nothing is padding, and what answers begin with alike is read once.

Dense prefixes of a batch are one tree, in which those that begin alike share nodes. What follows under a policy is a
tree a request: the rest of the context, then the answers, branching where they part. Nodes attend along their branches
(`clada_neuro.models.branching`), so no keys and values are copied for an answer. Prefix statistics belong to sequences,
which nodes are not: policies that read them are left to `clada_neuro.evaluation.padded`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from clada_neuro.evaluation.asked_only import asked_only
from clada_neuro.evaluation.padded import forked
from clada_neuro.evaluation.requests import AnswersRead, Parts, predicted
from clada_neuro.models.branching import along_branches, follows_branches, places
from clada_neuro.models.limits import sliding_window
from clada_neuro.models.rotation import rotated_for
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.policy import Policy

NODES = 512  # of a pass under a policy, of whole requests: enough to keep a processor busy


def reads_branches(model: PreTrainedModel, policy: Policy) -> bool:
    """Return whether answers may be read as trees: attention along branches, no window over the row, no prefix."""
    return follows_branches(model) and sliding_window(model) is None and not policy.uses_prefix


@dataclass
class _Nodes:
    """Nodes of a pass that go on from ``seen`` earlier ones; ``parents`` counts these, too."""

    seen: int
    ids: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._children: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def child(self, parent: int, depth: int, token: int) -> int:
        """Return the place of a token after a node, which is added where it is not there yet."""
        place = self._children.setdefault((parent, token), self.seen + len(self.ids))
        if place == self.seen + len(self.ids):
            self.ids.append(token)
            self.depths.append(depth)
            self.parents.append(parent)
        return place

    def path(self, parent: int, depth: int, tokens: tuple[int, ...]) -> list[int]:
        """Return the places of tokens after a node of the depth before ``depth``."""
        found = []
        for place, token in enumerate(tokens):
            parent = self.child(parent, depth + place, token)
            found.append(parent)
        return found

    def apart(self) -> None:
        """Let what comes share no node with what is there."""
        self._children.clear()

    def tree(self, device: torch.device, before: Sequence[int] = ()) -> "_Tree":
        """Return the nodes as tensors, after the parents of earlier ones."""
        rows = (self.ids, self.depths, [*before, *self.parents])
        return _Tree(*(torch.tensor([row], device=device) for row in rows))


@dataclass(frozen=True)
class _Tree:
    """Token, position and parent of each node, ``(1, nodes)``; parents are those of earlier nodes, too."""

    ids: Tensor
    depths: Tensor
    parents: Tensor


class _Group:
    """Requests whose policy tokens pass together; where nodes come from and what is read off them.

    ``_from`` holds for each node a cell of the tables of scales (contexts' first, then answers'), ``_pairs`` a node and
    the token after it, the lists of cells which prediction of these goes there, and ``_through`` which nodes (second)
    an answer (first) goes through.
    """

    def __init__(self, parts: Parts, seen: int) -> None:
        self.nodes, self._seen, self._parts = _Nodes(seen), seen, parts
        self._from: list[tuple[bool, int, int]] = []
        self._pairs: dict[tuple[int, int], int] = {}
        self._context: list[tuple[int, int, int]] = []  # request, place, pair
        self._answer: list[tuple[int, int, int]] = []  # answer, place, pair
        self._through: list[tuple[int, int]] = []

    def add(self, request: int, answers: range, rest: tuple[int, ...], tail: int) -> None:
        """Add a request: the rest of its context and its answers, after the last node of its prefix."""
        depth = len(self._parts.prefixes[request])
        self.nodes.apart()  # seeds of requests differ, and with them thresholds
        chain = self.nodes.path(tail, depth, rest)
        self._note(True, request, chain)
        for place, node in enumerate(chain[:-1]):
            self._context.append((request, place + 1, self._pair(node, rest[place + 1])))
        for answer in answers:
            inputs = self._parts.inputs[answer]
            path = self.nodes.path(chain[-1] if chain else tail, depth + len(rest), inputs)
            self._note(False, answer, path)
            self._through += [(answer, node - self._seen) for node in (*chain, *path)]
            tokens = self._parts.answer.tokens[answer].tolist()
            before = [*chain[-1:], *path]
            first = 0 if chain else 1  # after a prefix without rest the opening predicts the first token
            for place, node in enumerate(before, start=first):
                self._answer.append((answer, place, self._pair(node, tokens[place])))

    def _note(self, context: bool, row: int, path: list[int]) -> None:
        for column, node in enumerate(path):
            if node - self._seen == len(self._from):
                self._from.append((context, row, column))

    def _pair(self, node: int, token: int) -> int:
        return self._pairs.setdefault((node - self._seen, token), len(self._pairs))

    def finish(self, device: torch.device, before: Sequence[int]) -> "_Pass":
        """Return the group as tensors, after the parents of earlier nodes."""

        def columns(rows: Iterable[Sequence[int]], width: int) -> Tensor:
            return torch.tensor(list(rows), dtype=torch.long, device=device).reshape(-1, width).t()

        return _Pass(
            self.nodes.tree(device, before),
            columns(self._from, 3),
            columns(self._pairs, 2),
            columns(self._context, 3),
            columns(self._answer, 3),
            columns(self._through, 2),
        )


@dataclass(frozen=True)
class _Pass:
    """A `_Group` as tensors, its lists of one column an entry."""

    tree: _Tree
    origin: Tensor
    pairs: Tensor
    context: Tensor
    answer: Tensor
    through: Tensor

    def scale(self, context: Tensor, answer: Tensor) -> Tensor:
        """Return the threshold scale of each node, ``(1, nodes)``."""
        of_context, row, column = self.origin
        scale = torch.zeros(len(row), device=context.device)
        for table, here in ((context, of_context == 1), (answer, of_context == 0)):
            scale[here] = table[row[here], column[here]]
        return scale[None]


class Branched:
    """A batch of contexts after their dense prefix."""

    def __init__(self, model: PreTrainedModel, parts: Parts) -> None:
        self.model, self.parts, device = model, parts, model.device
        prefix = _Nodes(0)
        tails = [prefix.path(-1, 0, tokens)[-1] for tokens in parts.prefixes]
        self._passes = self._grouped(prefix, tails)
        self._cache = DynamicCache(config=model.config)
        distinct = sorted(set(tails))
        asked = torch.zeros(1, len(prefix), dtype=torch.bool, device=device)
        asked[0, distinct] = True
        with rotated_for(model, parts.longest):
            logits = self._pass(prefix.tree(device), self._cache, asked)
        row = {tail: place for place, tail in enumerate(distinct)}
        self._open(logits, torch.tensor([row[tail] for tail in tails], device=device))

    def read(self, policy: Policy, scale: Tensor, answer_scale: Tensor) -> AnswersRead:
        """Read the rest of the contexts and the answers under a policy, at given threshold scales."""
        context, answer = self._opening[0].clone(), self._opening[1].clone()
        skipped = torch.zeros(2, len(self.parts.inputs), device=context.device)
        with attach(self.model, policy) as session, rotated_for(self.model, self.parts.longest):
            session.begin(1)
            for one in self._passes:
                scales = one.scale(scale, answer_scale)
                session.plan(scales, counted=torch.zeros_like(scales, dtype=torch.bool))
                every = torch.ones_like(one.tree.ids, dtype=torch.bool)
                logits = self._pass(one.tree, forked(self._cache), every)
                found = predicted(logits, *one.pairs)
                row, place, pair = one.context
                context[:, row, place] = found[:2, pair]
                row, place, pair = one.answer
                answer[:, row, place] = found[:, pair]
                shares = torch.stack([session.ffn_sparsity(), session.sparsity()]).mean(-1)[:, 0]
                row, node = one.through
                skipped.index_add_(1, row, shares[:, node])
        return AnswersRead(context, answer, skipped)

    def _grouped(self, prefix: _Nodes, tails: list[int]) -> list[_Pass]:
        """Return the passes under a policy, of requests in their order."""
        parts, groups, start = self.parts, [_Group(self.parts, len(prefix))], 0
        lengths = parts.context.lengths.tolist()
        for request, count in enumerate(parts.counts):
            if len(groups[-1].nodes) >= NODES:
                groups.append(_Group(parts, len(prefix)))
            rest = tuple(parts.context.tokens[request, : lengths[request]].tolist())
            groups[-1].add(request, range(start, start + count), rest, tails[request])
            start += count
        return [g.finish(self.model.device, prefix.parents) for g in groups if len(g.nodes)]

    def _open(self, logits: Tensor, rows: Tensor) -> None:
        """Keep what the dense prefixes predict: the first of the rest of each context, or of its answers."""
        parts = self.parts
        follows = parts.context.lengths > 0
        context = torch.zeros(2, *parts.context.tokens.shape, device=logits.device)
        answer = torch.zeros(3, *parts.answer.tokens.shape, device=logits.device)
        if follows.any():
            context[:, follows, 0] = predicted(logits, rows[follows], parts.context.tokens[follows, 0])[:2]
        at_once = ~follows[parts.parents]
        answer[:, at_once, 0] = predicted(
            logits, rows[parts.parents[at_once]], parts.answer.tokens[at_once, 0]
        )
        self._opening = (context, answer)

    def _pass(self, nodes: _Tree, cache: DynamicCache, asked: Tensor) -> Tensor:
        """Process nodes after those in the cache; return logits ``(n, vocabulary)`` of the asked ones."""
        with along_branches(self.model), asked_only(self.model, asked):
            logits: Tensor = self.model(
                input_ids=nodes.ids,
                attention_mask=places(nodes.parents),
                position_ids=nodes.depths,
                past_key_values=cache,
                use_cache=True,
            ).logits
        return logits[0]
