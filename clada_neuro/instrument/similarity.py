"""How near a word is to the words before it: association, whatever the model predicts.

A word's vector is the mean of those of its own tokens. The context is every word before it that the model saw, contexts of
stimuli included, but for words of a Zipf frequency of `FREQUENT` or more in the language (some 100 in English, Dutch and
German, nearly all of them function words) and punctuation: the word's similarity is the cosine with the mean vector of these.
Where none stands before it, it is missing.

Input embeddings of all words point into one direction, more so those of rare pieces: they are taken from the mean over the
model's vocabulary (Mu & Viswanath, 2018, All-but-the-top). States of a layer have no such mean that does not depend on the
texts at hand, and are taken as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clada_neuro.instrument.batching import Window
from clada_neuro.instrument.covariates import zipf_frequency
from clada_neuro.instrument.texts import StimulusText
from clada_neuro.instrument.words import assign_tokens, find_words
from clada_neuro.models.loading import LanguageModel

FREQUENT = 6.0  # Zipf: a thousand in a million words
_BLOCK = 256  # tokens of the vocabulary that are added up in float32, while they are in the cache


@dataclass(frozen=True)
class Association:
    """The words of one text, those of its context included, and which of them count as context.

    Attributes
    ----------
    word : numpy.ndarray of int, shape (tokens,)
        Each token's word.
    own : numpy.ndarray of bool, shape (tokens,)
        False for attached punctuation.
    counts : numpy.ndarray of bool, shape (words,)
        Words whose vectors make the context of later ones.
    reported : int
        The first word that is not of the stimulus's context.
    """

    word: np.ndarray
    own: np.ndarray
    counts: np.ndarray
    reported: int

    @classmethod
    def of(cls, text: StimulusText, language: str) -> "Association":
        """Find the words of a text."""
        start = text.words[0].start if text.words else len(text.text)
        before = find_words(text.text[:start], text.text[:start].split())
        words = [*before, *text.words]
        tokens = assign_tokens(text.text, [tuple(span) for span in text.offsets.tolist()], words)
        counts = [
            any(map(str.isalnum, word.core)) and zipf_frequency(word.core, language) < FREQUENT
            for word in words
        ]
        return cls(tokens.word_index, tokens.own, np.array(counts, dtype=bool), len(before))

    def similarity(self, vectors: Tensor, tokens: slice = slice(None)) -> Tensor:
        """Return the similarity of every word, (layers, words), of the tokens that the model saw.

        Parameters
        ----------
        vectors : torch.Tensor, shape (layers, seen, features)
        tokens : slice
            Which of the text's tokens these are of.
        """
        vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
        own, word = self.own[tokens], torch.from_numpy(self.word[tokens][self.own[tokens]])
        word, mine = word.to(vectors.device), vectors[:, torch.from_numpy(own).to(vectors.device)]
        sums = vectors.new_zeros(len(vectors), len(self.counts), vectors.shape[-1]).index_add_(1, word, mine)
        sizes = torch.bincount(word, minlength=len(self.counts))[:, None]
        means = sums / sizes.clamp(min=1)
        weight = torch.from_numpy(self.counts).to(vectors.device)[:, None] * (sizes > 0)
        before = (means * weight).cumsum(dim=1).roll(1, dims=1)
        before[:, :1] = 0
        norms = means.norm(dim=-1) * before.norm(dim=-1)  # 0 where a word or its context has no vector
        return (means * before).sum(dim=-1) / norms.where(norms > 0, torch.nan)


@torch.inference_mode()
def mean_embedding(model: LanguageModel) -> Tensor:
    """Return the mean input embedding of a model's vocabulary, (features,)."""
    embed: Any = model.model.get_input_embeddings()
    ids = torch.arange(int(embed.num_embeddings), device=model.device)
    kept = torch.promote_types(embed.weight.dtype, torch.float32)
    sums = [embed(some[None])[0].sum(dim=0, dtype=kept) for some in ids.split(_BLOCK)]
    return torch.stack(sums).double().sum(dim=0) / len(ids)


@torch.inference_mode()
def of_embeddings(
    texts: Sequence[StimulusText], found: Sequence[Association], model: LanguageModel, centre: Tensor
) -> list[np.ndarray]:
    """Return the similarity of each text's words, (words,), by input embeddings less a centre (`mean_embedding`)."""
    embed = model.model.get_input_embeddings()
    values = []
    for text, one in zip(texts, found, strict=True):
        vectors = embed(torch.tensor(text.ids, dtype=torch.long, device=model.device)[None]) - centre
        values.append(one.similarity(vectors)[0, one.reported :].cpu().numpy())
    return values


def of_states(one: Association, window: Window, states: Tensor) -> np.ndarray:
    """Return the similarity of the word of each position of a window, (layers, positions), by states, (layers, positions, hidden).

    The first position, which all others attend to, counts neither as a word nor as context.
    """
    first = window.first + (not window.has_start)
    tokens = slice(first, window.first + len(window.ids) - window.has_start)
    values = np.full(states.shape[:2], np.nan)
    if len(one.counts):
        by_word = one.similarity(states[:, 1:], tokens).cpu().double().numpy()
        values[:, 1:] = by_word[:, one.word[tokens]]
    return values
