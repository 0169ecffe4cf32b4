"""Words of a trace share a stimulus exactly where a causal model has read the same text: then its values are equal."""

import pandas as pd
import pytest

from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import load_model

TEXTS = {
    # id: context, sentence
    "a": ("It rained.", "She fed the cat, then left."),
    "b": ("It snowed.", "She fed the cat, then left."),
    "c": ("It rained.", "She fed the cat. And the cat slept."),
    "d": ("", "She fed the cat"),
    "e": ("", "She fed the  cat"),
}


@pytest.fixture(scope="module")
def words():
    stimuli = pd.DataFrame(
        [(name, context, sentence) for name, (context, sentence) in TEXTS.items()],
        columns=["stimulus_id", "context", "sentence"],
    )
    stimuli = stimuli.assign(item="1", condition=stimuli["stimulus_id"])
    return trace(stimuli, load_model("smollm2", device="cpu"), progress=False).words


def _cat(words: pd.DataFrame, name: str, occurrence: int = 0) -> pd.Series:
    rows = words[(words["stimulus_id"] == name) & words["word"].str.startswith("cat")]
    return rows.iloc[occurrence]


def test_the_same_text_up_to_the_word_is_one_stimulus_whatever_follows(words):
    assert _cat(words, "a")["stimulus"] == _cat(words, "c")["stimulus"]


def test_another_context_place_or_spacing_is_another_stimulus(words):
    labels = [_cat(words, name)["stimulus"] for name in "abde"] + [_cat(words, "c", 1)["stimulus"]]
    assert len(set(labels)) == len(labels)


def test_what_a_model_says_before_the_word_is_constant_within_it(words):
    repeated = words[words.duplicated("stimulus", keep=False)]
    assert repeated["stimulus"].nunique() == 7  # She fed the cat in a and c, She fed the in d and e
    spread = repeated.groupby("stimulus")[["surprisal_bits", "entropy_bits"]].agg(lambda x: x.max() - x.min())
    assert (spread < 1e-4).to_numpy().all()
