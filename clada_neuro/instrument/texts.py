"""Stimuli as the model reads them: context and sentence joined, tokenised, each token with its word."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from clada_neuro.instrument.words import CONTEXT, TokenWords, Word, assign_tokens, find_words
from clada_neuro.stimuli.design import words_of


@dataclass(frozen=True)
class StimulusText:
    """One stimulus.

    Attributes
    ----------
    stimulus_id : str
    text : str
        Context, a space where neither side has one, and the sentence.
    ids : tuple of int
        Tokens without any start token.
    offsets : numpy.ndarray of int, shape (n_tokens, 2)
        Characters of `text`.
    words : list of Word
    tokens : TokenWords
    """

    stimulus_id: str
    text: str
    ids: tuple[int, ...]
    offsets: np.ndarray
    words: list[Word]
    tokens: TokenWords

    @property
    def scored(self) -> int:
        """First token that is not context."""
        return int((self.tokens.word_index == CONTEXT).sum())

    @property
    def trailing(self) -> np.ndarray:
        """White space after the last word, shape (n_tokens,)."""
        blank = [not self.text[start:end].strip() for start, end in self.offsets]
        return np.array(blank, dtype=bool) & ~self.tokens.own


def read_texts(stimuli: pd.DataFrame, tokenizer: PreTrainedTokenizerBase) -> list[StimulusText]:
    """Tokenise stimuli and find their words.

    Parameters
    ----------
    stimuli : pandas.DataFrame
        With `stimulus_id`, `sentence`, optional `context` and `words`.
    """
    if stimuli.empty:
        return []
    sentences = stimuli["sentence"].astype(str).tolist()
    contexts = _contexts(stimuli, sentences)
    joined = [context + sentence for context, sentence in zip(contexts, sentences, strict=True)]
    encoded = tokenizer(joined, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    texts = []
    for place, (_, row) in enumerate(stimuli.iterrows()):
        start = len(contexts[place])
        words = find_words(sentences[place], words_of(row), start)
        offsets = encoded["offset_mapping"][place]
        tokens = assign_tokens(joined[place], offsets, words, len(contexts[place].rstrip()))
        ids = tuple(encoded["input_ids"][place])
        spans = np.array(offsets, dtype=int).reshape(-1, 2)
        texts.append(StimulusText(str(row["stimulus_id"]), joined[place], ids, spans, words, tokens))
    return texts


def _contexts(stimuli: pd.DataFrame, sentences: Sequence[str]) -> list[str]:
    """Return each sentence's context with the white space that separates the two."""
    if "context" not in stimuli:
        return [""] * len(sentences)
    contexts = []
    for context, sentence in zip(stimuli["context"], sentences, strict=True):
        context = "" if pd.isna(context) else str(context)
        apart = not context or context[-1].isspace() or sentence[:1].isspace()
        contexts.append(context if apart else f"{context} ")
    return contexts
