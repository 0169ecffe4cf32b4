"""Score given texts under a policy, by the one protocol: dense prefix, policy on every later token.

Policies whose masks do not depend on their own predictions take one pass. The others go token by token, many
sequences in lock step. Both orders give the same numbers for a policy that allows both, up to rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.models.ffn import FFN
from clada_neuro.models.limits import check_length, check_vocabulary
from clada_neuro.models.rotation import alike, rotated_for
from clada_neuro.models.watching import watching
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.cognitive_load import surprisal_and_entropy
from clada_neuro.runtime.policy import Policy
from clada_neuro.runtime.predictions import AT_ONCE, kept
from clada_neuro.runtime.session import Session
from clada_neuro.runtime.stepping import Decoder

BATCH_TOKENS = 1024  # of a one-pass batch, padding included: bounds memory
BATCH_SEQUENCES = 64  # in lock step


class Observer(Protocol):
    """Sees every real token of every pass; ``rows`` index `sequences`, ``positions`` count tokens from 0."""

    def hidden(self, layer: int, rows: Tensor, positions: Tensor, a: Tensor) -> None:
        """Take in hidden activations ``(n, intermediate)`` of n tokens, as the policy left them."""

    def logits(self, rows: Tensor, positions: Tensor, logits: Tensor) -> None:
        """Take in what the tokens at ``positions`` predict about the next ones, ``(n, vocabulary)``."""


@dataclass(frozen=True)
class Score:
    """One text, token by token.

    Attributes
    ----------
    surprisal_bits, entropy_bits : Tensor
        ``(tokens,)``; of the distribution before the token; the first token's are NaN.
    ffn_sparsity : Tensor
        ``(tokens, layers)``: share of weight bytes not read when the token was processed as input; 0 in the prefix.
    sparsity : Tensor
        ``(tokens, layers)``: the same of what the policy's scope is; that of the block, unless it masks attention.
    dropped : dict of site to Tensor
        ``(tokens, layers)``: share of the site's rows not read.
    load, event, action : Tensor
        ``(tokens,)``: see `clada_neuro.runtime.policy.State`; NaN in the prefix and for policies without load.
    prefix : int
        Dense tokens at the start. The first token whose prediction the policy touched is ``prefix + 1``.
    """

    surprisal_bits: Tensor
    entropy_bits: Tensor
    ffn_sparsity: Tensor
    sparsity: Tensor
    dropped: dict[str, Tensor]
    load: Tensor
    event: Tensor
    action: Tensor
    prefix: int


@torch.no_grad()
def score(
    model: PreTrainedModel,
    policy: Policy,
    sequences: Sequence[Sequence[int]],
    *,
    prefix: int | Sequence[int] = 4,
    seeds: Sequence[int] | None = None,
    observer: Observer | None = None,
    stepwise: bool | None = None,
    scales: Sequence[Tensor] | None = None,
) -> list[Score]:
    """Score token sequences under a policy.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    policy : Policy
    sequences : sequence of sequences of int
        Token ids, start token included.
    prefix : int or one a sequence
        Tokens at the start that are computed densely, start token included; at least 1.
    seeds : sequence of int, optional
        One a sequence, for random controls; default: its place in the list.
    observer : Observer, optional
    stepwise : bool, optional
        Force (or forbid) going token by token; default: as the policy needs.
    scales : sequence of Tensor, optional
        Threshold scales ``(tokens,)`` decided beforehand, such as a recorded load replayed: one pass for any policy.

    Returns
    -------
    list of Score
        In the order of ``sequences``.

    Raises
    ------
    ModelError
        For an empty sequence or one longer than the model reads, a prefix below 1, or one pass forced on a policy that depends on its own predictions.
    """
    prefixes = _checked_prefixes(sequences, prefix)
    for row, tokens in enumerate(sequences):
        check_length(model, len(tokens), f"sequence {row}", "cut it into windows")
        check_vocabulary(model, tokens, f"sequence {row}")
    if stepwise is None:
        stepwise = policy.sequential and scales is None
    if policy.sequential and not stepwise and scales is None:
        raise ModelError(
            f"policy '{policy.name}' depends on its own predictions and cannot score in one pass"
        )
    every_seed = list(range(len(sequences))) if seeds is None else list(seeds)
    scores: dict[int, Score] = {}
    with attach(model, policy) as session:
        lengths = [len(tokens) for tokens in sequences]
        together = alike(model, lengths)
        for rows in (rows for places in together for rows in _batches(lengths, places, stepwise)):
            batch = _Batch(
                model,
                session,
                [sequences[row] for row in rows],
                [prefixes[row] for row in rows],
                [every_seed[row] for row in rows],
                rows,
                observer,
            )
            with batch.observed(), rotated_for(model, max(lengths[row] for row in rows)):
                if stepwise:
                    batch.step_through()
                else:
                    batch.one_pass(None if scales is None else [scales[row] for row in rows])
            scores.update(zip(rows, batch.scores(), strict=True))
    return [scores[row] for row in range(len(sequences))]


def _checked_prefixes(sequences: Sequence[Sequence[int]], prefix: int | Sequence[int]) -> list[int]:
    prefixes = [prefix] * len(sequences) if isinstance(prefix, int) else list(prefix)
    for row, (tokens, length) in enumerate(zip(sequences, prefixes, strict=True)):
        if len(tokens) == 0:
            raise ModelError(f"sequence {row} is empty, at least one token expected")
        if length < 1:
            raise ModelError(f"sequence {row}: prefix of {length} tokens given, at least 1 expected")
    return [min(length, len(tokens)) for length, tokens in zip(prefixes, sequences, strict=True)]


def _batches(lengths: list[int], places: list[int], stepwise: bool) -> Iterator[list[int]]:
    """Yield rows of similar length out of ``places``, longest first."""
    order = sorted(places, key=lambda row: -lengths[row])
    while order:
        size = BATCH_SEQUENCES if stepwise else max(1, BATCH_TOKENS // lengths[order[0]])
        yield order[:size]
        order = order[size:]


class _Batch:
    """Sequences processed together, and what was recorded of them; index tensors live on the model's device."""

    def __init__(
        self,
        model: PreTrainedModel,
        session: Session,
        sequences: list[Sequence[int]],
        prefix: list[int],
        seeds: list[int],
        rows: list[int],
        observer: Observer | None,
    ) -> None:
        self.model, self.session, self.observer, self.device = model, session, observer, model.device
        texts = [torch.as_tensor(tokens, device=self.device) for tokens in sequences]
        self.tokens = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
        self.lengths, self.prefix, self.rows = (
            torch.tensor(values, device=self.device)
            for values in ([len(text) for text in texts], prefix, rows)
        )
        shape = tuple(self.tokens.shape)
        signals = torch.full((5, *shape), torch.nan, device=self.device)
        self.surprisal, self.entropy, self.load, self.event, self.action = signals
        names = ("ffn", "scope", *session.policy.attention_sites, *session.policy.sites)
        self.shares = {name: torch.zeros(*shape, len(session.layers), device=self.device) for name in names}
        self.seeds = torch.tensor(seeds, device=self.device)

    def one_pass(self, scales: list[Tensor] | None) -> None:
        """Process right-padded texts at once, with the policy's own scale or given ones."""
        row, position = torch.meshgrid(
            *(torch.arange(n, device=self.device) for n in self.tokens.shape), indexing="ij"
        )
        real = position < self.lengths[:, None]
        dense = position < self.prefix[:, None]
        wanted: Tensor | float = self.session.policy.base_scale
        if scales is not None:
            wanted = torch.nn.utils.rnn.pad_sequence(scales, batch_first=True).to(self.device)
        scale = torch.where(dense | ~real, 0.0, wanted)
        self.session.begin(len(scale), self.seeds)
        self.session.plan(scale, counted=dense & real & (position > 0))
        self._place = (row, position, real)
        with kept(self.model) as states:
            self.model(self.tokens, attention_mask=real.long(), use_cache=False)
        self._record(states.logits)
        self._replay_load(row[:, 0])

    def _replay_load(self, row: Tensor) -> None:
        """Record what the policy would have decided from the predictions of the pass."""
        policy, state = self.session.policy, self.session.state
        if not isinstance(policy, Clada):
            return
        for step in range(int((self.lengths - self.prefix).max())):
            at = torch.minimum(self.prefix + step, self.lengths - 1)
            policy.take_in(state, self.surprisal[row, at], self.entropy[row, at])
            self._record_load(row, at, self.prefix + step < self.lengths)

    def step_through(self) -> None:
        """Process the prefixes, then one token of every text at a time."""
        prompts = [tokens[:length] for tokens, length in zip(self.tokens, self.prefix.tolist(), strict=True)]
        decoder = Decoder(self.model, self.session, prompts, self.seeds)
        active = torch.arange(len(prompts), device=self.device)
        self._place = (active[:, None].expand_as(decoder.real), decoder.position, decoder.real)
        decoder.prefill()
        self._record(decoder.states.logits)
        for step in range(int((self.lengths - self.prefix).max())):
            going = (self.prefix + step < self.lengths)[active]
            if 2 * int(going.sum()) <= len(going):
                kept = going.nonzero().squeeze(1)
                decoder.keep(kept)
                active, going = active[kept], going[kept]
            at = torch.minimum(self.prefix + step, self.lengths - 1)[active]
            decoder.observe(self.tokens[active, at])
            self._record_load(active, at, going)
            self._place = (active[:, None], at[:, None], going[:, None])
            logits = decoder.step(self.tokens[active, at], going)
            self._record(lambda place, column, logits=logits: logits[place])  # type: ignore[misc]

    def scores(self) -> list[Score]:
        """Return what was recorded, without padding."""
        spans = zip(self.lengths.tolist(), self.prefix.tolist(), strict=True)
        return [self._score(row, length, prefix) for row, (length, prefix) in enumerate(spans)]

    def _score(self, row: int, length: int, prefix: int) -> Score:
        shares = {name: share[row, :length].cpu() for name, share in self.shares.items()}
        return Score(
            surprisal_bits=self.surprisal[row, :length].cpu(),
            entropy_bits=self.entropy[row, :length].cpu(),
            ffn_sparsity=shares.pop("ffn"),
            sparsity=shares.pop("scope"),
            dropped=shares,
            load=self.load[row, :length].cpu(),
            event=self.event[row, :length].cpu(),
            action=self.action[row, :length].cpu(),
            prefix=prefix,
        )

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Show hidden activations to the observer while inside."""
        with watching(self.session.layers, a=None if self.observer is None else self._show_hidden):
            yield

    def _show_hidden(self, ffn: FFN, a: Tensor) -> None:
        assert self.observer is not None
        row, position, real = self._place
        a = a.reshape(*real.shape, -1)
        self.observer.hidden(ffn.layer, self.rows[row[real]], position[real], a[real])

    def _record(self, logits: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Keep what the last pass, over the tokens of `_place`, says about real tokens and their successors.

        ``logits(row, column)`` gives those of n places of the pass; only a few are asked for at a time.
        """
        row, position, real = self._place
        session = self.session
        found = {"ffn": session.ffn_sparsity(), "scope": session.sparsity(), **session.dropped()}
        for name, share in found.items():
            self.shares[name][row[real], position[real]] = share[real]
        for some in real.nonzero().split(AT_ONCE):
            place, column = some.unbind(1)
            self._record_predictions(row[place, column], position[place, column], logits(place, column))

    def _record_predictions(self, row: Tensor, position: Tensor, predicted: Tensor) -> None:
        if self.observer is not None:
            self.observer.logits(self.rows[row], position, predicted)
        known = position + 1 < self.lengths[row]
        row, position = row[known], position[known] + 1
        surprisal, entropy = surprisal_and_entropy(predicted[known], self.tokens[row, position])
        self.surprisal[row, position], self.entropy[row, position] = surprisal, entropy

    def _record_load(self, row: Tensor, position: Tensor, real: Tensor) -> None:
        state = self.session.state
        for name in ("load", "event", "action"):
            value = getattr(state, name)
            if value is not None:
                getattr(self, name)[row[real], position[real]] = value[real].float()
