"""Pseudo-log-likelihoods of masked language models, a word from left to right (Kauf & Ivanova, 2023).

A masked model predicts a token from both sides. The token is masked, and with it the tokens of the same word on its right,
which would give it away: −log2 p(token | the text without them). Attached punctuation is scored as a word of its own and
is seen by the word, as everything else is. The model reads each text once for each of its tokens.

Texts longer than the model reads become windows that overlap by half; tokens are scored where at least a quarter of a
window is on either side, but at the ends of the text.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from clada_neuro.errors import ModelError
from clada_neuro.instrument import information
from clada_neuro.instrument.batching import Measures, Window
from clada_neuro.instrument.forward import CPU_TOKENS, GPU_TOKENS, MOST_LOGITS, Forward
from clada_neuro.instrument.texts import StimulusText
from clada_neuro.instrument.vocabulary import Vocabulary
from clada_neuro.measures.measure import Origin
from clada_neuro.measures.tokens import named
from clada_neuro.models.limits import refuse_masked
from clada_neuro.models.loading import LanguageModel
from clada_neuro.runtime.cutoffs import Cutoffs

(MEASURE,) = named(Origin.MASKED)


@dataclass(frozen=True)
class MaskedWindow(Window):
    """A stretch of one text without special tokens; tokens of one group, a word or its punctuation, are masked together."""

    groups: tuple[int, ...]


@dataclass(frozen=True)
class _Row:
    """One text with a stretch of it masked, to predict the first token of the stretch."""

    window: int
    at: int
    ids: list[int]


class MaskedForward:
    """A masked model made ready to measure windows; has no activity, and nothing but pseudo-surprisals.

    Raises
    ------
    ModelError
        For a tokenizer without a mask, or more than pseudo-surprisals asked for.
    """

    top_k = 0

    def __init__(self, model: LanguageModel, top_k: int = 0) -> None:
        if top_k:
            raise ModelError(
                f"'{model.name}' is a masked language model, whose most probable tokens before a word see the words after it; "
                "leave --top-k out"
            )
        if model.tokenizer.mask_token_id is None:
            raise ModelError(
                f"the tokenizer of '{model.name}' has no mask token; use the model's own tokenizer"
            )
        self.model, self.device = model, model.device
        self.layers: list[Any] = []
        self.head: Any = model.model.get_output_embeddings()
        n_logits = int(self.head.weight.shape[0])
        most = GPU_TOKENS if model.device.type == "cuda" else CPU_TOKENS
        self.budget = max(1, min(most, MOST_LOGITS // n_logits))
        self.before, self.after = _around(model.tokenizer)
        self.room = model.max_context - len(self.before) - len(self.after)
        self.vocabulary = Vocabulary.of(model.tokenizer, n_logits, model.device)

    def windows(self, number: int, text: StimulusText) -> list[Window]:
        """Cut a text into windows."""
        n, step = len(text.ids), max(1, self.room // 2)
        firsts = [*range(0, max(n - self.room, 0), step), max(n - self.room, 0)]
        groups = 2 * text.tokens.word_index + text.tokens.own
        out: list[Window] = []
        for first in dict.fromkeys(firsts):
            last = min(first + self.room, n)
            scored = max(first + self.room // 4 if first else 0, text.scored)
            if scored < last:
                ids, inside = tuple(text.ids[first:last]), tuple(groups[first:last].tolist())
                out.append(MaskedWindow(number, ids, first, scored, True, inside))
        return out

    @torch.inference_mode()
    def measure(self, windows: Sequence[Window], _: Sequence[Hashable]) -> Iterator[tuple[Window, Measures]]:
        """Yield every window with its measures."""
        found = [np.full(len(window.ids) + 1, np.nan) for window in windows]
        by_length: dict[int, list[_Row]] = defaultdict(list)
        for number, window in enumerate(windows):
            for row in self._rows(number, window):
                by_length[len(row.ids)].append(row)
        for length, rows in sorted(by_length.items()):
            size = max(1, self.budget // length)
            for start in range(0, len(rows), size):
                some = rows[start : start + size]
                targets = [windows[row.window].ids[row.at] for row in some]
                for row, bits in zip(some, self._bits(some, targets), strict=True):
                    found[row.window][row.at] = bits
        for window, values in zip(windows, found, strict=True):
            missing = {name: np.full(len(values), np.nan) for name in information.MEASURES}
            yield window, Measures({**missing, MEASURE: values}, {})

    def _rows(self, number: int, window: Window) -> Iterator[_Row]:
        assert isinstance(window, MaskedWindow)
        mask = self.model.tokenizer.mask_token_id
        for at in range(window.scored - window.first, len(window.ids)):
            ids = [
                mask if place >= at and group == window.groups[at] else token
                for place, (token, group) in enumerate(zip(window.ids, window.groups, strict=True))
            ]
            yield _Row(number, at, [*self.before, *ids, *self.after])

    def _bits(self, rows: Sequence[_Row], targets: Sequence[int]) -> list[float]:
        """Return −log2 p of each row's target at the place where it is masked."""
        ids = torch.tensor([row.ids for row in rows], device=self.device)
        places = torch.tensor([len(self.before) + row.at for row in rows], device=self.device)
        numbers = torch.arange(len(rows), device=self.device)

        def select(_: torch.nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (
                args[0].reshape(*ids.shape, -1)[numbers.to(args[0].device), places.to(args[0].device)][None],
            )

        handle = self.head.register_forward_pre_hook(select)
        try:
            logits = self.model.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
        finally:
            handle.remove()
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        nats = logits.logsumexp(dim=-1) - logits[numbers, torch.tensor(targets, device=self.device)]
        return (nats.double() / math.log(2) + 0.0).tolist()  # no -0.0


def forward_for(
    model: LanguageModel, dense: bool, top_k: int, cutoffs: Cutoffs | None
) -> Forward | MaskedForward:
    """Return a model made ready to measure windows, causal or masked.

    Raises
    ------
    ModelError
        For a masked model under a policy.
    """
    if not model.masked:
        return Forward(model, top_k, cutoffs)
    if not dense:
        refuse_masked(model.model)
    return MaskedForward(model, top_k)


def _around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer puts before and after a text."""
    plain = tokenizer("a", add_special_tokens=False).input_ids
    whole = tokenizer("a").input_ids
    start = next(
        (place for place in range(len(whole)) if whole[place : place + len(plain)] == plain), len(whole)
    )
    return whole[:start], whole[start + len(plain) :]
