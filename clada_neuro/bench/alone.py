"""Engines of ours, each in a process of its own that sleeps while others are timed.

A process loads the model, decodes with one engine, dense and under the policies that it can follow, and reads its own
weights for the limit that memory sets. Nobody else's threads wait beside it, and its memory is that of one engine.
"""

import multiprocessing
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import numba
import torch
from torch import Tensor

from clada_neuro.bench.engines import DecodeEngine, Generated, Graph, Loop, Run, Transformers, weight_bytes
from clada_neuro.bench.llama_worker import peak_memory_mb
from clada_neuro.bench.peers import write_gguf
from clada_neuro.bench.streaming import WeightStream
from clada_neuro.bench.subjects import PASSAGE, TimedModel, find_subject
from clada_neuro.bench.turns import Turns
from clada_neuro.errors import CladaNeuroError, ModelError
from clada_neuro.models.ggml import KINDS
from clada_neuro.models.limits import check_length
from clada_neuro.models.placing import find_device
from clada_neuro.policies.dense import Dense
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.kernels.compiled import CompiledKernel
from clada_neuro.runtime.kernels.llama_step import LlamaStep
from clada_neuro.runtime.kernels.session import Kernel, KernelSession
from clada_neuro.runtime.policy import FFN_ONLY, NEURON, Policy
from clada_neuro.runtime.runner import hooked

COMPILED, PYTORCH, TRANSFORMERS, GENERATE = "compiled", "pytorch", "transformers", "cn.generate"
TRITON, GRAPH = "triton", "pytorch graph"
# Whose rows under policies; of `generate` one policy tells whether it keeps up with its engine.
_FOLLOWED = {COMPILED: None, TRITON: None, GENERATE: (Clada.name,)}
CONTEXT = 512


@dataclass(frozen=True)
class TimingRequest:
    """What is timed; see `clada_neuro.bench.decode_speed.bench_decode`."""

    model: str
    dtype: str
    device: str
    revision: str | None
    sparsities: tuple[float, ...]
    calibration: str | Path | None
    tokens: int
    scope: str = FFN_ONLY
    policies: tuple[str, ...] | None = None  # of those that the engine follows, None for all


@dataclass(frozen=True)
class About:
    """What a process has.

    Attributes
    ----------
    engine, dtype : str
    rows : tuple of (str, str)
        Policy and data type.
    prompt : tuple of int
    weights : tuple of int
        Bytes that a dense token reads in what the scope is, and elsewhere.
    thresholds : str or None
        Where those of policies come from.
    peak_memory_mb : float
        Of the dense engine.
    """

    engine: str
    dtype: str
    rows: tuple[tuple[str, str], ...]
    prompt: tuple[int, ...]
    weights: tuple[int, int]
    thresholds: str | None
    peak_memory_mb: float


class Host:
    """A model with one engine, dense and under its policies."""

    def __init__(self, engine: str, asked: TimingRequest) -> None:
        torch.set_num_threads(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        place = find_device(asked.device)
        subject = find_subject(asked.model, asked.dtype, place, asked.revision)
        self._model, prompt = subject.model, subject.prompt
        check_length(
            self._model, len(prompt) + asked.tokens, "prompt and timed tokens", "time fewer tokens", CONTEXT
        )
        dense = _dense(engine, subject, asked.dtype)
        dense.decode(prompt[:16], 4)
        memory = _peak_memory_mb(place)
        rules: list[Policy] = []
        thresholds = None
        if engine in _FOLLOWED:
            rules, thresholds = subject.policies(
                asked.sparsities, asked.calibration, asked.tokens, asked.scope
            )
            for names in (_FOLLOWED[engine], asked.policies):
                rules = [rule for rule in rules if names is None or rule.name in names]
            if asked.dtype in KINDS:  # blocks hold 32 neurons each, and are not taken apart
                rules = [rule for rule in rules if NEURON not in rule.sites]
        self._engines = [dense, *(_under(dense, rule, subject) for rule in rules)]
        self._stream = WeightStream(self._model)
        self.about = About(
            engine,
            asked.dtype,
            tuple((one.policy, one.dtype) for one in self._engines),
            tuple(prompt.tolist()),
            weight_bytes(self._model, asked.scope),
            thresholds,
            memory,
        )

    def decode(self, row: int, prompt: list[int], tokens: int) -> Run:
        """Continue a prompt by one of the rows."""
        return self._engines[row].decode(torch.tensor(prompt, device=self._model.device), tokens)

    def stream(self) -> float:
        """Read every weight once; return the median rate so far, in GB/s."""
        self._stream.measure()
        return self._stream.gb_s

    def write_gguf(self, path: Path, kind: str) -> int:
        """Write the weights for a peer; return the bytes that it reads a token."""
        return write_gguf(self._model, path, kind)

    def close(self) -> None:
        """Nothing is left to end."""


class Hosting(Protocol):
    """A `Host`, here or in another process."""

    about: About

    def decode(self, row: int, prompt: list[int], tokens: int) -> Run:
        """See `Host.decode`."""

    def stream(self) -> float:
        """See `Host.stream`."""

    def write_gguf(self, path: Path, kind: str) -> int:
        """See `Host.write_gguf`."""

    def close(self) -> None:
        """End the process."""


class Alone:
    """A `Host` in a process of its own, which runs only while it is asked something.

    Raises
    ------
    CladaNeuroError
        What the process ran into.
    """

    def __init__(self, engine: str, asked: TimingRequest) -> None:
        context = multiprocessing.get_context("spawn")
        self._engine = engine
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(engine, asked, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.about: About = self._answer()
        assert self._process.pid is not None
        self._turns = Turns(self._process.pid)
        self.decode = partial(self._ask, "decode")
        self.stream = partial(self._ask, "stream")
        self.write_gguf = partial(self._ask, "write_gguf")

    def close(self) -> None:
        """End the process."""
        self._turns.wake()
        self._ours.close()
        self._process.join()

    def _ask(self, name: str, *given: Any) -> Any:
        with self._turns.awake():
            self._ours.send((name, given))
            return self._answer()

    def _answer(self) -> Any:
        try:
            found = self._ours.recv()
        except EOFError as error:
            self._process.join()
            raise ModelError(
                f"the engine '{self._engine}' stopped (exit code {self._process.exitcode}); is memory short?"
            ) from error
        if isinstance(found, CladaNeuroError):
            raise found
        return found


def _serve(engine: str, asked: TimingRequest, connection: Connection) -> None:
    """Answer until nobody asks."""
    try:
        host = Host(engine, asked)
        connection.send(host.about)
        while True:
            name, given = connection.recv()
            connection.send(getattr(host, name)(*given))
    except CladaNeuroError as error:
        connection.send(error)
    except (EOFError, KeyboardInterrupt):
        return


@dataclass
class Remote(DecodeEngine):
    """A row of a host."""

    host: Hosting
    row: int

    def decode(self, prompt: Tensor, tokens: int) -> Run:
        """Have the host decode."""
        run = self.host.decode(self.row, prompt.tolist(), tokens)
        return replace(run, peak_memory_mb=self.host.about.peak_memory_mb)


def _dense(name: str, subject: TimedModel, dtype: str) -> DecodeEngine:
    """Return an engine, dense."""
    about, model = (name, "dense", dtype), subject.model
    if name == TRANSFORMERS:
        return Transformers(*about, model)
    if name == PYTORCH:
        return Loop(*about, lambda rule, prompt: hooked(model, rule, [prompt]), Dense())
    if name == COMPILED:
        return _in_kernel(about, CompiledKernel(model, LlamaStep(model, context=CONTEXT)))
    if name == GENERATE:
        assert subject.language_model is not None
        return Generated(*about, subject.language_model, PASSAGE, Dense())
    from clada_neuro.runtime.kernels.cuda import Blocks, CudaKernel, TokenGraph

    if name == GRAPH:
        return Graph(*about, TokenGraph(model, CONTEXT))
    return _in_kernel(about, CudaKernel(TokenGraph(model, CONTEXT, Blocks(model))))


def _in_kernel(about: tuple[str, str, str], kernel: Kernel) -> Loop:
    return Loop(*about, lambda rule, prompt: nullcontext(KernelSession(kernel, rule, prompt)), Dense())


def _under(dense: DecodeEngine, rule: Policy, subject: TimedModel) -> DecodeEngine:
    """Return the engine under a policy, on the same weights; a graph over fewer neurons needs memory of its own."""
    if dense.engine == TRITON and NEURON in rule.sites:
        dense = _dense(dense.engine, subject, dense.dtype)
    return replace(dense, policy=rule.name, rule=rule)  # type: ignore[call-arg]


def _peak_memory_mb(device: torch.device) -> float:
    """Return the most memory of this process so far, on a CUDA device the device's."""
    return torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else peak_memory_mb()
