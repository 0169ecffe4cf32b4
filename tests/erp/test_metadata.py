"""Metadata rows and the words they were recorded on."""

import pandas as pd
import pytest

from clada_neuro.erp.metadata import add_next, match_words, with_labels
from clada_neuro.errors import AlignmentError

WORDS = pd.DataFrame(
    {
        "stimulus_id": ["s1"] * 3 + ["s2"] * 3,
        "item": ["1"] * 3 + ["2"] * 3,
        "sentence": ["The dog barked."] * 3 + ["the man saw"] * 3,
        "word_index": [0, 1, 2, 0, 1, 2],
        "word": ["The", "dog", "barked.", "the", "the", "saw"],
        "is_critical": [False, False, True, False, False, True],
    }
)


def test_item_and_word_index_find_the_word():
    found = match_words(pd.DataFrame({"item": [2, 1], "word_index": [2.0, 1.0]}), WORDS)
    assert found.row.tolist() == [5, 1]
    assert found.on == ("item", "word_index")
    assert found.unmatched.empty


def test_text_finds_the_word_whatever_its_case_and_punctuation():
    events = pd.DataFrame({"sentence": ["The dog barked.", "The dog barked."], "word": ["DOG,", "barked"]})
    assert match_words(events, WORDS).row.tolist() == [1, 2]


def test_without_a_word_label_the_critical_word_is_meant():
    assert match_words(pd.DataFrame({"item": ["1", "2"]}), WORDS).row.tolist() == [2, 5]


def test_every_lost_row_has_its_reason():
    events = pd.DataFrame(
        {"item": ["1", "3", "1", "1"], "word_index": [1, 1, 7, 1], "word": ["dog", "cat", "dog", "cat"]}
    )
    found = match_words(events, WORDS)
    assert found.row.tolist() == [1, -1, -1, -1]
    assert found.unmatched["reason"].tolist() == [
        "no word has item=3",
        "no word has item=1, word_index=7",
        "no word has item=1, word_index=1, word=cat",
    ]


def test_a_repeated_word_is_ambiguous_without_its_index():
    found = match_words(pd.DataFrame({"item": ["2", "2"], "word": ["the", "saw"]}), WORDS)
    assert found.row.tolist() == [-1, 5]
    assert found.unmatched["reason"].tolist() == ["several words have item=2, word=the"]


def test_nothing_matched_says_what_was_compared():
    with pytest.raises(
        AlignmentError, match=r"none of 1 epochs finds its word by item \(no word has item=9\)"
    ):
        match_words(pd.DataFrame({"item": ["9"]}), WORDS)


def test_indices_from_one_are_found_out_by_the_words_beside_them():
    events = pd.DataFrame({"item": "1", "word_index": [1, 2, 3], "word": ["The", "dog", "barked"]})
    with pytest.raises(
        AlignmentError, match="word_index seems to count from 1: say so with --trial-index-base 1"
    ):
        match_words(events, WORDS)
    assert match_words(events, WORDS.assign(word_index=WORDS["word_index"] + 1)).row.tolist() == [0, 1, 2]


def test_labels_that_differ_in_case_blanks_or_zeros_are_matched_and_said():
    found = match_words(pd.DataFrame({"item": ["02", "1"], "word_index": [2, 1]}), WORDS)
    assert found.row.tolist() == [5, 1]
    assert found.notes == ("item '02' read as '2': 1 epochs",)


def test_no_common_label_names_the_metadata_columns():
    with pytest.raises(
        AlignmentError, match=r"share no column that names a text .* the metadata have trigger"
    ):
        match_words(pd.DataFrame({"trigger": [1]}), WORDS)


def test_a_label_asked_for_must_be_there():
    with pytest.raises(AlignmentError, match="the metadata have no column 'item'"):
        match_words(pd.DataFrame({"word": ["dog"]}), WORDS, on=["item"])


def test_labels_can_be_chosen():
    """The trial list's own condition names differ from the stimuli's."""
    words = WORDS.assign(condition="high")
    events = pd.DataFrame({"item": ["1"], "condition": ["A"]})
    with pytest.raises(AlignmentError, match="no word has item=1, condition=A"):
        match_words(events, words)
    assert match_words(events, words, on=["item"]).row.tolist() == [2]


def test_the_next_word_stays_within_its_text():
    words = WORDS.assign(surprisal_bits=[1.0, 2, 3, 4, 5, 6])
    following = add_next(words, ["surprisal_bits"])["surprisal_bits_next"]
    assert following.fillna(-1).tolist() == [2, 3, -1, 5, 6, -1]


def test_names_of_columns_are_one_whatever_their_case_blanks_and_underscores():
    events = pd.DataFrame({"Item": ["1", "2"], "Word Index": [2, 1], "SUBJECT": "s", "rt": [1, 2]})
    named, notes = with_labels(events)
    assert list(named) == [*events, "subject", "item", "word_index"]
    assert notes == [
        "column 'SUBJECT' of the metadata taken for subject",
        "column 'Item' of the metadata taken for item",
        "column 'Word Index' of the metadata taken for word_index",
    ]
    assert match_words(named, WORDS).row.tolist() == [2, 4]
    twice = pd.DataFrame({"Item": ["1"], "ITEM": ["2"], "stimulus_id": ["s1"], "Stimulus ID": ["x"]})
    assert with_labels(twice)[1] == []  # which of the two is meant cannot be known; the label's own name is


def test_conditions_of_epochs_are_theirs_where_stimuli_have_none():
    words = WORDS.assign(condition="all")
    events = pd.DataFrame({"item": ["1", "2"], "condition": ["a", "b"], "word_index": [1, 2]})
    found = match_words(events, words)
    assert found.row.tolist() == [1, 5]
    assert found.on == ("item", "word_index")
    with pytest.raises(AlignmentError, match="no conditions, but item '1' was presented in 2; give"):
        match_words(events.assign(item="1"), words)


def test_epochs_of_a_story_need_not_name_it():
    assert match_words(pd.DataFrame({"word_index": [2, 0]}), WORDS[:3]).row.tolist() == [2, 0]
    with pytest.raises(AlignmentError, match="share no column that names a text"):
        match_words(pd.DataFrame({"word_index": [2, 0]}), WORDS)
