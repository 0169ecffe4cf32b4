"""Measure words by layer: predictions from inner layers (the logit lens), movement of the residual stream, attention, activity.

The measures are declared in `clada_neuro.measures.layers`. Texts run in passes of their own, however those of the other
measures are packed: the projection onto the vocabulary from every layer costs several times the passes. Activity is taken from
those other passes. Memory is bounded: a pass holds the streams of a block of layers, and predictions of a few positions at a time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from clada_neuro import tables
from clada_neuro.errors import ModelError
from clada_neuro.instrument.batching import Window, plan_whole
from clada_neuro.instrument.layer_choice import LayerChoice
from clada_neuro.instrument.lens import lens, movement
from clada_neuro.instrument.similarity import Association, of_states
from clada_neuro.instrument.texts import StimulusText
from clada_neuro.measures.layers import ACTIVE, ASSOCIATION, ATTENTION, LENS, MOVEMENT
from clada_neuro.measures.measure import Measure
from clada_neuro.models.attention import Attention
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.memory import free_bytes
from clada_neuro.models.registry import measured_layers
from clada_neuro.models.rotation import rotates_by_length
from clada_neuro.models.stream import stream_of
from clada_neuro.models.translators import Translators, read_translators

# Kernels for fewer tokens add up in another order; such a pass repeats its rows, as all passes do.
FEWEST_TOKENS = 16
MOST_TOKENS = 1024
MOST_STATES = 1 << 26  # numbers of the streams of one pass: 256 MiB in float32
CPU_LOGITS, GPU_LOGITS = 1 << 22, 1 << 26  # numbers of one prediction at a time
_AT_ONCE = 6  # predictions in memory: the layer's, that below, the last, logits and two products
_WEIGHTS = 3  # of attention in memory: scores, shares, their logarithms
_GB = 1e9

Activity = Mapping[str, np.ndarray]  # measures of the scored tokens, each (tokens, layers)
Found = list[tuple[Window, np.ndarray]]


class MeasuredLayers:
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

    def __init__(self, model: LanguageModel, choice: LayerChoice) -> None:
        stream, reason = stream_of(model.model)
        self._missing = [reason] if reason else []
        self._device = model.device
        self.layers: list[int] = []
        self.measures: tuple[Measure, ...] = ()
        self._translators: Translators | None = None
        if stream is not None:
            self._stream = stream
            self.layers = choice.of(stream.n_layers)
            self._lens: tuple[Measure, ...] = () if stream.no_lens else LENS
            self._missing = [stream.no_lens] if stream.no_lens else []
            self._attention = self._attention_of(model) if choice.attention else None
            self._in_passes = (*self._lens, *MOVEMENT, *ASSOCIATION, *(ATTENTION if self._attention else ()))
            self._active = ACTIVE if self._has_activity(model) else ()
            self.measures = (*self._in_passes, *self._active)
            if choice.translators:
                self._translators = read_translators(choice.translators, model.model, stream.n_layers)
            self._by_length = rotates_by_length(model.model)
            self._hidden = int(model.model.config.get_text_config().hidden_size)
            self._n_logits = int(model.model.get_output_embeddings().weight.shape[0])
            most = GPU_LOGITS if self._device.type == "cuda" else CPU_LOGITS
            self._rows = max(1, most // self._n_logits)
            self._check_memory(model.model.dtype.itemsize)

    @property
    def described(self) -> dict[str, Any]:
        """Which layers are measured, by whose translators, and why measures of the stream or of predictions from it are missing."""
        return {
            "layers": self.layers,
            "measures": [one.name for one in self.measures],
            **({"translators": self._translators.source} if self._translators else {}),
            **({"missing": "; ".join(self._missing)} if self._missing else {}),
        }

    def _attention_of(self, model: LanguageModel) -> Attention | None:
        """Return what records attention, if the model gives it in any layer."""
        found = Attention(model.model, self._stream.modules)
        self._missing += [found.missing] if found.missing else []
        self._heads = int(getattr(model.model.config.get_text_config(), "num_attention_heads", 1))
        return found if found.layers else None

    def _has_activity(self, model: LanguageModel) -> bool:
        """Return whether each layer has a block whose activity is measured; where none has, the manifest says so itself."""
        blocks, _ = measured_layers(model.model)
        if blocks and len(blocks) != self._stream.n_layers:
            self._missing.append(
                f"activity is measured in {len(blocks)} blocks, which {self._stream.n_layers} layers do not share out"
            )
        return len(blocks) == self._stream.n_layers

    @torch.inference_mode()
    def table(
        self,
        texts: Sequence[StimulusText],
        windows: Sequence[Sequence[Window]],
        activity: Mapping[int, Activity],
        words: Sequence[Association],
    ) -> pd.DataFrame:
        """Return one row per word and layer (`tables.WORD_LAYERS`); activity by the number of the text."""
        every = [window for pieces in windows for window in pieces]
        self._check_weights(max((len(window.ids) for window in every), default=0))
        first, others = predictions(every, self._by_length)
        found: dict[Window, np.ndarray] = {}
        budget = min(MOST_TOKENS, MOST_STATES // (self._hidden * len(self._places(self.layers))))
        for batch in plan_whole(every, max(1, budget)):
            asked = np.array([first[window] for window in batch.windows])
            found |= zip(batch.windows, self._measured(batch.windows, asked, words), strict=True)
        ahead = len(self._lens)
        for window, at, source in others:
            found[window][:ahead, :, at] = found[source][:ahead, :, at]
        blocks = [
            self._words(text, [(window, found[window]) for window in pieces], activity.get(number, {}))
            for number, (text, pieces) in enumerate(zip(texts, windows, strict=True))
        ]
        return self._frame(texts, blocks)

    def _measured(
        self, windows: Sequence[Window], asked: np.ndarray, words: Sequence[Association]
    ) -> np.ndarray:
        """Return the measures of windows of one length, (windows, measures, layers, positions).

        `asked`, (windows, positions), says which predictions.
        """
        length, states = len(windows[0].ids), len(windows[0].ids) * len(windows) * self._hidden
        found = np.full((len(windows), len(self._in_passes), len(self.layers), length), np.nan)
        moved = len(self._lens) + len(MOVEMENT)
        size = len(self.layers)
        if states * len(self._places(self.layers)) > MOST_STATES:
            size = max(1, (MOST_STATES // states - 1) // 2)  # beside the last, each with the place below it
        for start in range(0, len(self.layers), size):
            block = self.layers[start : start + size]
            part = found[:, :, start : start + size]
            streams, entropies = self._pass(windows, block)
            part[:, len(self._lens) : moved] = movement(streams, block)
            states_of = torch.stack([streams[layer].to(self._device) for layer in block])
            for row, window in enumerate(windows):
                part[row, moved] = of_states(words[window.text], window, states_of[:, row])
            for place, layer in enumerate(block):
                if layer in entropies:
                    part[:, moved + 1, place, 1:] = entropies[layer][:, 1:].cpu().double().numpy()
            if self._lens:
                self._predicted(windows, asked, streams, block, part[:, : len(LENS)])
        return found

    def _pass(
        self, windows: Sequence[Window], layers: Sequence[int]
    ) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """Return the stream by place, (windows, seq, hidden), and the entropy of attention by layer, (windows, seq)."""
        ids = torch.tensor([window.ids for window in windows], device=self._device)
        ids = ids.repeat(-(-FEWEST_TOKENS // ids.numel()), 1)
        places = self._places(layers)
        if self._attention is None:
            with self._stream.recorded(places) as streams:
                self._stream.run(ids)
            entropies: dict[int, Tensor] = {}
        else:
            able = [layer for layer in layers if layer in self._attention.layers]
            with self._stream.recorded(places) as streams, self._attention.recorded(able) as entropies:
                self._stream.run(ids)
        rows = slice(len(windows))
        return (
            {place: states[rows] for place, states in streams.items()},
            {layer: bits[rows] for layer, bits in entropies.items()},
        )

    def _predicted(
        self,
        windows: Sequence[Window],
        asked: np.ndarray,
        streams: dict[int, Tensor],
        layers: Sequence[int],
        out: np.ndarray,
    ) -> None:
        """Fill in `LENS`, (windows, measures, layers, positions), where predictions are asked for."""
        ids = np.array([window.ids for window in windows])
        for rows in np.array_split(np.argwhere(asked), -(-int(asked.sum()) // self._rows) or 1):
            row, at = rows.T
            some = {place: self._read(place, states[row, at]) for place, states in streams.items()}
            targets = torch.from_numpy(ids[row, at + 1])
            values = lens(self._stream.predict, some, layers, self._stream.n_layers - 1, targets)
            out[row, :, :, at] = values.transpose(2, 0, 1)

    def _read(self, place: int, states: Tensor) -> Tensor:
        """Return what the model's tail reads of a stream at a place."""
        return self._translators(place, states) if self._translators else states

    def _places(self, layers: Sequence[int]) -> list[int]:
        """Return the places that are needed of some layers: themselves, those below and the last."""
        return sorted({*layers, *(layer - 1 for layer in layers), self._stream.n_layers - 1})

    def _words(self, text: StimulusText, found: Found, activity: Activity) -> np.ndarray:
        """Return the measures of a text's words, (words, layers, measures), by their rules over a word's own tokens."""
        out = np.full((len(text.words), len(self.layers), len(self.measures)), np.nan)
        own = np.flatnonzero(text.tokens.own & (text.tokens.word_index >= 0))
        if not len(own):
            return out
        tokens = self._tokens(text, found, activity)[own]
        word = text.tokens.word_index[own]
        first = np.flatnonzero(np.append(True, word[1:] != word[:-1]))
        last = np.append(first[1:], len(word)) - 1
        count = np.diff(np.append(first, len(word)))[:, None]
        for place, measure in enumerate(self.measures):
            values = tokens[:, :, place]
            if measure.word_rule in ("first", "last"):
                out[word[first], :, place] = values[first if measure.word_rule == "first" else last]
            else:
                total = np.add.reduceat(values, first)
                out[word[first], :, place] = total / count if measure.word_rule == "mean" else total
        return out

    def _tokens(self, text: StimulusText, found: Found, activity: Activity) -> np.ndarray:
        """Return the measures of a text's tokens, (tokens, layers, measures), predictions from the position before."""
        out = np.full((len(text.ids), len(self.layers), len(self.measures)), np.nan)
        ahead, passed = len(self._lens), len(self._in_passes)
        ends = [window.scored for window, _ in found[1:]] + [len(text.ids)]
        for (window, values), end in zip(found, ends, strict=True):
            for token in range(window.scored, end):
                at = window.input_position(token)
                out[token, :, ahead:passed] = values[ahead:, :, at].T
                if at > 0:
                    out[token, :, :ahead] = values[:ahead, :, at - 1].T
        if self._active:
            wanted = {one.name: activity[one.name][:, self.layers] for one in self._active}
            out[text.scored :, :, passed:] = np.stack(list(wanted.values()), axis=-1)
        return out

    def _frame(self, texts: Sequence[StimulusText], blocks: Sequence[np.ndarray]) -> pd.DataFrame:
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
            step: self._needed(len(self._places(LayerChoice(step).of(n))), bytes_a_number)
            for step in range(2, n + 1)
        }
        step = next((step for step, fewer in steps.items() if fewer <= min(free, needed)), None)
        instead = f"--layers every:{step} takes {steps[step] / _GB:.1f} GB" if step else "use a smaller model"
        raise ModelError(
            f"measures of {len(self.layers)} layers need {needed / _GB:.1f} GB beside the model, {free / _GB:.1f} GB are "
            f"free on {self._device}; {instead}"
        )

    def _check_weights(self, length: int) -> None:
        """Raise `ModelError` if the attention of a text of so many tokens is larger than what is free."""
        if self._attention is None:
            return
        needed, free = _WEIGHTS * self._heads * length**2 * 4, free_bytes(self._device)
        if needed > free:
            raise ModelError(
                f"attention over {length:,} tokens needs {needed / _GB:.1f} GB beside the model, {free / _GB:.1f} GB are free on "
                f"{self._device}; leave attention (--attention) out or give shorter texts"
            )

    def _needed(self, places: int, bytes_a_number: int) -> int:
        states = min(MOST_STATES, MOST_TOKENS * self._hidden * places) * bytes_a_number
        return states + _AT_ONCE * self._rows * self._n_logits * 4


def predictions(
    windows: Sequence[Window], by_length: bool = False
) -> tuple[dict[Window, np.ndarray], list[tuple[Window, int, Window]]]:
    """Return where predictions are asked for the first time, and where they are those of another window.

    After the same tokens a causal model predicts the same, where positions do not depend on the length of the text
    (`by_length`); conditions of an item often begin alike.

    Returns
    -------
    first : dict of numpy.ndarray of bool, each of shape (positions,)
    others : list of (Window, int, Window)
        Window and position, and the window that has the prediction at the same position.
    """
    nodes: dict[tuple[int, int], int] = {}  # of the tree of all beginnings
    sources: dict[int, Window] = {}
    first = {window: np.zeros(len(window.ids), bool) for window in windows}
    others = []
    for window in windows:
        node = -len(window.ids) if by_length else -1
        for at, token in enumerate(window.ids):
            node = nodes.setdefault((node, token), len(nodes))
            if at > window.asked:
                source = sources.setdefault(node, window)
                if source is window:
                    first[window][at - 1] = True
                else:
                    others.append((window, at - 1, source))
    return first, others
