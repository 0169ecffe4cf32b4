"""Length, frequency and lags, by hand."""

import pandas as pd
import pytest

from clada_neuro.errors import StimulusError
from clada_neuro.instrument.covariates import add_lags, check_language, ends_sentence, zipf_frequency


def test_zipf_frequency_is_log10_per_billion():
    assert zipf_frequency("the") > 7
    assert 2 < zipf_frequency("breezy") < 4
    assert zipf_frequency("zzqqxx") == 0
    assert zipf_frequency("und", "de") > 6 > zipf_frequency("und", "en")


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
