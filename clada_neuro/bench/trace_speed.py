"""Seconds that a trace of short sentences takes, beside packages that give surprisal alone.

Ours is the whole trace: surprisal, entropies and the activity of every layer, with word tables and lags; beside it
stand the same passes of the model alone, which no trace can do without, their products, and as many operations in large products. The others compute surprisal only, in batches of
32, which suits them best. Models are loaded before the clock starts; rounds of
all tools are interleaved, and the median round counts.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch
from torch import nn

from clada_neuro.artifacts import package_data
from clada_neuro.bench.engines import now
from clada_neuro.bench.scoring_peers import TOOLS, ScoringPeers, save_for_peers
from clada_neuro.errors import ModelError
from clada_neuro.instrument.texts import read_texts
from clada_neuro.instrument.trace import trace
from clada_neuro.models import branching
from clada_neuro.models.linear import inputs_of, is_linear, weights_of
from clada_neuro.models.loading import LanguageModel, load_model
from clada_neuro.runtime.sweeps import swept
from clada_neuro.stimuli import datasets
from clada_neuro.stimuli.formats import read_stimuli

OURS = "clada-neuro"
MODEL = "the model's passes alone"
PRODUCTS = "their products alone"
LARGE = "as many operations in large products"
_MEASURES = {OURS: "all"} | dict.fromkeys((MODEL, PRODUCTS, LARGE), "none")
_LARGE, _TIMES = 2048, 3  # rows and columns of such a product, and how many are timed
PEER_BATCH = 32


def bench_trace(
    model: str = "smollm2",
    *,
    dtype: str = "float32",
    stimuli: str | Path | None = None,
    sentences: int = 200,
    rounds: int = 3,
    peer_python: str | Path | None = None,
    progress: Callable[[str], None] = lambda line: None,
    **loading: Any,
) -> pd.DataFrame:
    """Time traces of our own stimuli, on the CPU unless another device is named.

    Parameters
    ----------
    model : str
        As in `clada_neuro.load_model`.
    dtype : {"float32", "bfloat16"}
        Of every tool: peers read the same checkpoint.
    stimuli : str or Path, optional
        Name of a data set or a stimulus file; our own N400 stimuli by default.
    sentences : int
        How many of them.
    peer_python : str or Path, optional
        Interpreter that has minicons and surprisal; without it only our rows are measured.
    loading
        Keywords of `clada_neuro.load_model`.

    Returns
    -------
    pandas.DataFrame
        One row per tool: ``tool``, ``version``, ``measures``, ``sentences``, ``words``, ``seconds``, ``words_per_s``,
        ``ratio`` (its seconds over ours; above 1 is slower than ours), ``highest_ratio`` (its seconds over those of our
        products alone: what a trace could reach that took no time for anything else), of the products ``gflop_per_s``, and
        the model's ``device``.
    """
    texts = _stimuli(stimuli).head(sentences)
    language_model = load_model(model, **{"device": "cpu", "dtype": dtype, **_chosen(loading)})
    passes = _recorded(texts, language_model)
    flop = _flop(language_model, passes)
    runs = {
        OURS: partial(_ours, texts, language_model),
        MODEL: partial(_alone, language_model, passes),
        PRODUCTS: partial(_products, language_model, passes),
        LARGE: partial(_large, language_model, flop),
    }
    if peer_python is None:
        return _rows(_rounds(runs, rounds, progress), texts, {}, str(language_model.device), flop)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(ScoringPeers(peer_python, save_for_peers(language_model, Path(folder)))) as peers,
    ):
        plain = [text.text for text in read_texts(texts, language_model.tokenizer)]
        versions = {tool: _version(peers, tool) for tool in TOOLS}
        runs |= {tool: partial(_peer, peers, tool, plain) for tool in TOOLS}
        times = _rounds(runs, rounds, progress)
    return _rows(times, texts, versions, str(language_model.device), flop)


def _stimuli(given: str | Path | None) -> pd.DataFrame:
    if given is None:
        return read_stimuli(package_data("stimuli", "n400_demo.csv"))
    return datasets.load(str(given)) if str(given) in datasets.names() else read_stimuli(given)


def _chosen(loading: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was chosen: ``auto`` means a CPU here, where the peers run."""
    return {name: value for name, value in loading.items() if value not in (None, "auto")}


def _ours(stimuli: pd.DataFrame, model: LanguageModel) -> float:
    started = now(model.device)
    trace(stimuli, model, progress=False)
    return now(model.device) - started


@dataclass(frozen=True)
class _Pass:
    """What a trace gives to the model, and for how many positions it asks the output layer."""

    inputs: dict[str, Any]
    positions: int


def _recorded(stimuli: pd.DataFrame, model: LanguageModel) -> list[_Pass]:
    """Return the passes of a trace; this first one also warms up."""
    inputs: list[dict[str, Any]] = []
    positions: list[int] = []
    hooks = [
        model.model.register_forward_pre_hook(
            lambda _, args, given: inputs.append(deepcopy(given)), with_kwargs=True
        ),
        model.model.get_output_embeddings().register_forward_hook(
            lambda _, args, logits: positions.append(logits.shape[1])
        ),
    ]
    try:
        trace(stimuli, model, progress=False)
    finally:
        for hook in hooks:
            hook.remove()
    return [_Pass(*one) for one in zip(inputs, positions, strict=True)]


@torch.inference_mode()
def _alone(model: LanguageModel, passes: list[_Pass]) -> float:
    """Return the seconds of the same passes without anything around them."""
    passes = deepcopy(passes)  # a pass adds to its cache
    asked = iter([one.positions for one in passes])
    hook = model.model.get_output_embeddings().register_forward_pre_hook(
        lambda _, args: (args[0].flatten(0, 1)[None, : next(asked)],)
    )
    try:
        started = now(model.device)
        for one in passes:
            with swept(model.model), branching.read_by(model.model, one.inputs["attention_mask"]):
                model.model(**one.inputs)
        return now(model.device) - started
    finally:
        hook.remove()


@torch.inference_mode()
def _products(model: LanguageModel, passes: list[_Pass]) -> float:
    """Return the seconds of the same passes' products by the model's weights, each as its linear map takes it."""
    seconds = 0.0
    for parts, rows in _maps(model, passes):
        given = {width: _noise(model, rows, width) for width in {inputs_of(part) for part in parts}}
        began = now(model.device)
        for part in parts:
            part(given[inputs_of(part)])
        seconds += now(model.device) - began
    return seconds


def _maps(model: LanguageModel, passes: list[_Pass]) -> Iterator[tuple[list[nn.Module], int]]:
    """Yield linear maps with how many rows each of them multiplies, pass by pass."""
    head = model.model.get_output_embeddings()
    inner = [part for part in model.model.modules() if is_linear(part) and part is not head]
    for one in passes:
        yield inner, one.inputs["input_ids"].numel()
        yield [head], one.positions


def _flop(model: LanguageModel, passes: list[_Pass]) -> float:
    """Return the operations of the products: a multiplication and an addition for each weight and row."""
    weights = [(sum(weights_of(part) for part in parts), rows) for parts, rows in _maps(model, passes)]
    return float(sum(2 * rows * count for count, rows in weights))


@torch.inference_mode()
def _large(model: LanguageModel, flop: float) -> float:
    """Return the seconds that so many operations take at the rate of one large product, the fastest of a few."""
    one = _noise(model, _LARGE, _LARGE)
    seconds = []
    for _ in range(_TIMES + 1):
        began = now(model.device)
        one @ one
        seconds.append(now(model.device) - began)
    return min(seconds) * flop / (2 * _LARGE**3)


def _noise(model: LanguageModel, rows: int, width: int) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(0)).to(
        model.device, model.model.dtype
    )


def _version(peers: ScoringPeers, tool: str) -> str:
    """Load a tool's model by a first question."""
    return str(_asked(peers, tool, ["The first question loads the model."])["version"])


def _peer(peers: ScoringPeers, tool: str, texts: list[str]) -> float:
    batches = [texts[place : place + PEER_BATCH] for place in range(0, len(texts), PEER_BATCH)]
    return sum(_asked(peers, tool, batch)["seconds"] for batch in batches)


def _asked(peers: ScoringPeers, tool: str, texts: list[str]) -> dict[str, Any]:
    reply = peers.words(tool, texts)
    if "error" in reply:
        raise ModelError(f"{tool} stopped: {reply['error']}; install it for that interpreter or leave it out")
    return reply


def _rounds(
    runs: Mapping[str, Callable[[], float]], rounds: int, progress: Callable[[str], None]
) -> dict[str, float]:
    seconds: dict[str, list[float]] = {tool: [] for tool in runs}
    for number in range(rounds):
        for tool, run in runs.items():
            seconds[tool].append(run())
            progress(f"round {number + 1} of {rounds}: {tool} {seconds[tool][-1]:.1f} s")
    return {tool: median(values) for tool, values in seconds.items()}


def _rows(
    times: dict[str, float], stimuli: pd.DataFrame, versions: dict[str, str], device: str, flop: float
) -> pd.DataFrame:
    words = int(stimuli["sentence"].str.split().str.len().sum())
    return pd.DataFrame(
        {
            "tool": tool,
            "device": device,
            "version": versions.get(tool, ""),
            "measures": _MEASURES.get(tool, "surprisal"),
            "sentences": len(stimuli),
            "words": words,
            "seconds": round(seconds, 2),
            "words_per_s": round(words / seconds, 1),
            "ratio": round(seconds / times[OURS], 2),
            "highest_ratio": round(seconds / times[PRODUCTS], 2),
            "gflop_per_s": round(flop / seconds / 1e9, 1) if tool in (PRODUCTS, LARGE) else None,
        }
        for tool, seconds in times.items()
    )
