"""Words and trials find each other by their identifiers, and what does not match is counted."""

import pandas as pd
import pytest

from clada_neuro.errors import AlignmentError
from clada_neuro.responses.alignment import align
from clada_neuro.tables import WORDS


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
    aligned = align(words, trials, max_lost=1)
    assert len(aligned.trials) == 1
    assert aligned.unmatched["reason"].tolist() == [
        "no such word in the text",
        "no such text among the stimuli: stimulus_id '9-high'",
    ]
    assert [step["rows_removed"] for step in aligned.joins] == [1, 1, 2]
    assert sum(step["rows_removed"] for step in aligned.joins[:-1]) + len(aligned.trials) == len(trials)


def test_reasons_stand_by_position_whatever_the_index_of_the_trials(words):
    trials = pd.DataFrame(
        {"subject": "a", "stimulus_id": ["9-high", "1-low", "1-low"], "word_index": [0, 0, 7]}
    )
    unmatched = align(words, trials.iloc[[2, 1, 0]], max_lost=1).unmatched
    assert unmatched["word_index"].tolist() == [7, 0]
    assert unmatched["reason"].str.partition(":")[0].tolist() == [
        "no such word in the text",
        "no such text among the stimuli",
    ]


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


def crossed(words, **columns):
    """Ten people who saw each critical word, so that one row is a small share."""
    texts = words.loc[words["is_critical"], ["item", "condition"]]
    people = pd.DataFrame({"subject": [f"s{number}" for number in range(10)]})
    return people.merge(texts, how="cross").assign(n400_uv=lambda rows: rows.index / 7.0, **columns)


@pytest.mark.parametrize(
    ("spell", "said"),
    [
        (
            lambda rows: rows.assign(item="0" + rows["item"]),
            "item '01' read as '1', '02' read as '2': 30 trials",
        ),
        (lambda rows: rows.assign(item=rows["item"] + ".0"), "item '1.0' read as '1'"),
        (
            lambda rows: rows.assign(condition=rows["condition"].str.upper()),
            "condition 'HIGH' read as 'high'",
        ),
        (
            lambda rows: rows.assign(condition=rows["condition"].replace("high", " hi gh")),
            "'hi gh' read as 'high'",
        ),
    ],
)
def test_keys_that_differ_in_case_blanks_or_zeros_are_matched_and_said(words, spell, said):
    trials = crossed(words)
    aligned = align(words, spell(trials))
    assert len(aligned.trials) == len(trials)
    assert aligned.trials["surprisal_bits"].tolist() == align(words, trials).trials["surprisal_bits"].tolist()
    assert aligned.trials["item"].tolist() == trials["item"].tolist()
    assert said in aligned.notes[0]


def test_blanks_around_a_key_are_no_difference(words):
    aligned = align(words, crossed(words).replace({"condition": {"high": "high "}}))
    assert aligned.joins[0]["rows_removed"] == 0
    assert aligned.notes == ()


def test_keys_that_could_mean_two_texts_are_not_guessed(words):
    doubled = pd.concat(
        [words, words.assign(item="0" + words["item"], stimulus_id="0" + words["stimulus_id"])]
    )
    with pytest.raises(AlignmentError, match="item '001'"):
        align(doubled, crossed(words).replace({"item": {"1": "001"}}))


def test_a_mistyped_condition_is_refused_with_the_nearest_one(words):
    trials = crossed(words).replace({"condition": {"low": "lwo"}})
    with pytest.raises(AlignmentError) as refused:
        align(words, trials)
    assert "10 of 30 trials (33.3 %) have no word" in str(refused.value)
    assert "condition 'lwo' (10 trials; nearest: 'low')" in str(refused.value)
    assert "--max-lost 0.34" in str(refused.value)
    aligned = align(words, trials, max_lost=0.34)
    assert len(aligned.unmatched) == 10
    assert aligned.notes[0].startswith("warning: 10 of 30 trials (33.3 %)")


def test_a_trial_without_a_subject_is_lost_and_not_a_person(words):
    trials = crossed(words)
    trials.loc[3, "subject"] = None
    trials.loc[4, "subject"] = " "
    aligned = align(words, trials)
    assert aligned.trials["subject"].nunique() == 10
    assert aligned.unmatched["reason"].tolist() == ["the subject is empty"] * 2
    assert "2 of 30 trials (6.7 %)" in aligned.notes[0]


def test_trials_that_repeat_are_warned_of(words):
    trials = crossed(words)
    aligned = align(words, pd.concat([trials, trials.iloc[[4]]]))
    (note,) = aligned.notes
    assert note.startswith("1 of 31 trials equal an earlier one in every column (the first is row 4)")


def each_word(words, base):
    people = pd.DataFrame({"subject": ["s1", "s2"]})
    rows = people.merge(words[["stimulus_id", "word_index", "word"]], how="cross")
    return rows.assign(word_index=rows["word_index"] + base, rt_ms=300.0)


def test_indices_from_one_are_found_out_by_the_words_and_read_when_declared(words):
    trials = each_word(words, 1)
    with pytest.raises(AlignmentError) as refused:
        align(words, trials)
    for part in ("'The' in the trials, 'cat' in the text", "'cat' in the trials, 'slept' in the text",
                 "--trial-index-base 1"):  # fmt: skip
        assert part in str(refused.value)
    aligned = align(words, trials, index_base=1)
    assert (
        aligned.trials["surprisal_bits"].tolist()
        == align(words, each_word(words, 0)).trials["surprisal_bits"].tolist()
    )
    assert aligned.trials["word_index"].tolist() == [0, 1, 2] * 6


def test_indices_from_one_without_words_are_suspected(words):
    with pytest.raises(AlignmentError, match="--trial-index-base 1"):
        align(words, each_word(words, 1).drop(columns="word"))


def test_words_are_compared_without_case_and_punctuation(words):
    trials = each_word(words, 0)
    trials["word"] = trials["word"].str.upper() + ","
    assert len(align(words, trials).trials) == len(trials)


def test_a_condition_in_numbers_is_a_factor_whichever_key_finds_the_text(words):
    numbered = words.assign(condition=words["condition"].map({"high": "1", "low": "2"}))
    by_name = crossed(numbered).astype({"condition": int})
    by_id = by_name.assign(
        stimulus_id=by_name["item"] + "-" + by_name["condition"].map({1: "high", 2: "low"})
    )
    for trials in (by_name, by_id):
        assert align(numbered, trials).trials["condition"].unique().tolist() == ["1", "2"]


def measured(words, bits):
    """A words table as a trace writes it, with a lag."""
    full = words.assign(
        surprisal_bits=bits * (1 + words["word_index"]), surprisal_bits_lag1=bits * words["word_index"]
    )
    for column in WORDS.columns:
        if column.required and column.name not in full:
            full[column.name] = 0.0
    return full


def test_aligning_again_leaves_nothing_of_the_earlier_trace(words):
    trials = crossed(words, length_trials=9)
    first = align(measured(words, 1.0).assign(load=5.0), trials).trials
    again = align(measured(words, 10.0), first)
    assert again.trials["surprisal_bits"].unique().tolist() == [20.0]
    assert again.trials["surprisal_bits_lag1"].unique().tolist() == [10.0]
    assert "load" not in again.trials
    assert set(again.trials) == set(align(measured(words, 10.0), trials).trials)
    assert "aligned before" in again.notes[0]


def test_lags_of_the_trials_own_are_renamed_and_said(words):
    aligned = align(measured(words, 1.0), crossed(words, surprisal_bits=3.0, surprisal_bits_lag1=4.0))
    assert aligned.trials["surprisal_bits_lag1"].unique().tolist() == [1.0]
    assert aligned.trials["surprisal_bits_lag1_trials"].unique().tolist() == [4.0]
    assert "surprisal_bits_lag1 is now surprisal_bits_lag1_trials" in aligned.notes[0]


def test_subjects_that_are_spelled_almost_alike_are_named(words):
    trials = pd.DataFrame({"subject": ["s01", "S1", "s2"], "item": "1", "condition": "low", "n400_uv": 0.0})
    (note,) = align(words, trials).notes
    assert note.startswith("subjects 'S1', 's01' differ only in case, blanks or zeros and count as 2 people")


def test_trials_without_subjects_are_not_told_to_change_their_keys(words):
    trials = pd.DataFrame({"subject": ["", ""], "item": "1", "condition": "low", "n400_uv": 0.0})
    with pytest.raises(AlignmentError, match=r"none of 2 trials matches a word: the subject is empty$"):
        align(words, trials)


def test_indices_that_all_point_behind_the_critical_word_are_said(words):
    trials = pd.DataFrame(
        {"subject": "a", "item": [1, 2], "condition": ["low", "high"], "word_index": 2, "rt_ms": 300.0}
    )
    (note,) = align(words, trials).notes
    assert "'slept' after 'cat'" in note
    assert "--trial-index-base 1" in note
    assert align(words, trials, index_base=0).notes == ()
    assert align(words, trials, index_base=1).trials["word"].tolist() == ["cat", "cat"]
    whole = pd.concat([trials.assign(word_index=at) for at in range(3)])  # word by word
    assert align(words, whole).notes == ()
