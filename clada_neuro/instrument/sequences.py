"""Sequences of token ids made on purpose, and what the model does with each of their tokens.

*natural*: the beginnings of documents. *unigram*: tokens drawn independently with the documents' frequencies, so that
only their order and company differ from text. *uniform*: tokens drawn from the vocabulary, special ones left out.
Ids go to the model as they are: decoded and tokenized again, random tokens would become others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clada_neuro.errors import DataError, ModelError
from clada_neuro.instrument.batching import Window
from clada_neuro.instrument.forward import Forward
from clada_neuro.models.limits import check_length
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import measured_layers
from clada_neuro.progress import ProgressBar

KINDS = ("natural", "unigram", "uniform")
LAYER_MEASURES = ("adjustment_prev", "sparsity_energy99")
_CHARACTERS = 12  # a token; enough text for any cut without tokenizing long documents whole


@dataclass(frozen=True)
class Corpus:
    """Tokenized documents.

    Attributes
    ----------
    documents : list of numpy.ndarray of int
        Token ids, the first `length` or more of each document.
    counts : numpy.ndarray, shape (vocabulary,)
        How often each token occurs in them.
    ordinary : numpy.ndarray of int
        Ids of the tokens that are not special.
    """

    documents: list[np.ndarray]
    counts: np.ndarray
    ordinary: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[str], model: LanguageModel, length: int) -> "Corpus":
        """Tokenize texts, keeping those with at least `length` tokens as documents; all are counted."""
        pieces = [text[: _CHARACTERS * length] for text in texts]
        ids = [
            np.array(one, dtype=int) for one in model.tokenizer(pieces, add_special_tokens=False).input_ids
        ]
        size = len(model.tokenizer)
        counts = np.bincount(np.concatenate(ids), minlength=size)
        ordinary = np.setdiff1d(np.arange(size), model.tokenizer.all_special_ids)
        return cls([one for one in ids if len(one) >= length], counts, ordinary)

    @property
    def log_frequency(self) -> np.ndarray:
        """Return log2 of each token's share, one added to every count; shape (vocabulary,)."""
        return np.log2((self.counts + 1) / (self.counts + 1).sum())

    def sequences(self, kind: str, number: int, length: int, seed: int = 0) -> np.ndarray:
        """Return `number` sequences of one of `KINDS`, shape (number, length); natural ones each from one document.

        Raises
        ------
        DataError
            When there are fewer documents than natural sequences wanted.
        """
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        if kind == "uniform":
            return rng.choice(self.ordinary, size=(number, length))
        if kind == "unigram":
            share = self.counts[self.ordinary] / self.counts[self.ordinary].sum()
            return rng.choice(self.ordinary, size=(number, length), p=share)
        if number > len(self.documents):
            raise DataError(
                f"{number} natural sequences asked for, {len(self.documents)} documents have {length} tokens; "
                "ask for fewer or give more text"
            )
        chosen = rng.permutation(len(self.documents))[:number]
        return np.stack([self.documents[place][:length] for place in chosen])


@dataclass(frozen=True)
class Measured:
    """What the model did with sequences.

    Attributes
    ----------
    tokens : pandas.DataFrame
        sequence, position (from 1), token_id, surprisal_bits, entropy_bits (before the token), and the means over
        layers of `LAYER_MEASURES` and of overlap_prev.
    layers : pandas.DataFrame
        sequence, position, layer and `LAYER_MEASURES` (float32).
    """

    tokens: pd.DataFrame
    layers: pd.DataFrame


def measure(ids: np.ndarray, model: LanguageModel, *, progress: bool = False) -> Measured:
    """Run sequences, shape (number, length), through the dense model, each after the start token.

    Raises
    ------
    DataError
        When the model has no start token, without which a first token has no surprisal.
    ModelError
        When its activity cannot be measured.
    """
    if model.start_token_id is None:
        raise DataError("sequences are measured after a start token; load the model with one")
    if reason := measured_layers(model.model)[1]:
        raise ModelError(f"activity is to be measured, but {reason}; use another model")
    check_length(model.model, 1 + ids.shape[1], "a sequence with its start token", "take shorter sequences")
    head = model.start_token_id
    windows = [Window(number, (head, *row), 0, 0, True) for number, row in enumerate(ids.tolist())]
    tokens, layers = [], []
    bar = ProgressBar(total=len(ids), desc="sequences", disable=not progress)
    for window, found in Forward(model).measure(windows, range(len(windows))):
        place = {"sequence": window.text, "position": np.arange(1, ids.shape[1] + 1)}
        activity = {name: found.activity[name][1:] for name in (*LAYER_MEASURES, "overlap_prev")}
        tokens.append(
            pd.DataFrame(
                {
                    **place,
                    "token_id": ids[window.text],
                    "surprisal_bits": found.predictions["surprisal_bits"][:-1],
                    "entropy_bits": found.predictions["entropy_bits"][:-1],
                    **{name: values.mean(axis=1) for name, values in activity.items()},
                }
            )
        )
        layers.append(_by_layer(place, {name: activity[name] for name in LAYER_MEASURES}))
        bar.update()
    bar.close()
    return Measured(_stacked(tokens), _stacked(layers))


def _by_layer(place: dict[str, object], activity: dict[str, np.ndarray]) -> pd.DataFrame:
    positions, n_layers = activity[LAYER_MEASURES[0]].shape
    frame = pd.DataFrame(place).loc[np.repeat(np.arange(positions), n_layers)].reset_index(drop=True)
    flat = {name: values.astype(np.float32).ravel() for name, values in activity.items()}
    return frame.assign(layer=np.tile(np.arange(n_layers), positions), **flat)


def _stacked(parts: list[pd.DataFrame]) -> pd.DataFrame:
    frame = pd.concat(parts, ignore_index=True)
    keys = [name for name in ("sequence", "position", "layer") if name in frame]
    return frame.sort_values(keys, ignore_index=True)
