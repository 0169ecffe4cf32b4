"""The unit of analysis: a stimulus is the unique text up to and including a word.

What a causal model says of a word depends on the context, the part of the sentence on its left, and the word, and on
nothing else. So words share a stimulus exactly where those are the same characters, and a predictor that comes from
the model has one value in each stimulus. Where every item has one context this is item × critical word; in running
text it is the word token. What a masked model says depends on the words that follow, too: there the stimulus is the
word's place in the whole text.
"""

import hashlib

import pandas as pd

_DIGITS = 12  # of the text's hash: two of a million different texts collide with probability .002


def stimulus_label(text: str, word: str) -> str:
    """Return the stimulus of a word as ``word:hash``, the same for the same text in any file, order or process.

    Parameters
    ----------
    text
        Everything the model has read at the word's last character, context included.
    word
        The word, for people who read the label.
    """
    return f"{word}:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGITS]}"


def stimulus_at(text: str, start: int, end: int, both_sides: bool = False) -> str:
    """Return the stimulus of a word in a text.

    Parameters
    ----------
    text
        The whole of it, context included.
    start, end
        The word's characters, without attached punctuation.
    both_sides
        Whether the model reads what follows, too: then the stimulus is the word's place in the whole text.
    """
    return stimulus_label(f"{start}:{text}" if both_sides else text[:end], text[start:end])


def stimulus_of(words: pd.DataFrame) -> pd.Series:
    """Return the stimulus of each row of a words table.

    A table that a trace did not write may lack the column; then every word of every text is a stimulus of its own,
    which never pools two texts.
    """
    if "stimulus" in words:
        return words["stimulus"]
    return (words["stimulus_id"].astype(str) + ":" + words["word_index"].astype(str)).rename("stimulus")
