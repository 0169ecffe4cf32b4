"""Matching: trials and epochs that name a word alike find the same one, however their files spell it."""

import pandas as pd
import pytest

from clada_neuro.erp.metadata import match_words
from clada_neuro.responses.alignment import align
from clada_neuro.stimuli.matching import NOWHERE, in_their_spelling, one_lower, only_text, places
from clada_neuro.tables import WORDS as COLUMNS

TEXTS = {("7", "low"): "the dog saw it", ("7", "high"): "the cat saw it", ("12", "low"): "a storm came on"}


@pytest.fixture
def words() -> pd.DataFrame:
    rows = [
        {
            "stimulus_id": f"{item}_{condition}",
            "item": item,
            "condition": condition,
            "word_index": at,
            "word": word,
        }
        for (item, condition), text in TEXTS.items()
        for at, word in enumerate(text.split())
    ]
    missing = {
        column.name: 0.0 for column in COLUMNS.columns if column.required and column.name not in rows[0]
    }
    return pd.DataFrame(rows).assign(**(missing | {"is_critical": [row["word_index"] == 2 for row in rows]}))


@pytest.mark.parametrize(
    "rows",
    [
        {"item": [7.0, 12.0], "condition": ["low", "low"], "word_index": [1, 3]},
        {"item": ["007", " 12"], "condition": ["LOW", "Low "], "word_index": ["1", "3"]},
        {"stimulus_id": ["7_HIGH", "12_low"], "word_index": [1.0, 3.0]},
        {"stimulus_id": ["7_low", "12_low"]},  # the critical words
    ],
)
def test_trials_and_epochs_that_name_a_word_alike_find_the_same(words, rows):
    rows = pd.DataFrame(rows)
    of_epochs = words.iloc[match_words(rows, words).row][["stimulus_id", "word_index"]]
    of_trials = align(words, rows.assign(subject=["a", "b"], n400_uv=0.0)).trials[
        ["stimulus_id", "word_index"]
    ]
    assert of_trials.astype(str).to_numpy().tolist() == of_epochs.astype(str).to_numpy().tolist()


def test_places_are_the_index_of_the_same_keys():
    offered = pd.DataFrame({"item": ["a", "b", "b"], "word_index": ["0", "0", "1"]}, index=[4, 6, 9])
    wanted = pd.DataFrame({"item": ["b", "c", "a"], "word_index": ["1", "0", "0"]})
    assert places(wanted, offered).tolist() == [9, NOWHERE, 4]
    assert places(one_lower(wanted), offered).tolist() == [6, NOWHERE, NOWHERE]


def test_a_story_needs_no_name_where_it_is_the_only_text(words):
    story = words[words["stimulus_id"] == "12_low"]
    unnamed = pd.DataFrame({"word_index": [2]})
    assert only_text(unnamed, story, ("stimulus_id", "item")) == "12_low"
    assert only_text(unnamed, words, ("stimulus_id", "item")) == ""
    assert only_text(unnamed.assign(item="3"), story, ("stimulus_id", "item")) == ""


def test_keys_are_read_in_the_words_spelling_and_said():
    found, note = in_their_spelling("item", pd.Series(["01", "2", "x"]), pd.Series(["1", "2"]), "trials")
    assert found.tolist() == ["1", "2", "x"]
    assert "'01' read as '1'" in note
    assert "1 trials" in note
    assert in_their_spelling("item", pd.Series(["2"]), pd.Series(["1", "2"]), "trials")[1] == ""
