"""What measures the shards of a trace: a loaded model in this process; workers have their own (`clada_neuro.scale.spread`)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol
from zlib import crc32

import pandas as pd
from torch import Tensor

from clada_neuro.artifacts import (
    content_hash,
)
from clada_neuro.instrument.batching import Measures, Window
from clada_neuro.instrument.depth import MeasuredLayers
from clada_neuro.instrument.forward import Forward
from clada_neuro.instrument.frames import MeasuredText, layers_table, tokens_table, top_k_table, words_table
from clada_neuro.instrument.layer_choice import LayerChoice
from clada_neuro.instrument.masked import MaskedForward, forward_for
from clada_neuro.instrument.shards import (
    LAYERS,
    TOP_K,
    WORD_LAYERS,
    Frames,
)
from clada_neuro.instrument.similarity import Association, mean_embedding, of_embeddings
from clada_neuro.instrument.texts import read_texts
from clada_neuro.instrument.under_policy import PolicyForward, describe
from clada_neuro.models import linear
from clada_neuro.models.limits import check_vocabulary
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.places import Failure
from clada_neuro.models.registry import measured_layers
from clada_neuro.progress import ProgressBar
from clada_neuro.runtime.cutoffs import Cutoffs
from clada_neuro.runtime.policy import Policy


class Measurer(Protocol):
    """Measures shards of stimuli under one setting, here or on other machines."""

    @property
    def described(self) -> dict[str, Any]:
        """Everything that decides a value, as the manifest records it."""

    def measure(self, shards: Mapping[int, pd.DataFrame]) -> Iterator[tuple[int, Frames | Failure]]:
        """Yield the tables of each numbered shard, in any order."""


@dataclass(frozen=True)
class ModelMeasurer:
    """Measures stimuli in this process with a loaded model."""

    model: LanguageModel
    policy: Policy | None
    language: str
    progress: bool
    top_k: int = 0
    cutoffs: Cutoffs | None = None
    layers: LayerChoice | None = None

    @property
    def described(self) -> dict[str, Any]:
        """Model, language, policy, the threads of a CPU, which move the last bits, and why activity is missing.

        The speeds of its linear maps decide nothing; they tell why these took the routes that they did.
        """
        _, reason = measured_layers(self.model.model)
        return ({"activity": reason} if reason else {}) | {
            "model": self.model.describe(),
            "language": self.language,
            "policy": describe(self.policy),
            "neuron_sparsity": self._neuron_sparsity(),
            "top_k": self.top_k,
            "threads": self.model.threads,
            linear.SPEEDS: linear.speeds(self.model.model),
            **({"word_layers": self.depth.described} if self.depth else {}),
        }

    @cached_property
    def depth(self) -> MeasuredLayers | None:
        """What measures by layer, if that was asked for."""
        return MeasuredLayers(self.model, self.layers) if self.layers else None

    @cached_property
    def centre(self) -> Tensor:
        """What input embeddings are taken from."""
        return mean_embedding(self.model)

    @cached_property
    def _forward(self) -> Forward | MaskedForward:
        return forward_for(self.model, self.policy is None, self.top_k, self.cutoffs)

    def _neuron_sparsity(self) -> dict[str, Any]:
        """Return what decides which neurons count as left out, or why the column is missing."""
        if self.policy is not None:
            return {"of": "policy"}
        if self.cutoffs is None:
            return {"missing": "no calibration of this model was given"}
        return {**self.cutoffs.source, "values": content_hash(self.cutoffs.values.cpu().numpy())}

    def measure(self, shards: Mapping[int, pd.DataFrame]) -> Iterator[tuple[int, Frames | Failure]]:
        """Yield the tables of each shard, in order."""
        total = sum(map(len, shards.values()))
        with ProgressBar(
            total=total, desc="trace", unit="text", disable=not (self.progress and shards)
        ) as bar:
            for number, stimuli in shards.items():
                # A copy takes along what pandas keeps with a frame; the shards themselves stay to the end.
                yield number, _shard(self, stimuli.copy(deep=False), self._forward, bar)


def _shard(
    work: ModelMeasurer, stimuli: pd.DataFrame, forward: Forward | MaskedForward, bar: ProgressBar
) -> Frames:
    tokenizer = work.model.tokenizer
    texts = read_texts(stimuli, tokenizer)
    for text in texts:
        check_vocabulary(work.model.model, text.ids, f"stimulus '{text.stimulus_id}'")
    windows = [forward.windows(number, text) for number, text in enumerate(texts)]
    found: dict[int, list[tuple[Window, Measures]]] = defaultdict(list)
    for window, measures in _measures(work, stimuli, windows, forward):
        found[window.text].append((window, measures))
        bar.update(len(found[window.text]) == len(windows[window.text]))
    bar.update(sum(not pieces for pieces in windows))
    spaced = forward.vocabulary.spaced.cpu().numpy()
    measured = [
        MeasuredText.of(text, sorted(found[number], key=lambda pair: pair[0].first), spaced)
        for number, text in enumerate(texts)
        if windows[number]
    ]
    names = [tokenizer.convert_ids_to_tokens(list(one.text.ids)) for one in measured]
    tokens = tokens_table(measured, names)
    associations = [Association.of(text, work.language) for text in texts]
    similarity = of_embeddings(texts, associations, work.model, work.centre)
    words = words_table(tokens, texts, stimuli, work.language, similarity, work.model.masked)
    frames = {"tokens": tokens, "words": words}
    frames |= {LAYERS: layers_table(measured)} if forward.layers else {}
    if work.depth and work.depth.layers:
        numbers = [number for number in range(len(texts)) if windows[number]]
        activity = {number: one.activity for number, one in zip(numbers, measured, strict=True)}
        frames[WORD_LAYERS] = work.depth.table(texts, windows, activity, associations)
    return frames | ({TOP_K: top_k_table(measured, tokenizer, forward.top_k)} if forward.top_k else {})


def _measures(
    work: ModelMeasurer, stimuli: pd.DataFrame, windows: list[list[Window]], forward: Forward | MaskedForward
) -> Iterator[tuple[Window, Measures]]:
    """Yield the windows of every text with their measures, in any order."""
    every = [window for pieces in windows for window in pieces]
    if work.policy is not None and isinstance(forward, Forward):
        names = [f"{stimuli['stimulus_id'].iloc[window.text]}/{window.first}" for window in every]
        return PolicyForward(forward, work.policy).measure(every, [crc32(name.encode()) for name in names])
    groups = _groups(stimuli)
    keys = [
        groups[window.text] if len(windows[window.text]) == 1 else (window.text, window.first)
        for window in every
    ]
    return forward.measure(every, keys)


def _groups(stimuli: pd.DataFrame) -> list[Any]:
    """Return what may share a prefix: the conditions of one item after the same context."""
    contexts = stimuli["context"].fillna("") if "context" in stimuli else [""] * len(stimuli)
    return list(zip(stimuli["item"], contexts, strict=True))
