"""Words and trials find each other by their identifiers, and what does not match is counted."""

import pandas as pd
import pytest

from clada_neuro.alignment import align, read_trials
from clada_neuro.errors import AlignmentError


@pytest.fixture
def words() -> pd.DataFrame:
    rows = []
    for item, condition in (("1", "high"), ("1", "low"), ("2", "high")):
        for index, word in enumerate(("The", "cat", "slept")):
            rows.append(
                {
                    "stimulus_id": f"{item}-{condition}",
                    "item": item,
                    "condition": condition,
                    "word_index": index,
                    "word": word,
                    "is_critical": index == 1,
                    "surprisal_bits": 10 * index + int(item),
                    "length": len(word),
                }
            )
    return pd.DataFrame(rows)


def test_trials_take_the_critical_word_of_their_item_and_condition(words):
    trials = pd.DataFrame(
        {"subject": ["a", "b"], "item": [1, 2], "condition": ["low", "high"], "n400_uv": [1.0, 2.0]}
    )
    aligned = align(words, trials)
    assert aligned.trials["surprisal_bits"].tolist() == [11, 12]
    assert aligned.trials["stimulus"].tolist() == ["1-low:1", "2-high:1"]
    assert aligned.trials["n400_uv"].tolist() == [1.0, 2.0]


@pytest.fixture
def two_contexts(words):
    """The same words of an item after two contexts, each a text of its own."""
    texts = words.loc[words["item"] == "1"]
    return texts.assign(stimulus=texts["condition"] + texts["word"])


def test_the_same_word_after_two_contexts_is_two_stimuli(two_contexts):
    trials = pd.DataFrame({"subject": "a", "item": 1, "condition": ["low", "high"], "n400_uv": 0.0})
    aligned = align(two_contexts, trials)
    assert aligned.trials["stimulus"].tolist() == ["lowcat", "highcat"]
    assert aligned.notes == ()


def test_a_column_stimulus_of_the_trials_is_used_and_its_difference_named(two_contexts):
    trials = pd.DataFrame(
        {"subject": ["a", "a", "b", "b"], "item": 1, "condition": ["low", "high"] * 2, "n400_uv": 0.0}
    )
    for own, words in (
        (["x", "y", "x", "y"], None),
        ([1.0, 1.0, 1.0, 1.0], "1 values where the trials have 2 unique texts"),
        (["x", "y", "z", "u"], "4 values where the trials have 2 unique texts"),
        (["x", "y", "y", "u"], "the two cross"),
    ):  # fmt: skip
        aligned = align(two_contexts, trials.assign(stimulus=own))
        assert aligned.trials["stimulus"].nunique() == len(set(own))
        assert [words in note for note in aligned.notes] == ([] if words is None else [True])
    assert "coarser" in align(two_contexts, trials.assign(stimulus=1)).notes[0]
    assert "finer" in align(two_contexts, trials.assign(stimulus=["x", "y", "z", "u"])).notes[0]


def test_a_column_stimulus_of_the_stimulus_file_names_its_texts(two_contexts):
    words = two_contexts.assign(stimulus_stimuli="one")
    trials = pd.DataFrame({"subject": "a", "item": 1, "condition": ["low", "high"], "n400_uv": 0.0})
    aligned = align(words, trials)
    assert aligned.trials["stimulus"].tolist() == ["one", "one"]
    assert "coarser" in aligned.notes[0]
    every = align(words, trials.loc[[0, 0, 1]].assign(word_index=[0, 1, 1]))
    assert every.trials["stimulus"].tolist() == ["one:0", "one:1", "one:1"]


def test_a_word_index_selects_any_word(words):
    trials = pd.DataFrame(
        {"subject": "a", "stimulus_id": "2-high", "word_index": [2, 0], "n400_uv": [1.0, 2.0]}
    )
    aligned = align(words, trials)
    assert aligned.trials["word"].tolist() == ["slept", "The"]
    assert aligned.trials["word_index"].tolist() == [2, 0]


def test_unmatched_trials_are_returned_with_a_reason_and_counted(words):
    trials = pd.DataFrame(
        {"subject": "a", "stimulus_id": ["1-low", "1-low", "9-high"], "word_index": [0, 7, 0], "n400_uv": 0.0}
    )
    aligned = align(words, trials)
    assert len(aligned.trials) == 1
    assert aligned.unmatched["reason"].tolist() == [
        "no such word in the text",
        "no such text among the stimuli",
    ]
    assert [step["rows_removed"] for step in aligned.joins] == [1, 1, 2]
    assert sum(step["rows_removed"] for step in aligned.joins[:-1]) + len(aligned.trials) == len(trials)


def test_reasons_stand_by_position_whatever_the_index_of_the_trials(words):
    trials = pd.DataFrame(
        {"subject": "a", "stimulus_id": ["9-high", "1-low", "1-low"], "word_index": [0, 0, 7]}
    )
    unmatched = align(words, trials.iloc[[2, 1, 0]]).unmatched
    assert unmatched["reason"].tolist() == ["no such word in the text", "no such text among the stimuli"]


def test_a_measure_the_trials_already_had_is_kept_under_another_name(words):
    trials = pd.DataFrame({"subject": "a", "stimulus_id": ["1-low"], "length": [99]})
    row = align(words, trials).trials.iloc[0]
    assert (row["length"], row["length_trials"]) == (3, 99)


@pytest.mark.parametrize(
    ("trials", "message"),
    [
        ({"subject": ["a"], "n400_uv": [0.0]}, "share neither stimulus_id nor item and condition"),
        ({"subject": ["a"], "stimulus_id": ["x"]}, "none of 1 trials matches"),
    ],
)
def test_tables_that_cannot_be_joined_are_refused(words, trials, message):
    with pytest.raises(AlignmentError, match=message):
        align(words, pd.DataFrame(trials))


def test_stimuli_without_a_critical_word_need_a_word_index(words):
    with pytest.raises(AlignmentError, match="word_index"):
        align(words.assign(is_critical=False), pd.DataFrame({"subject": ["a"], "stimulus_id": ["1-low"]}))


def test_two_critical_words_in_one_text_are_ambiguous(words):
    with pytest.raises(AlignmentError, match="share their key"):
        align(words.assign(is_critical=True), pd.DataFrame({"subject": ["a"], "stimulus_id": ["1-low"]}))


def test_trials_are_read_with_numbers_as_numbers_and_words_as_words(tmp_path):
    path = tmp_path / "trials.csv"
    path.write_text("subject;item;word;n400_uv\ns1;1;None;-1,5\ns1;2;cat;2,25\n", encoding="utf-8")
    trials = read_trials(path)
    assert trials["n400_uv"].tolist() == [-1.5, 2.25]
    assert trials["word"].tolist() == ["None", "cat"]


def test_trials_without_a_subject_are_refused_with_a_hint(tmp_path):
    path = tmp_path / "trials.csv"
    path.write_text("subjekt,n400_uv\n1,2.0\n", encoding="utf-8")
    with pytest.raises(AlignmentError, match="did you mean 'subjekt'"):
        read_trials(path)
