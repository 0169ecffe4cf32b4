"""Length, frequency and lags, by hand."""

import importlib.util

import pandas as pd
import pytest

from clada_neuro.errors import StimulusError
from clada_neuro.instrument.covariates import (
    add_lags,
    check_language,
    ends_sentence,
    unknown_words,
    zipf_frequency,
)


def test_zipf_frequency_is_log10_per_billion():
    assert zipf_frequency("the") > 7
    assert 2 < zipf_frequency("breezy") < 4
    assert zipf_frequency("zzqqxx") == 0
    assert zipf_frequency("ver\u00adgadering", "nl") == zipf_frequency("vergadering", "nl") > 4
    assert zipf_frequency("und", "de") > 6 > zipf_frequency("und", "en")


@pytest.mark.parametrize(
    ("words", "critical", "note"),
    [
        (
            ["the", "xqz", "zzq", "qqz", "qxz"],
            [1, 0, 0, 0, 0],
            "80% of the words (4 of 5: 'xqz', 'zzq', 'qqz', …)",
        ),
        (["the"] * 9 + ["xqz"], [0] * 9 + [1], "100% of the critical words (1 of 1: 'xqz')"),
        (["the"] * 8 + ["xqz"] * 2, [1] + [0] * 9, ""),
        (["the", "—", "…", "--"], [1, 0, 0, 0], ""),
        ([], [], ""),
    ],
)
def test_many_unknown_words_are_noted_above_a_fifth(words, critical, note):
    frame = pd.DataFrame(
        {"word": pd.Series(words, dtype=str), "is_critical": pd.Series(critical, dtype=bool)}
    )
    frame["zipf_frequency"] = frame["word"].map(zipf_frequency).astype(float)
    found = unknown_words(frame, "en")
    assert len(found) == bool(note)
    assert not note or found[0].startswith(f"{note} are unknown in language 'en'")


@pytest.mark.parametrize("language", ["zh", "ja", "ko"])
def test_languages_that_need_more_packages_say_which(language):
    module = {"zh": "jieba"}.get(language, "MeCab")
    if importlib.util.find_spec(module):
        pytest.skip(f"{module} is installed")
    with pytest.raises(
        StimulusError, match=rf"'{language}' need more packages; run: pip install 'clada-neuro\[cjk\]'"
    ):
        check_language(language)


def test_unknown_language_names_the_known_ones():
    with pytest.raises(StimulusError, match=r"'english'.*\ben\b"):
        check_language("english")


@pytest.mark.parametrize(
    ("word", "ends"),
    [("left.", True), ("late!”", True), ("Mr.", False), ("e.g.", False), ("J.", False), ("left", False),
     ("3.5", False), ("。", True), ('"Why?"', True), ("left,", False)],
)  # fmt: skip
def test_sentence_ends(word, ends):
    assert ends_sentence(word) == ends


def test_lags_stay_inside_the_sentence():
    words = pd.DataFrame(
        {
            "stimulus_id": ["a"] * 5 + ["b"] * 2,
            "word": ["He", "left.", "Then", "it", "rained.", "Dogs", "bark."],
            "surprisal_bits": [1.0, 2, 3, 4, 5, 6, 7],
        }
    )
    lagged = add_lags(words, ["surprisal_bits"])
    assert lagged["surprisal_bits_lag1"].fillna(-1).tolist() == [-1, 1, -1, 3, 4, -1, 6]
    assert lagged["surprisal_bits_lag2"].fillna(-1).tolist() == [-1, -1, -1, -1, 3, -1, -1]
    assert lagged[words.columns].equals(words)


def test_interleaved_stimuli_keep_their_own_lags():
    words = pd.DataFrame({"stimulus_id": list("abab"), "word": list("wxyz"), "load": [1.0, 2, 3, 4]})
    assert add_lags(words, ["load"])["load_lag1"].fillna(-1).tolist() == [-1, -1, 1, 2]
