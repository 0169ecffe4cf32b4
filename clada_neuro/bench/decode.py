"""Tokens per second of decoding one sequence: engines and policies side by side, in interleaved rounds.

Decoding is bound by the weight bytes read. A policy's ceiling is all weight bytes over those it reads, and its speed is
a ratio to dense decoding in the same round, where dense is the fastest dense engine of all, peers included. Beside it
stands the share of the rate at which the model's weights stream from memory in the same rounds, the limit of all.
"""

import math
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.bench.engines import Engine, Graph, Loop, Peer, Run, Transformers, weight_bytes
from clada_neuro.bench.llama_worker import peak_memory_mb
from clada_neuro.bench.peers import LlamaCpp, write_gguf
from clada_neuro.bench.streaming import Stream
from clada_neuro.bench.subjects import SHAPES, find_subject, random_llama
from clada_neuro.errors import ModelError
from clada_neuro.models.limits import check_length
from clada_neuro.models.loading import load_model
from clada_neuro.models.placing import find_device
from clada_neuro.policies.dense import Dense
from clada_neuro.runtime.kernels.compiled import CompiledKernel
from clada_neuro.runtime.kernels.llama_step import LlamaStep
from clada_neuro.runtime.kernels.session import Kernel, KernelSession
from clada_neuro.runtime.policy import NEURON, Policy
from clada_neuro.runtime.runner import hooked

COMPILED, PYTORCH, GENERATE, LLAMA_CPP = "compiled", "pytorch", "transformers", "llama.cpp"
TRITON, GRAPH = "triton", "pytorch graph"
ENGINES = {"cpu": (GENERATE, PYTORCH, COMPILED), "cuda": (GENERATE, PYTORCH, GRAPH, TRITON)}
CONTEXT = 512
_SAME_WIDTH = {"float32": "float32", "bfloat16": "float16"}


def bench_decode(
    model: str = "smollm2",
    *,
    sparsities: tuple[float, ...] = (0.4, 0.5),
    dtype: str = "float32",
    device: str = "cpu",
    revision: str | None = None,
    tokens: int = 16,
    rounds: int = 15,
    calibration: str | Path | None = None,
    llama_python: str | Path | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Time decoding at batch 1.

    Parameters
    ----------
    model : str
        As in `load_model`, or ``"llama-1b-random"`` or ``"llama-7b-random"``: Llama shapes with random weights.
    sparsities : tuple of float
        `ffn_sparsity` that the policies are set to; the realised one is reported.
    dtype : {"float32", "bfloat16"}
    device : {"cpu", "cuda"}
    revision : str, optional
        As in `load_model`.
    tokens, rounds : int
        Tokens of each engine in a round; rounds.
    calibration : str or Path, optional
        Of the model; the one shipped for its weights by default. Without any, thresholds are quantiles of the
        model's scores on a passage, which drop as much but were not fitted: enough for speed.
    llama_python : str or Path, optional
        Interpreter with llama-cpp-python, for rows of llama.cpp on the CPU.
    progress : callable
        Told of every round.

    Returns
    -------
    pandas.DataFrame
        model, device, thresholds (calibrated or quantiles), engine, policy, dtype, ffn_sparsity, tokens_per_s (median of rounds), tokens_per_s_low,
        tokens_per_s_high (quartiles), ratio_vs_dense (median of the rounds' ratios), ratio_low, ratio_high,
        ceiling, stream_gb_s (at which all threads read the model's weights in the same rounds; on a CPU), stream_share (of
        that rate, read_mb a token), policy_share (of a token's time, for load and thresholds), read_mb (weights a token), peak_memory_mb (of a process with this engine only), prefill_ms, tokens,
        rounds, threads, wait_policy (OMP_WAIT_POLICY: threads that spin while they wait make a busy machine several
        times slower), load_average (one minute, mean of start and end).
    """
    place = find_device(device)
    if llama_python is not None and place.type != "cpu":
        raise ModelError("llama.cpp is timed on the CPU only; leave --llama-python out")
    threads = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    memory = {engine: _memory_of(engine, model, dtype, device, revision) for engine in ENGINES[place.type]}
    subject = find_subject(model, dtype, place, sparsities, calibration, tokens, revision)
    loaded, prompt = subject.model, subject.prompt
    check_length(loaded, len(prompt) + tokens, "prompt and timed tokens", "time fewer tokens", CONTEXT)
    engines = [_dense(name, loaded, dtype) for name in ENGINES[place.type]]
    engines += [_under(engines[-1], rule, loaded) for rule in subject.policies]
    with tempfile.TemporaryDirectory() as folder:
        peers = [] if llama_python is None else _peers(loaded, dtype, llama_python, Path(folder), threads)
    load = _load_average()
    stream = Stream(loaded)

    def after_round(line: str) -> None:
        stream.measure()
        progress(line)

    with ExitStack() as ends:  # a peer that sleeps would never end by itself
        for peer in peers:
            ends.callback(peer.peer.close)
        runs = _interleave([*engines, *peers], prompt, tokens, rounds, after_round)
    rows = _rows([*engines, *peers], runs, weight_bytes(loaded), memory, stream.gb_s)
    about = {
        "tokens": tokens,
        "rounds": rounds,
        "threads": threads,
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", "not set"),
    }
    load = (load + _load_average()) / 2
    return pd.DataFrame(
        [
            {
                "model": model,
                "device": torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu",
                "thresholds": subject.thresholds,
                **row,
                **about,
                "load_average": load,
            }
            for row in rows
        ]
    )


def _dense(name: str, model: PreTrainedModel, dtype: str) -> Engine:
    """Return an engine of `ENGINES`, dense."""
    about = (name, "dense", dtype)
    if name == GENERATE:
        return Transformers(*about, model)
    if name == PYTORCH:
        return Loop(*about, lambda rule, prompt: hooked(model, rule, [prompt]), Dense())
    if name == COMPILED:
        return _in_kernel(about, CompiledKernel(model, LlamaStep(model, context=CONTEXT)))
    from clada_neuro.runtime.kernels.cuda import Blocks, CudaKernel, TokenGraph

    if name == GRAPH:
        return Graph(*about, TokenGraph(model, CONTEXT))
    return _in_kernel(about, CudaKernel(TokenGraph(model, CONTEXT, Blocks(model))))


def _in_kernel(about: tuple[str, str, str], kernel: Kernel) -> Loop:
    return Loop(*about, lambda rule, prompt: nullcontext(KernelSession(kernel, rule, prompt)), Dense())


def _under(dense: Engine, rule: Policy, model: PreTrainedModel) -> Engine:
    """Return the engine under a policy, on the same weights; a graph over fewer neurons needs memory of its own."""
    if dense.engine == TRITON and NEURON in rule.sites:
        dense = _dense(dense.engine, model, dense.dtype)
    return replace(dense, policy=rule.name, rule=rule)  # type: ignore[call-arg]


def _peers(model: PreTrainedModel, dtype: str, python: str | Path, folder: Path, threads: int) -> list[Peer]:
    """Start llama.cpp on the model's weights at the same width; the file may go once it is read."""
    precision = _SAME_WIDTH[dtype]
    path = write_gguf(model, folder / f"{precision}.gguf", precision)
    return [Peer(LLAMA_CPP, "dense", precision, LlamaCpp(python, path, threads=threads, context=CONTEXT))]


def _interleave(
    engines: list[Engine], prompt: Tensor, tokens: int, rounds: int, progress: Callable[[str], None]
) -> list[list[Run]]:
    """Return the runs of every engine; the first round, which compiles and warms up, is thrown away."""
    runs: list[list[Run]] = [[] for _ in engines]
    for round_number in range(rounds + 1):
        for engine, own in zip(engines, runs, strict=True):
            own.append(engine.decode(prompt, tokens))
        progress(f"round {round_number} of {rounds}")
    return [own[1:] for own in runs]


def _load_average() -> float:
    """Return the machine's load over the last minute, NaN where the system keeps none (Windows)."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan


def _rows(
    engines: list[Engine],
    runs: list[list[Run]],
    weights: tuple[int, int],
    memory: dict[str, float],
    stream: float,
) -> list[dict[str, Any]]:
    blocks, others = weights
    speeds = [pd.Series([len(run.seconds) / sum(run.seconds) for run in own]) for own in runs]
    dense = max(
        (speed for engine, speed in zip(engines, speeds, strict=True) if engine.policy == "dense"),
        key=pd.Series.median,
    )
    rows: list[dict[str, Any]] = []
    for engine, own, speed in zip(engines, runs, speeds, strict=True):
        sparsity = pd.Series([run.ffn_sparsity for run in own]).mean()
        read = others + blocks * (1 - sparsity)
        ratio = speed / dense
        rows.append(
            {
                "engine": engine.engine,
                "policy": engine.policy,
                "dtype": engine.dtype,
                "ffn_sparsity": sparsity,
                "tokens_per_s": speed.median(),
                "tokens_per_s_low": speed.quantile(0.25),
                "tokens_per_s_high": speed.quantile(0.75),
                "ratio_vs_dense": ratio.median(),
                "ratio_low": ratio.quantile(0.25),
                "ratio_high": ratio.quantile(0.75),
                "ceiling": (others + blocks) / read,
                "stream_gb_s": stream,
                "stream_share": speed.median() * read / 1e9 / stream,
                "policy_share": pd.Series(
                    [sum(run.policy_seconds) / sum(run.seconds) for run in own]
                ).median(),
                "read_mb": read / 1e6,
                "peak_memory_mb": own[-1].peak_memory_mb or memory[engine.engine],
                "prefill_ms": 1e3 * pd.Series([run.prefill_seconds for run in own]).median(),
            }
        )
    return rows


def _memory_of(engine: str, model: str, dtype: str, device: str, revision: str | None) -> float:
    """Return the peak memory in MB, on a CUDA device its own, of a fresh process that decodes with one engine."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_decode_alone, (engine, model, dtype, device, revision))


def _decode_alone(engine: str, model: str, dtype: str, device: str, revision: str | None) -> float:
    place = find_device(device)
    if model in SHAPES:
        loaded = random_llama(model, getattr(torch, dtype), place)
    else:
        loaded = load_model(model, dtype=dtype, device=device, revision=revision).model
    _dense(engine, loaded, dtype).decode(torch.arange(3, 19, device=place), 4)
    return torch.cuda.max_memory_allocated(place) / 1e6 if place.type == "cuda" else peak_memory_mb()
