"""What decodes: each engine continues a prompt greedily and says how long every token took."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, StoppingCriteria, StoppingCriteriaList

from clada_neuro.bench.peers import LlamaCpp
from clada_neuro.models.ggml import bytes_read
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.decode import generate
from clada_neuro.runtime.drawing import likeliest
from clada_neuro.runtime.policy import ALL, FFN_ONLY, Policy, attention_reads, reads
from clada_neuro.runtime.runner import Runner

if TYPE_CHECKING:
    from clada_neuro.runtime.kernels.cuda import TokenGraph

Start = Callable[[Policy, Tensor], AbstractContextManager[Runner]]


@dataclass
class Run:
    """One continuation of a prompt.

    Attributes
    ----------
    seconds : list of float
        Of every token after the first, whose logits the prompt gives.
    prefill_seconds : float
        Prompt and whatever the policy prepares once a sequence.
    policy_seconds : list of float
        Of the same tokens, the part spent on load, threshold scale and bias.
    ffn_sparsity, linear_sparsity : float
        Mean over those tokens and the layers; the second under a policy that leaves out rows of attention, too.
    dropped : dict
        Share of rows not read by site, likewise.
    peak_memory_mb : float or None
        Of an engine that has its own process.
    """

    seconds: list[float] = field(default_factory=list)
    prefill_seconds: float = float("nan")
    policy_seconds: list[float] = field(default_factory=list)
    ffn_sparsity: float = 0.0
    linear_sparsity: float = 0.0
    dropped: dict[str, float] = field(default_factory=dict)
    peak_memory_mb: float | None = None


@dataclass
class DecodeEngine(ABC):
    """An engine under a policy."""

    engine: str
    policy: str
    dtype: str

    @abstractmethod
    def decode(self, prompt: Tensor, tokens: int) -> Run:
        """Continue ``prompt (length,)`` by ``tokens`` greedy tokens."""


@dataclass
class Transformers(DecodeEngine):
    """The model's own ``generate`` with its default cache."""

    model: PreTrainedModel

    def decode(self, prompt: Tensor, tokens: int) -> Run:
        """Time ``generate``; the first token, which includes the prompt, is left out."""
        clock = _Clock()
        began = now(prompt.device)
        self.model.generate(  # type: ignore[operator]
            prompt[None],
            attention_mask=torch.ones_like(prompt[None]),
            max_new_tokens=tokens + 1,
            min_new_tokens=tokens + 1,
            do_sample=False,
            pad_token_id=0,
            stopping_criteria=StoppingCriteriaList([clock]),
        )
        gaps = [after - before for before, after in zip(clock.times, clock.times[1:], strict=False)]
        return Run(gaps, clock.times[0] - began)


class _Clock(StoppingCriteria):
    """Note the time of every token; stop nothing."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:  # type: ignore[override]
        self.times.append(now(input_ids.device))
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


@dataclass
class Loop(DecodeEngine):
    """Our decode loop, dense or under a policy, load signal and drawing included.

    ``start`` gives what runs a policy on a prompt: PyTorch's matrices, the compiled step or CUDA kernels.
    """

    start: Start
    rule: Policy

    def decode(self, prompt: Tensor, tokens: int) -> Run:
        """Time every token; realised sparsity is read outside the clock.

        On a GPU the policy's part is the host's time to launch its small operations, for which the device waits.
        """
        with self.start(self.rule, prompt) as runner:
            began = now(prompt.device)
            logits = runner.prefill()
            run = Run(prefill_seconds=now(prompt.device) - began)
            with runner.stepping():
                for _ in range(tokens):
                    began = now(prompt.device)
                    token = likeliest(logits)
                    chosen = time.perf_counter()
                    runner.observe(token)
                    observed = time.perf_counter()
                    logits = runner.step(token)
                    run.seconds.append(now(prompt.device) - began)
                    run.policy_seconds.append(observed - chosen)
                    _note(run, runner, self.rule.scope, tokens)
        return run


def _note(run: Run, runner: Runner, scope: str, tokens: int) -> None:
    """Add one token's part to what was not read."""
    run.ffn_sparsity += float(runner.ffn_sparsity().mean()) / tokens
    if scope == ALL:
        run.linear_sparsity += float(runner.sparsity().mean()) / tokens
    for site, share in runner.dropped().items():
        run.dropped[site] = run.dropped.get(site, 0.0) + float(share.mean()) / tokens


@dataclass
class Generated(DecodeEngine):
    """`clada_neuro.generate` as users call it, from text to text, its weights packed by an earlier call."""

    language_model: LanguageModel
    text: str
    rule: Policy

    def decode(self, prompt: Tensor, tokens: int) -> Run:
        """Time the tokens together; ``prompt`` is what the model's tokenizer makes of the text."""
        began = now(prompt.device)
        found = generate(self.language_model, self.text, self.rule, max_new_tokens=tokens + 1)[0]
        whole = now(prompt.device) - began
        steps = len(found.ffn_sparsity)
        return Run(
            [found.seconds / steps] * steps,
            whole - found.seconds,
            [0.0] * steps,
            sum(found.ffn_sparsity) / steps,
            sum(found.linear_sparsity) / steps,
        )


@dataclass
class Graph(DecodeEngine):
    """The model's own PyTorch matrices, dense, in one CUDA graph a token over a static cache."""

    graph: "TokenGraph"

    def decode(self, prompt: Tensor, tokens: int) -> Run:
        """Time every token."""
        began = now(prompt.device)
        logits = self.graph.prefill(prompt)
        self.graph.capture()
        run = Run(prefill_seconds=now(prompt.device) - began)
        for _ in range(tokens):
            began = now(prompt.device)
            logits = self.graph(logits.argmax(-1))
            run.seconds.append(now(prompt.device) - began)
        return run


@dataclass
class Peer(DecodeEngine):
    """llama.cpp in its own process; a token reads so many bytes of weights."""

    peer: LlamaCpp
    read: int

    def decode(self, prompt: Tensor, tokens: int) -> Run:
        """Time every token of the peer."""
        answer = self.peer.decode(prompt.tolist(), tokens)
        return Run(answer["seconds"], peak_memory_mb=answer["peak_memory_mb"])


def now(device: torch.device) -> float:
    """Return the time when everything asked of the device is done, in seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def weight_bytes(model: PreTrainedModel, scope: str = FFN_ONLY) -> tuple[int, int]:
    """Return the weight bytes a dense token reads in what a scope is (feed-forward blocks, or all linear maps of the layers), and everywhere else.

    Of the embedding one row is read, which is left out; the head is read whole, tied to it or not.
    """
    layers = ffn_layers(model)
    blocks = sum(reads(ffn, ()).total for ffn in layers)
    inside = {id(weight) for ffn in layers for weight in ffn.module.parameters()}
    if scope == ALL:
        blocks += sum(attention_reads(ffn.attention).total for ffn in layers)
        maps = [part for ffn in layers for part in (*ffn.attention.qkv, ffn.attention.out)]
        inside |= {id(weight) for part in maps for weight in part.parameters()}
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    outside = [w for w in model.parameters() if id(w) not in inside and w is not embedding and w is not head]
    return blocks, bytes_read(model, [*outside, head])
