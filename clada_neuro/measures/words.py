"""Measures of whole words, which no token has."""

from clada_neuro.measures import sources
from clada_neuro.measures.measure import Measure, Origin

# In the order of their columns.
WORDS = (
    Measure(
        name="surprisal_with_punct_bits",
        origin=Origin.BORDERS,
        unit="bits",
        label="surprisal with punctuation",
        meaning="surprisal with attached punctuation; sums to the tokens' sum",
        formula="Σ surprisal_bits over all tokens of the word",
        low=0,
        required=True,
        lags=False,
    ),
    Measure(
        name="length",
        origin=Origin.TEXT,
        dtype="int",
        unit="characters",
        label="word length",
        meaning="characters, attached punctuation left out",
        formula="number of characters",
        low=0,
        required=True,
    ),
    Measure(
        name="zipf_frequency",
        origin=Origin.TEXT,
        unit="Zipf",
        label="word frequency",
        meaning="log10 occurrences per billion words (wordfreq)",
        formula="log10 of occurrences per billion words; 0 for an unknown word",
        low=0,
        required=True,
        source=sources.WORDFREQ,
    ),
    Measure(
        name="position",
        origin=Origin.TEXT,
        dtype="int",
        unit="words",
        label="word position",
        meaning="position in the sentence, from 1",
        formula="1 + the words before it in the stimulus",
        low=1,
        required=True,
        lags=False,
    ),
    Measure(
        name="similarity_context",
        origin=Origin.SIMILARITY,
        unit="cosine",
        label="similarity to the context",
        meaning="how near the word is to the content words before it, by the model's input embeddings",
        formula="cos(v, mean of v over the words before it of Zipf frequency < 6), v the mean input embedding of a word's tokens less "
        "that of the vocabulary",
        low=-1,
        high=1,
        lags=False,
        source=sources.ASSOCIATION,
    ),
)
