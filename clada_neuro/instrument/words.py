"""Which tokens make up which word, by character offsets alone.

The sentence is divided into one territory per word. White space belongs to the word that follows it; anything else
between two words (a dash the caller left out of the word list) belongs to the word before it. A token lies in the
territory of its first visible character, so that every token belongs to exactly one word, whatever the spacing.
A word's *core* is the word without leading and trailing punctuation. Tokens that touch the core, and white space
before or inside it, are the word's own; the others are attached punctuation.

Some tokenizers (GPT-NeoX's) leave white space out of their offsets: a token that is a space only then has no width and
stands where the space ends, which may be the first character of the core.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from clada_neuro.stimuli.design import bare, word_spans

CONTEXT = -1


@dataclass(frozen=True)
class Word:
    """A word as the caller wrote it; spans are characters of the whole text, end excluded."""

    text: str
    start: int
    end: int
    core_start: int
    core_end: int

    @property
    def core(self) -> str:
        """The word without attached punctuation."""
        return self.text[self.core_start - self.start : self.core_end - self.start]


@dataclass(frozen=True)
class TokenWords:
    """Where each token belongs.

    Attributes
    ----------
    word_index : numpy.ndarray of int, shape (n_tokens,)
        Word of the sentence, or `CONTEXT`.
    own : numpy.ndarray of bool, shape (n_tokens,)
        False for attached punctuation.
    last_word : numpy.ndarray of int, shape (n_tokens,)
        Word of the token's last visible character: another than `word_index` when the token crosses a border.
    """

    word_index: np.ndarray
    own: np.ndarray
    last_word: np.ndarray

    def shared(self, n_words: int) -> np.ndarray:
        """Return which words have a part of a token that belongs to two words, shape (n_words,)."""
        shared = np.zeros(n_words, bool)
        for first, last in zip(self.word_index, self.last_word, strict=True):
            if last > first:
                shared[max(first, 0) : last + 1] = True
        return shared


def find_words(sentence: str, words: Sequence[str], offset: int = 0) -> list[Word]:
    """Find the caller's words in a sentence, in order.

    Parameters
    ----------
    sentence : str
    words : sequence of str
    offset : int
        Characters that precede the sentence in the whole text.

    Raises
    ------
    StimulusError
        If a word does not occur after the one before it.
    """
    found = []
    for word, (start, end) in zip(words, word_spans(sentence, words), strict=True):
        core = bare(word)
        core_start = offset + start + word.index(core)
        found.append(Word(word, offset + start, offset + end, core_start, core_start + len(core)))
    return found


def assign_tokens(
    text: str, offsets: Sequence[tuple[int, int]], words: Sequence[Word], sentence_start: int = 0
) -> TokenWords:
    """Give each token its word.

    Parameters
    ----------
    text : str
        Context and sentence.
    offsets : sequence of (int, int)
        First character and one past the last character of each token.
    sentence_start : int
        First character that is not context; the white space that separates the two belongs to the sentence.
    """
    visible = np.array([_visible(text, start, end) for start, end in offsets], dtype=int).reshape(-1, 2)
    first, last = visible[:, 0], visible[:, 1]
    if not words:
        index = np.where(first < sentence_start, CONTEXT, 0)
        return TokenWords(index, np.zeros(len(index), bool), index)
    borders = _territories(text, words, sentence_start)
    index = np.searchsorted(borders, first, side="right") - 1
    reach = np.searchsorted(borders, np.maximum(last - 1, first), side="right") - 1
    core_start = np.array([word.core_start for word in words])[index.clip(0)]
    core_end = np.array([word.core_end for word in words])[index.clip(0)]
    blank = np.array([not text[start:end].strip() for start, end in offsets], dtype=bool)
    own = np.where(blank, first < core_end, (first < core_end) & (last > core_start)) & (index >= 0)
    return TokenWords(index, own, reach)


def _visible(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the span without white space at its edges; white space alone keeps its place."""
    piece = text[start:end]
    if not piece.strip():
        return start, end
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


def _territories(text: str, words: Sequence[Word], sentence_start: int) -> np.ndarray:
    """Return the first character of each word's territory."""
    borders = [sentence_start]
    for before, word in pairwise(words):
        gap = text[before.end : word.start]
        blank = next((i for i, character in enumerate(gap) if character.isspace()), len(gap))
        borders.append(before.end + blank)
    return np.array(borders)
