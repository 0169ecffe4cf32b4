"""Tokens per second of decoding one sequence: engines and policies side by side, in interleaved rounds.

Decoding is bound by the weight bytes read. A policy's ceiling is all weight bytes over those it reads, and its speed is
a ratio to dense decoding in the same round, where dense is the fastest dense engine at this width, peers included. Beside
it stands the share of the rate at which the engine's own weights stream from memory in the same rounds, the limit of all.
Each engine has a process of its own, which sleeps while others are timed.
"""

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import pandas as pd
import torch

from clada_neuro.bench.alone import (
    COMPILED,
    CONTEXT,
    GENERATE,
    GRAPH,
    PYTORCH,
    TRANSFORMERS,
    TRITON,
    Alone,
    Hosting,
    Remote,
    TimingRequest,
)
from clada_neuro.bench.engines import DecodeEngine, Peer, Run
from clada_neuro.bench.peers import WIDTHS, LlamaCpp
from clada_neuro.bench.subjects import SHAPES
from clada_neuro.errors import ModelError
from clada_neuro.models.ggml import KINDS
from clada_neuro.models.placing import find_device
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.kernels.vectors import PRODUCTS
from clada_neuro.runtime.policy import ALL, FFN_ONLY, SCOPES, SHARE, SITES

LLAMA_CPP, DENSE = "llama.cpp", "dense"
ENGINES = {
    "cpu": (TRANSFORMERS, PYTORCH, COMPILED, GENERATE),
    "cuda": (TRANSFORMERS, PYTORCH, GRAPH, TRITON),
}
_SHARES = {FFN_ONLY: (SHARE[FFN_ONLY],), ALL: (SHARE[FFN_ONLY], SHARE[ALL])}
EVERY_WIDTH = "each"
_STARTED_AT_ONCE = 2
_SAME_WIDTH = {"float32": "float32", "bfloat16": "float16", "q8_0": "Q8_0", "q4_1": "Q4_1"}
# What blocks of GGUF are compared with, dense, in the same rounds.
_WIDER = ("float32", "bfloat16")


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
    scope: str = FFN_ONLY,
    llama_python: str | Path | None = None,
    llama_widths: Sequence[str] = WIDTHS,
    progress: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Time decoding at batch 1.

    Parameters
    ----------
    model : str
        As in `load_model`, or ``"llama-1b-random"`` or ``"llama-7b-random"``: Llama shapes with random weights.
    sparsities : tuple of float
        Share of the scope's weight bytes not read that the policies are set to; the realised one is reported.
    dtype : {"float32", "bfloat16", "q8_0", "q4_1", "each"}
        ``"q8_0"`` and ``"q4_1"``, on the CPU: the compiled step on blocks of GGUF, beside its dense rows in float32 and bfloat16.
        ``"each"``: the compiled step in each of the four, dense and under CLADA; a ratio is to the fastest dense row of its own width.
    device : {"cpu", "cuda"}
    revision : str, optional
        As in `load_model`.
    tokens, rounds : int
        Tokens of each engine in a round; rounds.
    calibration : str or Path, optional
        Of the model; the one shipped for its weights by default. Without any, thresholds are quantiles of the
        model's scores on a passage, which drop as much but were not fitted: enough for speed.
    scope : {"ffn", "all"}
        What policies leave out: rows of feed-forward blocks, or of all linear maps of the layers, which takes the CPU. Those that
        do not have the scope have no row.
    llama_python : str or Path, optional
        Interpreter with llama-cpp-python, for rows of llama.cpp on the CPU.
    llama_widths : sequence of str
        At which of `clada_neuro.bench.peers.WIDTHS` it is timed; each takes memory of its own.
    progress : callable
        Told of every round.

    Returns
    -------
    pandas.DataFrame
        model, device, thresholds (calibrated or quantiles), engine, policy, dtype, ffn_sparsity, linear_sparsity (in scope ``all``), tokens_per_s (median of rounds), tokens_per_s_low,
        tokens_per_s_high (quartiles), ratio_vs_dense (median of the rounds' ratios), ratio_low, ratio_high,
        ceiling, input_dropped, hidden_dropped, in scope ``all`` qkv_dropped and out_dropped (share of a site's rows not read, where the engine says), stream_gb_s (at which all threads read the engine's weights in the same rounds, of a peer the fastest such
        rate; on a CPU), stream_share (of that rate, read_mb a token), policy_share (of a token's time, for load and thresholds), read_mb (weights a token), peak_memory_mb (of a process with this engine only), prefill_ms, tokens,
        rounds, threads, products (how bytes are multiplied: by VNNI or in plain vectors), wait_policy (OMP_WAIT_POLICY: threads that spin while they wait make a busy machine several
        times slower), load_average (one minute, mean of start and end).
    """
    place = find_device(device)
    if llama_python is not None and place.type != "cpu":
        raise ModelError("llama.cpp is timed on the CPU only; leave --llama-python out")
    if dtype in (*KINDS, EVERY_WIDTH) and place.type != "cpu":
        raise ModelError(f"{dtype} is timed on the CPU only; use --dtype bfloat16")
    if scope not in SCOPES:
        raise ModelError(f"scope '{scope}' given, {' or '.join(SCOPES)} expected")
    if scope == ALL and place.type != "cpu":
        raise ModelError(
            "scope all is timed on the CPU only, where kernels leave out rows of attention; use --scope ffn"
        )
    threads = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    asked = TimingRequest(model, dtype, device, revision, tuple(sparsities), calibration, tokens, scope)
    with ExitStack() as ends:  # what sleeps would never end by itself
        hosts = _started(_timed(asked, place.type), ends, progress)
        about = hosts[-1].about
        peers = [] if llama_python is None else _peers(hosts[0], llama_python, llama_widths, threads, ends)
        engines = [
            Remote(host.about.engine, policy, kind, host, row)
            for host in hosts
            for row, (policy, kind) in enumerate(host.about.rows)
        ]
        load = _load_average()
        runs, streams = _interleave([*engines, *peers], hosts, about.prompt, tokens, rounds, progress)
    weights = {host.about.dtype: host.about.weights for host in hosts}
    rows = _rows([*engines, *peers], runs, dtype, weights, streams, scope)
    setting = {
        "tokens": tokens,
        "rounds": rounds,
        "threads": threads,
        "products": PRODUCTS,
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", "not set"),
        "load_average": (load + _load_average()) / 2,
    }
    found = {
        "model": model,
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu",
        "thresholds": next(host.about.thresholds for host in hosts if host.about.thresholds),
    }
    return pd.DataFrame([{**found, **row, **setting} for row in rows])


def _timed(asked: TimingRequest, place: str) -> list[tuple[str, TimingRequest]]:
    """Return the engines that are timed, each with what it is asked."""
    if asked.dtype == EVERY_WIDTH:
        clada = replace(asked, policies=(Clada.name,))
        return [(COMPILED, replace(clada, dtype=dtype)) for dtype in _SAME_WIDTH]
    names = [name for name in ENGINES[place] if name != GENERATE or asked.model not in SHAPES]
    if asked.dtype not in KINDS:
        return [(name, asked) for name in names]
    wider = [(COMPILED, replace(asked, dtype=dtype, sparsities=())) for dtype in _WIDER]
    return [*wider, *((name, asked) for name in names if name in (COMPILED, GENERATE))]


def _started(
    timed: list[tuple[str, TimingRequest]], ends: ExitStack, progress: Callable[[str], None]
) -> list[Alone]:
    """Start the engines, two at a time; those that start are closed in the end, whatever the others run into."""
    hosts, errors = [], []
    with ThreadPoolExecutor(_STARTED_AT_ONCE) as pool:
        waiting = [pool.submit(Alone, *one) for one in timed]
        for host, (name, request) in zip(waiting, timed, strict=True):
            try:
                hosts.append(host.result())
            except Exception as error:  # whatever it is, an engine that is not closed would sleep forever
                errors.append(error)
                continue
            ends.callback(hosts[-1].close)
            progress(f"{name} in {request.dtype} is ready")
    if errors:
        raise errors[0]
    return hosts


def _peers(
    host: Hosting, python: str | Path, widths: Sequence[str], threads: int, ends: ExitStack
) -> list[Peer]:
    """Start llama.cpp on a host's weights; the files may go once they are read."""
    peers = []
    with tempfile.TemporaryDirectory() as folder:
        for width in widths:
            path = Path(folder) / f"{width}.gguf"
            read = host.write_gguf(path, width)
            peers.append(
                Peer(LLAMA_CPP, DENSE, width, LlamaCpp(python, path, threads=threads, context=CONTEXT), read)
            )
            ends.callback(peers[-1].peer.close)
            path.unlink()
    return peers


def _interleave(
    engines: Sequence[DecodeEngine],
    hosts: Sequence[Hosting],
    prompt: Sequence[int],
    tokens: int,
    rounds: int,
    progress: Callable[[str], None],
) -> tuple[list[list[Run]], dict[tuple[str, str], float]]:
    """Return the runs of every engine, and by engine and data type the rate of its weights; the first round, which warms up, is thrown away."""
    runs: list[list[Run]] = [[] for _ in engines]
    rates: dict[tuple[str, str], float] = {}
    for round_number in range(rounds + 1):
        for engine, own in zip(engines, runs, strict=True):
            own.append(engine.decode(torch.tensor(prompt), tokens))
        rates = {(host.about.engine, host.about.dtype): host.stream() for host in hosts}
        progress(f"round {round_number} of {rounds}")
    return [own[1:] for own in runs], rates


def _load_average() -> float:
    """Return the machine's load over the last minute, NaN where the system keeps none (Windows)."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan


def _mean(values: Iterable[float | None]) -> float:
    return float(pd.Series(list(values), dtype=float).mean())


def _width(engine: DecodeEngine) -> str:
    """Return what we call an engine's weights; a peer has its own names."""
    ours = {theirs: name for name, theirs in _SAME_WIDTH.items()}
    return ours[engine.dtype] if isinstance(engine, Peer) else engine.dtype


def _rows(
    engines: Sequence[DecodeEngine],
    runs: list[list[Run]],
    dtype: str,
    weights: dict[str, tuple[int, int]],
    streams: dict[tuple[str, str], float],
    scope: str = FFN_ONLY,
) -> list[dict[str, Any]]:
    speeds = [pd.Series([len(run.seconds) / sum(run.seconds) for run in own]) for own in runs]
    widths = [_width(engine) for engine in engines]
    rows: list[dict[str, Any]] = []
    for engine, own, speed, width in zip(engines, runs, speeds, widths, strict=True):
        compared = width if dtype == EVERY_WIDTH else dtype
        dense = max(
            (
                other
                for one, other, of in zip(engines, speeds, widths, strict=True)
                if one.policy == DENSE and of == compared
            ),
            key=pd.Series.median,
        )
        left_out = {name: _mean(getattr(run, name) for run in own) for name in _SHARES[scope]}
        sparsity = left_out[SHARE[scope]]
        blocks, others = (0, engine.read) if isinstance(engine, Peer) else weights[engine.dtype]
        read = others + blocks * (1 - sparsity)
        stream = streams.get((engine.engine, engine.dtype), max(streams.values(), default=math.nan))
        ratio = speed / dense
        rows.append(
            {
                "engine": engine.engine,
                "policy": engine.policy,
                "dtype": engine.dtype,
                **left_out,
                "tokens_per_s": speed.median(),
                "tokens_per_s_low": speed.quantile(0.25),
                "tokens_per_s_high": speed.quantile(0.75),
                "ratio_vs_dense": ratio.median(),
                "ratio_low": ratio.quantile(0.25),
                "ratio_high": ratio.quantile(0.75),
                "ceiling": (others + blocks) / read,
                **{f"{site}_dropped": _mean(run.dropped.get(site) for run in own) for site in SITES[scope]},
                "stream_gb_s": stream,
                "stream_share": speed.median() * read / 1e9 / stream,
                "policy_share": pd.Series(
                    [sum(run.policy_seconds) / sum(run.seconds) for run in own]
                ).median(),
                "read_mb": read / 1e6,
                "peak_memory_mb": own[-1].peak_memory_mb,
                "prefill_ms": 1e3 * pd.Series([run.prefill_seconds for run in own]).median(),
            }
        )
    return rows
