"""Generate text under a policy: draw, announce, process, one token of every prompt at a time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from clada_neuro.errors import ModelError
from clada_neuro.models.limits import check_length, check_vocabulary
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.rotation import check_one_rotation
from clada_neuro.runtime.drawing import Sampler
from clada_neuro.runtime.policy import ALL, Policy
from clada_neuro.runtime.runner import Runner, runner_for


@dataclass
class Generation:
    """A continuation of one prompt.

    Attributes
    ----------
    text : str
    token_ids : list of int
        Stop token left out.
    ffn_sparsity : list of float
        One a token that was processed as input after the prompt (the last one drawn never is).
    linear_sparsity : list of float
        Of the same tokens, under a policy that leaves out rows of attention, too: share of all linear weights of the layers.
    events, actions : list of bool
        Of the same tokens, for policies with load: load passed its rolling percentile; computed densely for it.
    seconds : float
        For the whole batch, prefill left out.
    """

    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    ffn_sparsity: list[float] = field(default_factory=list)
    linear_sparsity: list[float] = field(default_factory=list)
    events: list[bool] = field(default_factory=list)
    actions: list[bool] = field(default_factory=list)
    seconds: float = 0.0

    def tokens(self) -> pd.DataFrame:
        """Return one row a token: token_id, ffn_sparsity, linear_sparsity in scope ``all``, event and action under load."""
        columns = {
            "token_id": pd.Series(self.token_ids, dtype="Int64"),
            "ffn_sparsity": pd.Series(self.ffn_sparsity),
        }
        if self.linear_sparsity:
            columns["linear_sparsity"] = pd.Series(self.linear_sparsity)
        if self.events:
            columns["event"] = pd.Series(self.events, dtype="boolean")
            columns["action"] = pd.Series(self.actions, dtype="boolean")
        return pd.DataFrame(columns)

    def __str__(self) -> str:
        steps = len(self.ffn_sparsity)
        mean = f", mean ffn_sparsity {sum(self.ffn_sparsity) / steps:.3f}" if steps else ""
        return f"{self.text}\n[{len(self.token_ids)} tokens{mean}]"

    def _repr_html_(self) -> str:
        return f'<p style="white-space:pre-wrap">{escape(str(self))}</p>'


@torch.no_grad()
def generate(
    language_model: LanguageModel,
    prompts: str | Sequence[str],
    policy: Policy,
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    stop: Sequence[str] = (),
    stream: Callable[[int, str], None] | None = None,
) -> list[Generation]:
    """Continue prompts under a policy that is made; arguments are those of `clada_neuro.generate`.

    Returns
    -------
    list of Generation

    Raises
    ------
    ModelError
        For an empty prompt without a start token, one that is not text or longer than the model reads, a stop token
        that is not in the vocabulary, or a continuation over the length at which the model rotates positions anew.
    """
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    ends = _stop_ids(language_model, stop)
    results = [Generation() for _ in texts]
    writers = [_Writer(language_model.tokenizer, row, stream) for row in range(len(texts))]
    draw = Sampler(temperature, top_p, seed, len(texts))
    ids = [_encode(language_model, text) for text in texts]
    for text, prompt in zip(texts, ids, strict=True):
        # The last drawn token is never read.
        read = len(prompt) + max(0, max_new_tokens - 1)
        what = f"prompt {text[:40]!r} with {max_new_tokens} new tokens"
        check_length(language_model.model, read, what, "shorten the prompt or lower max_new_tokens")
    check_one_rotation(language_model.model, [len(prompt) for prompt in ids], max_new_tokens)
    with runner_for(language_model.model, policy, ids, max_new_tokens) as runner:
        active = torch.arange(len(texts), device=language_model.device)
        logits = runner.prefill()
        began = time.perf_counter()
        with runner.stepping():
            for count in range(1, max_new_tokens + 1):
                token = draw(logits, active.tolist())
                going = torch.tensor([int(t) not in ends for t in token], device=active.device)
                if not bool(going.all()):
                    kept = going.nonzero().squeeze(1)
                    runner.keep(kept)
                    active, token = active[kept], token[kept]
                for row, new in zip(active.tolist(), token.tolist(), strict=True):
                    results[row].token_ids.append(new)
                    writers[row].write(results[row].token_ids)
                if not len(active) or count == max_new_tokens:
                    break
                runner.observe(token)
                logits = runner.step(token)
                _record(results, active, runner, policy.scope)
        seconds = time.perf_counter() - began
    for result, writer in zip(results, writers, strict=True):
        result.text = writer.finish(result.token_ids)
        result.seconds = seconds
    return results


def _record(results: list[Generation], active: Tensor, runner: Runner, scope: str) -> None:
    whole = runner.sparsity().mean(-1).tolist() if scope == ALL else []
    sparsity, event, action = runner.ffn_sparsity().mean(-1).tolist(), runner.state.event, runner.state.action
    for place, row in enumerate(active.tolist()):
        results[row].ffn_sparsity.append(sparsity[place])
        if whole:
            results[row].linear_sparsity.append(whole[place])
        if event is not None and action is not None:
            results[row].events.append(bool(event[place]))
            results[row].actions.append(bool(action[place]))


def _encode(language_model: LanguageModel, text: str) -> Tensor:
    start = [] if language_model.start_token_id is None else [language_model.start_token_id]
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ModelError(f"the prompt {text!r} holds bytes that are not text; give it as UTF-8") from error
    ids = start + language_model.tokenizer(text, add_special_tokens=False).input_ids
    if not ids:
        raise ModelError("the prompt is empty and the model has no start token; give at least one word")
    check_vocabulary(language_model.model, ids, f"prompt {text[:40]!r}")
    return torch.tensor(ids, device=language_model.device)


def _stop_ids(language_model: LanguageModel, stop: Sequence[str]) -> set[int]:
    config = language_model.model.generation_config
    own = config.eos_token_id if config is not None else None
    ends = set(own if isinstance(own, list) else [own]) - {None}
    vocabulary = language_model.tokenizer.get_vocab()
    for token in stop:
        if token not in vocabulary:
            raise ModelError(f"stop token '{token}' is not in the vocabulary; give a single token")
        ends.add(vocabulary[token])
    return ends


class _Writer:
    """Turn growing token lists into pieces of text that end at whole characters."""

    def __init__(self, tokenizer: Any, row: int, stream: Callable[[int, str], None] | None) -> None:
        self.tokenizer, self.row, self.stream, self.written = tokenizer, row, stream, ""

    def write(self, token_ids: list[int]) -> None:
        if self.stream is not None:
            text = self.tokenizer.decode(token_ids, skip_special_tokens=True)
            if not text.endswith("\N{REPLACEMENT CHARACTER}"):
                self._send(text)

    def finish(self, token_ids: list[int]) -> str:
        text = self.tokenizer.decode(token_ids, skip_special_tokens=True)
        self._send(text)
        return text

    def _send(self, text: str) -> None:
        if self.stream is not None and len(text) > len(self.written):
            self.stream(self.row, text[len(self.written) :])
        self.written = text
