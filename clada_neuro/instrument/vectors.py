"""Vectors of words: a model's residual stream and feed-forward activity at a word's last token, and its input embedding.

For encoding: what stands for a word in a regression on brain responses. The controls are of the same words: the same model
with weights that were never trained, the input embedding, which knows no context, and the states of the next word, which a
reader has not seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from transformers import AutoModelForCausalLM

from clada_neuro.errors import DataError, ModelError
from clada_neuro.instrument.batching import plan_whole, split_windows
from clada_neuro.instrument.depth import MOST_TOKENS
from clada_neuro.instrument.layer_choice import LayerChoice
from clada_neuro.instrument.texts import StimulusText, read_texts
from clada_neuro.models.checkpoint import ONE_AT_A_TIME
from clada_neuro.models.ffn import FFN
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.memory import free_bytes
from clada_neuro.models.registry import measured_layers
from clada_neuro.models.stream import Stream, stream_of
from clada_neuro.models.watching import See, watching

_GB = 1e9
Word = tuple[str, int]  # stimulus and number of the word


@dataclass(frozen=True)
class Vectors:
    """Vectors of words, (n_words, features), by layer; rows of words that are not there are missing.

    Attributes
    ----------
    states, activity : dict of int to numpy.ndarray
        Activity is empty where the model has no blocks that are known here, ``missing`` says why.
    embedding : numpy.ndarray
        Mean input embedding of the word's own tokens.
    """

    states: dict[int, np.ndarray]
    activity: dict[int, np.ndarray]
    embedding: np.ndarray
    missing: str


def untrained(model: LanguageModel, seed: int) -> LanguageModel:
    """Return a model of the same shape whose weights are drawn anew, as before training."""
    with ONE_AT_A_TIME, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        drawn = AutoModelForCausalLM.from_config(model.model.config, dtype=model.model.dtype)
    drawn = drawn.to(model.device).eval().requires_grad_(False)
    return replace(model, name=f"{model.name}, untrained", model=drawn, weights_hash="")


@torch.inference_mode()
def vectors_of(
    model: LanguageModel, stimuli: pd.DataFrame, words: Sequence[Word], choice: LayerChoice
) -> Vectors:
    """Return the vectors of some words of stimuli.

    Parameters
    ----------
    stimuli : pandas.DataFrame
        With ``stimulus_id``, ``sentence``, optional ``context`` and ``words``.
    words : sequence of Word
        In the order of the rows that come back. One beyond its sentence's last word has missing vectors.

    Raises
    ------
    ModelError
        If the model has no residual stream that is known here, or memory is too short.
    DataError
        If a layer or a stimulus does not exist.
    """
    stream, reason = stream_of(model.model)
    if stream is None:
        raise ModelError(f"no vectors of '{model.name}': {reason}")
    layers = choice.of(stream.n_layers)
    texts = {text.stimulus_id: text for text in read_texts(stimuli, model.tokenizer)}
    if absent := sorted({name for name, _ in words} - set(texts)):
        raise DataError(f"stimulus '{absent[0]}' is not among the stimuli")
    blocks, missing = _blocks(model)
    _check_memory(model, stream, layers, len(words), blocks)
    places = {word: _last_token(texts[word[0]], word[1]) for word in dict.fromkeys(words)}
    found = _read(model, stream, layers, blocks, texts, places)
    order = [found.get(word) for word in words]
    states = {layer: _stacked([one and one[0][n] for one in order]) for n, layer in enumerate(layers)}
    activity = {
        layer: _stacked([one and one[1][n] for one in order]) for n, layer in enumerate(layers) if blocks
    }
    return Vectors(states, activity, _embeddings(model, texts, words), missing)


def _blocks(model: LanguageModel) -> tuple[list[FFN], str]:
    """Return the feed-forward blocks whose neurons can be read one by one, or why they cannot."""
    found, reason = measured_layers(model.model)
    plain = [one for one in found if isinstance(one, FFN)]
    if len(plain) < len(found):
        return [], "experts of a mixture do not run for every word, so activity makes no vectors"
    return plain, reason


def _last_token(text: StimulusText, word: int) -> int | None:
    """Return a word's last own token in its text, None where it has none."""
    own = np.flatnonzero((text.tokens.word_index == word) & text.tokens.own)
    return int(own[-1]) if len(own) else None


def _read(
    model: LanguageModel,
    stream: Stream,
    layers: Sequence[int],
    blocks: Sequence[FFN],
    texts: Mapping[str, StimulusText],
    places: Mapping[Word, int | None],
) -> dict[Word, tuple[list[np.ndarray], list[np.ndarray]]]:
    """Return states and activity by layer of each word that has a token."""
    names = list(texts)
    wanted: dict[int, list[tuple[Word, int]]] = {}
    for word, token in places.items():
        if token is not None:
            wanted.setdefault(names.index(word[0]), []).append((word, token))
    windows = [
        window
        for number in wanted
        for window in split_windows(number, texts[names[number]].ids, model.start_token_id, model.max_context)
    ]
    found: dict[Word, tuple[list[np.ndarray], list[np.ndarray]]] = {}
    for batch in plan_whole(windows, MOST_TOKENS):
        hidden: dict[int, torch.Tensor] = {}
        seen = [blocks[layer] for layer in layers] if blocks else []
        with (
            stream.recorded(layers) as states,
            watching(seen, a=_into(hidden)),
        ):
            stream.run(torch.tensor([window.ids for window in batch.windows], device=model.device))
        for row, window in enumerate(batch.windows):
            for word, token in wanted[window.text]:
                at = window.input_position(token)
                if window.scored <= token and at < len(window.ids):  # the last window that has it stands
                    shape = (len(batch.windows), len(window.ids), -1)
                    found[word] = (
                        [_numbers(states[layer][row, at]) for layer in layers],
                        [_numbers(hidden[layer].reshape(shape)[row, at]) for layer in layers if blocks],
                    )
    return found


def _into(found: dict[int, torch.Tensor]) -> See:
    def see(block: FFN, a: torch.Tensor) -> None:
        found[block.layer] = a

    return see


def _embeddings(model: LanguageModel, texts: Mapping[str, StimulusText], words: Sequence[Word]) -> np.ndarray:
    embed = model.model.get_input_embeddings()
    rows: list[np.ndarray | None] = []
    for name, word in words:
        text = texts[name]
        own = np.flatnonzero((text.tokens.word_index == word) & text.tokens.own)
        ids = torch.tensor([[text.ids[token] for token in own]], dtype=torch.long, device=model.device)
        rows.append(_numbers(embed(ids)[0].mean(dim=0)) if len(own) else None)
    return _stacked(rows)


def _numbers(values: torch.Tensor) -> np.ndarray:
    return values.float().cpu().numpy()


def _stacked(rows: Sequence[np.ndarray | None]) -> np.ndarray:
    """Return rows as one array, missing ones as missing values."""
    width = next((len(row) for row in rows if row is not None), 0)
    return np.stack([np.full(width, np.nan, np.float32) if row is None else row for row in rows])


def _check_memory(
    model: LanguageModel, stream: Stream, layers: Sequence[int], n_words: int, blocks: Sequence[FFN]
) -> None:
    """Raise `ModelError` if the vectors of so many layers are larger than what is free."""
    width = int(model.model.config.get_text_config().hidden_size)
    width += max((block.intermediate_size for block in blocks), default=0)
    each, free = 2 * 4 * n_words * width, free_bytes(torch.device("cpu"))
    if each * len(layers) <= free:
        return
    step = next((n for n in range(2, stream.n_layers + 1) if each * -(-stream.n_layers // n) <= free), None)
    instead = f"--layers every:{step} fits" if step else "use a smaller model"
    raise ModelError(
        f"vectors of {n_words:,} words in {len(layers)} layers need {each * len(layers) / _GB:.1f} GB, {free / _GB:.1f} GB are free; "
        f"{instead}"
    )
