"""What psycholinguists control for: length, frequency, position, and the words before."""

import re

import pandas as pd
import wordfreq

from clada_neuro.errors import StimulusError, did_you_mean

LAGS = (1, 2)
_MANY_UNKNOWN = 0.2
_SOFT_HYPHEN = "\u00ad"
# A word that ends a sentence: final punctuation, then at most closing quotes or brackets.
_SENTENCE_END = re.compile(r"[.!?…。！？؟।]['\"’”»)\]]*$")
_ABBREVIATION = re.compile(r"^(?:mr|mrs|ms|dr|prof|st|jr|sr|vs|etc|e\.g|i\.e|[^\W\d_])\.$", re.IGNORECASE)


def check_language(language: str) -> str:
    """Return a language code that has word frequencies.

    Raises
    ------
    StimulusError
        Naming the languages there are.
    """
    known = sorted(wordfreq.available_languages())
    if language not in known:
        raise StimulusError(
            f"no word frequencies for language '{language}'{did_you_mean(language, known)}; "
            f"there are {', '.join(known)}"
        )
    try:
        wordfreq.zipf_frequency("a", language)
    except ImportError as error:  # MeCab or jieba, whose packages have other names
        raise StimulusError(
            f"word frequencies of language '{language}' need more packages; run: pip install 'clada-neuro[cjk]'"
        ) from error
    return language


def zipf_frequency(word: str, language: str = "en") -> float:
    """Return log10 of the occurrences per billion words (wordfreq); 0 for a word it does not know."""
    return wordfreq.zipf_frequency(word.replace(_SOFT_HYPHEN, ""), language)


def unknown_words(words: pd.DataFrame, language: str) -> list[str]:
    """Say, if so, that many words have no frequency in a language: it may be another one.

    Parameters
    ----------
    words : pandas.DataFrame
        With `word`, `zipf_frequency` and `is_critical`. Punctuation that stands alone is no word.
    """
    spoken = words[words["word"].str.contains(r"[^\W_]", regex=True)]
    for what, part in (("critical words", spoken[spoken["is_critical"]]), ("words", spoken)):
        unknown = part["zipf_frequency"].eq(0)
        if unknown.mean() > _MANY_UNKNOWN:
            examples = [f"'{word}'" for word in part.loc[unknown, "word"].drop_duplicates()]
            shown = ", ".join(examples[:3] + ["…"] * (len(examples) > 3))
            return [
                f"{unknown.mean():.0%} of the {what} ({unknown.sum()} of {len(part)}: {shown}) are unknown in "
                f"language '{language}' (zipf_frequency 0); name the language of the texts with --language, in Python "
                "language=…"
            ]
    return []


def shared_tokens(words: pd.DataFrame) -> list[str]:
    """Say, if so, how many words have a token that crosses their border, as in text without spaces."""
    shared, without = words["shares_token"], words["shares_token"] & (words["n_tokens"] == 0)
    if not shared.any():
        return []
    return [
        f"{int(shared.sum())} of {len(words)} words share a token with a neighbour, such as '{words.loc[shared, 'word'].iloc[0]}': "
        f"the token counts for the word it begins in; {int(without.sum())} have none of their own and no value (shares_token)"
    ]


def ends_sentence(word: str) -> bool:
    """Return whether a word of running text closes a sentence; common abbreviations do not."""
    return bool(_SENTENCE_END.search(word)) and not _ABBREVIATION.match(word)


def add_lags(words: pd.DataFrame, predictors: list[str]) -> pd.DataFrame:
    """Add ``<predictor>_lag1`` and ``<predictor>_lag2``: the value one and two words earlier in the same sentence.

    Parameters
    ----------
    words : pandas.DataFrame
        With `stimulus_id` and `word`, each stimulus' words in order. A stimulus may hold several sentences.
    """
    ended = words["word"].map(ends_sentence)
    sentence = ended.groupby(words["stimulus_id"], sort=False).transform(
        lambda column: column.shift(fill_value=False).cumsum()
    )
    groups = words.groupby([words["stimulus_id"], sentence.rename("sentence")], sort=False)[predictors]
    lagged = [groups.shift(lag).add_suffix(f"_lag{lag}") for lag in LAGS]
    return pd.concat([words, *lagged], axis=1)
