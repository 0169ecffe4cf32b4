"""Measure words by layer: predictions from inner layers (the logit lens), and the movement of the residual stream.

The measures are declared in `clada_neuro.measures.layers`. Texts run in passes of their own, however those of the other
measures are packed: the projection onto the vocabulary from every layer costs several times the passes. Memory is bounded: a pass
holds the streams of a block of layers, and predictions of a few positions at a time.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from clada_neuro import tables
from clada_neuro.errors import ModelError
from clada_neuro.instrument.batching import Window, plan_whole
from clada_neuro.instrument.information import log_probabilities
from clada_neuro.instrument.layer_choice import Choice
from clada_neuro.instrument.texts import Text
from clada_neuro.measures.layers import BY_LAYER, LENS, MOVEMENT
from clada_neuro.measures.measure import Measure, in_order
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.memory import free_bytes
from clada_neuro.models.stream import stream_of

# Kernels for fewer tokens add up in another order; such a pass repeats its rows, as all passes do.
FEWEST_TOKENS = 16
MOST_TOKENS = 1024
MOST_STATES = 1 << 26  # numbers of the streams of one pass: 256 MiB in float32
CPU_LOGITS, GPU_LOGITS = 1 << 22, 1 << 26  # numbers of one prediction at a time
_AT_ONCE = 6  # predictions in memory: the layer's, that below, the last, logits and two products
_GB = 1e9

Found = list[tuple[Window, np.ndarray]]


class Depth:
    """The layers of a model made ready to be measured.

    Attributes
    ----------
    layers : list of int
        Which; empty where the model has no residual stream that is known here.
    measures : tuple of Measure
        What the model can give of `BY_LAYER`.

    Raises
    ------
    DataError
        If a layer does not exist.
    ModelError
        If memory is too short for so many layers.
    """

    def __init__(self, model: LanguageModel, choice: Choice) -> None:
        stream, self._reason = stream_of(model.model)
        self._device = model.device
        self.layers: list[int] = []
        self.measures: tuple[Measure, ...] = ()
        if stream is not None:
            self._stream = stream
            self.layers = choice.of(stream.n_layers)
            self.measures = MOVEMENT if stream.no_lens else BY_LAYER
            self._reason = stream.no_lens
            self._hidden = int(model.model.config.get_text_config().hidden_size)
            self._n_logits = int(model.model.get_output_embeddings().weight.shape[0])
            most = GPU_LOGITS if self._device.type == "cuda" else CPU_LOGITS
            self._rows = max(1, most // self._n_logits)
            self._check_memory(model.model.dtype.itemsize)

    @property
    def described(self) -> dict[str, Any]:
        """Which layers are measured, and why measures of the stream or of predictions from it are missing."""
        missing = {"missing": self._reason} if self._reason else {}
        return {"layers": self.layers, "measures": [one.name for one in self.measures], **missing}

    @torch.inference_mode()
    def table(self, texts: Sequence[Text], windows: Sequence[Sequence[Window]]) -> pd.DataFrame:
        """Return one row per word and layer (`tables.WORD_LAYERS`)."""
        every = [window for pieces in windows for window in pieces]
        found: dict[int, Found] = defaultdict(list)
        budget = min(MOST_TOKENS, MOST_STATES // (self._hidden * len(self._places(self.layers))))
        for batch in plan_whole(every, max(1, budget)):
            for window, values in zip(batch.windows, self._measured(batch.windows), strict=True):
                found[window.text].append((window, values))
        blocks = [self._words(text, found[number]) for number, text in enumerate(texts)]
        return self._frame(texts, blocks)

    def _measured(self, windows: Sequence[Window]) -> np.ndarray:
        """Return the measures of windows of one length, (windows, measures, layers, positions)."""
        length, states = len(windows[0].ids), len(windows[0].ids) * len(windows) * self._hidden
        found = np.full((len(windows), len(self.measures), len(self.layers), length), np.nan)
        size = len(self.layers)
        if states * len(self._places(self.layers)) > MOST_STATES:
            size = max(1, (MOST_STATES // states - 1) // 2)  # beside the last, each with the place below it
        for start in range(0, len(self.layers), size):
            block = self.layers[start : start + size]
            part = found[:, :, start : start + size]
            streams = self._pass(windows, block)
            part[:, -len(MOVEMENT) :] = movement(streams, block)
            if not self._stream.no_lens:
                self._lens(windows, streams, block, part[:, : len(LENS)])
        return found

    def _pass(self, windows: Sequence[Window], layers: Sequence[int]) -> dict[int, Tensor]:
        ids = torch.tensor([window.ids for window in windows], device=self._device)
        ids = ids.repeat(-(-FEWEST_TOKENS // ids.numel()), 1)
        with self._stream.recorded(self._places(layers)) as streams:
            self._stream.run(ids)
        return {place: states[: len(windows)] for place, states in streams.items()}

    def _lens(
        self,
        windows: Sequence[Window],
        streams: dict[int, Tensor],
        layers: Sequence[int],
        out: np.ndarray,
    ) -> None:
        """Fill in, (windows, `LENS`, layers, positions), where a prediction is asked for and a token follows."""
        ids = np.array([window.ids for window in windows])
        asked = np.arange(ids.shape[1] - 1) >= np.array([window.asked for window in windows])[:, None]
        for rows in np.array_split(np.argwhere(asked), -(-int(asked.sum()) // self._rows) or 1):
            row, at = rows.T
            some = {place: states[row, at] for place, states in streams.items()}
            targets = torch.from_numpy(ids[row, at + 1])
            values = lens(self._stream.predict, some, layers, self._stream.n_layers - 1, targets)
            out[row, :, :, at] = values.transpose(2, 0, 1)

    def _places(self, layers: Sequence[int]) -> list[int]:
        """Return the places that are needed of some layers: themselves, those below and the last."""
        return sorted({*layers, *(layer - 1 for layer in layers), self._stream.n_layers - 1})

    def _words(self, text: Text, found: Found) -> np.ndarray:
        """Return the measures of a text's words, (words, layers, measures), by their rules over a word's own tokens."""
        out = np.full((len(text.words), len(self.layers), len(self.measures)), np.nan)
        own = np.flatnonzero(text.tokens.own & (text.tokens.word_index >= 0))
        if not len(own):
            return out
        tokens = self._tokens(text, found)[own]
        word = text.tokens.word_index[own]
        first = np.flatnonzero(np.append(True, word[1:] != word[:-1]))
        count = np.diff(np.append(first, len(word)))[:, None]
        for place, measure in enumerate(self.measures):
            values = tokens[:, :, place]
            if measure.word_rule == "first":
                out[word[first], :, place] = values[first]
            else:
                total = np.add.reduceat(values, first)
                out[word[first], :, place] = total / count if measure.word_rule == "mean" else total
        return out

    def _tokens(self, text: Text, found: Found) -> np.ndarray:
        """Return the measures of a text's tokens, (tokens, layers, measures), predictions from the position before."""
        out = np.full((len(text.ids), len(self.layers), len(self.measures)), np.nan)
        ahead = np.array([measure in LENS for measure in self.measures])
        pieces = sorted(found, key=lambda pair: pair[0].first)
        ends = [window.scored for window, _ in pieces[1:]] + [len(text.ids)]
        for (window, values), end in zip(pieces, ends, strict=True):
            for token in range(window.scored, end):
                at = window.input_position(token)
                out[token][:, ~ahead] = values[~ahead, :, at].T
                if at > 0:
                    out[token][:, ahead] = values[ahead, :, at - 1].T
        return out

    def _frame(self, texts: Sequence[Text], blocks: Sequence[np.ndarray]) -> pd.DataFrame:
        counts, n_layers = [len(text.words) for text in texts], len(self.layers)
        values = np.concatenate(blocks) if blocks else np.empty((0, n_layers, len(self.measures)))
        names = np.array([text.stimulus_id for text in texts], dtype=object)
        index = np.concatenate([np.empty(0, int), *map(np.arange, counts)])
        frame = pd.DataFrame(
            {
                "stimulus_id": pd.Series(np.repeat(np.repeat(names, counts), n_layers), dtype="str"),
                "word_index": np.repeat(index, n_layers),
                "layer": np.tile(self.layers, len(index)),
                **{one.name: values[:, :, place].reshape(-1) for place, one in enumerate(self.measures)},
            }
        )
        whole = {one.name: "Int64" for one in self.measures if one.dtype == "int"}
        return tables.validate(frame.astype(whole), tables.WORD_LAYERS)

    def _check_memory(self, bytes_a_number: int) -> None:
        """Raise `ModelError` if what a pass holds is larger than what is free; every N-th layer may fit."""
        free = free_bytes(self._device)
        needed = self._needed(len(self._places(self.layers)), bytes_a_number)
        if needed <= free:
            return
        n = self._stream.n_layers
        steps = {
            step: self._needed(len(self._places(Choice(step).of(n))), bytes_a_number)
            for step in range(2, n + 1)
        }
        step = next((step for step, fewer in steps.items() if fewer <= min(free, needed)), None)
        instead = f"--layers every:{step} takes {steps[step] / _GB:.1f} GB" if step else "use a smaller model"
        raise ModelError(
            f"measures of {len(self.layers)} layers need {needed / _GB:.1f} GB beside the model, {free / _GB:.1f} GB are "
            f"free on {self._device}; {instead}"
        )

    def _needed(self, places: int, bytes_a_number: int) -> int:
        states = min(MOST_STATES, MOST_TOKENS * self._hidden * places) * bytes_a_number
        return states + _AT_ONCE * self._rows * self._n_logits * 4


def movement(streams: dict[int, Tensor], layers: Sequence[int]) -> np.ndarray:
    """Return `MOVEMENT` from streams, each (rows, seq, hidden): (rows, measures, layers, seq)."""
    columns = []
    for layer in layers:
        here, below = (_real(streams[place]) for place in (layer, layer - 1))
        below = below.to(here.device)
        before = torch.cat([here[:, :1], here[:, :-1]], dim=1)
        found = {
            "displacement_below": 1 - torch.cosine_similarity(here, below, dim=-1),
            "norm_ratio_below": here.norm(dim=-1) / below.norm(dim=-1),
            "displacement_prev": 1 - torch.cosine_similarity(here, before, dim=-1),
        }
        for values in found.values():
            values[:, 0] = math.nan
        found["displacement_prev"][:, :2] = math.nan
        names = [one.name for one in MOVEMENT]
        columns.append(torch.stack(in_order(found, names), dim=1).cpu().double().numpy())
    return np.stack(columns, axis=2)


def lens(
    predict: Callable[[Tensor], Tensor],
    streams: dict[int, Tensor],
    layers: Sequence[int],
    last: int,
    targets: Tensor,
) -> np.ndarray:
    """Return `LENS` of some positions from the streams there, each (n, hidden): (measures, layers, n).

    Parameters
    ----------
    predict : callable
        From a stream to logits.
    layers : sequence of int
        Ascending; of each, the place below and the last are among the streams.
    targets : torch.Tensor of int, shape (n,)
        The tokens that came.
    """
    if not len(targets):
        return np.empty((len(LENS), len(layers), 0))
    known = {last: _Prediction(predict(streams[last]), targets)}
    columns = []
    for layer in layers:
        for place in (layer - 1, layer):
            if place not in known:
                known[place] = _Prediction(predict(streams[place]), targets)
        columns.append(known[layer].against(known[last], known[layer - 1]))
        known = {place: known[place] for place in (layer, last)}
    return torch.stack(columns, dim=1).cpu().double().numpy()


class _Prediction:
    """Log probabilities over the vocabulary, (n, vocabulary), and the rank of what came."""

    def __init__(self, logits: Tensor, targets: Tensor) -> None:
        came = targets.to(logits.device)[:, None]
        self.rank = (logits > logits.gather(1, came)).sum(dim=1) + 1
        self.log_p = log_probabilities(logits)
        self.nats = -self.log_p.gather(1, came)[:, 0]

    def against(self, final: "_Prediction", below: "_Prediction") -> Tensor:
        """Return the measures beside the predictions of the last layer and of that below, (`LENS`, n)."""
        p = self.log_p.exp()
        bits = {
            "lens_surprisal_bits": self.nats,
            "lens_entropy_bits": -(p * self.log_p).sum(dim=1),
            "lens_kl_last_bits": (p * (self.log_p - final.log_p)).sum(dim=1).clamp(min=0),
            "lens_kl_below_bits": (p * (self.log_p - below.log_p)).sum(dim=1).clamp(min=0),
        }
        found = {name: nats / math.log(2) for name, nats in bits.items()}
        found["lens_rank"] = self.rank.to(self.nats.dtype)
        return torch.stack(in_order(found, [one.name for one in LENS]))


def _real(states: Tensor) -> Tensor:
    """Return at least float32."""
    return states.to(torch.promote_types(states.dtype, torch.float32))
