"""Columns of trials are found by usual names, which is said, or as they are declared; never where two fit."""

import pandas as pd
import pytest

from clada_neuro.errors import AlignmentError
from clada_neuro.responses.alignment import align
from clada_neuro.responses.columns import take_columns
from clada_neuro.responses.trials import read_trials


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("Subj", "subject"),
        ("participant", "subject"),
        ("Participant ID", "subject"),
        ("RECORDING_SESSION_LABEL", "subject"),
        ("ItemNum", "item"),
        ("Item", "item"),
        ("Cond", "condition"),
        ("Stimulus_ID", "stimulus_id"),
        ("WordIndex", "word_index"),
        ("IA_LABEL", "word"),
    ],
)
def test_a_usual_name_is_taken_and_said(column, name):
    trials, notes = take_columns(pd.DataFrame({column: ["x"]}))
    assert list(trials) == [column, name]  # the caller's own stays
    assert notes == [f"column '{column}' of the trials taken for {name}"]


def test_our_own_name_comes_first_and_nothing_is_said():
    trials = pd.DataFrame({"subject": ["a"], "Subj": ["b"], "participant": ["c"]})
    taken, notes = take_columns(trials)
    pd.testing.assert_frame_equal(taken, trials)
    assert notes == []


def test_nothing_is_taken_where_two_columns_fit():
    trials, notes = take_columns(pd.DataFrame({"item_id": [1], "ItemNum": [1], "subject": ["a"]}))
    assert "item" not in trials
    assert notes == [
        "no column of the trials is taken for item: item_id, ItemNum could each be it; say which with "
        "--trial-column item=…"
    ]


def test_what_an_index_counts_from_is_never_guessed():
    trials, notes = take_columns(pd.DataFrame({"word_number": [1], "word_pos": [1], "IA_ID": [1]}))
    assert "word_index" not in trials
    assert notes == []


def test_a_declared_column_comes_before_one_named_so_which_is_kept():
    trials, notes = take_columns(
        pd.DataFrame({"item": ["list 1"], "Frame": [7], "RT": [300]}), {"item": "Frame", "rt_ms": "RT"}
    )
    assert trials.iloc[0].to_dict() == {
        "item_original": "list 1", "Frame": 7, "RT": 300, "item": 7, "rt_ms": 300,
    }  # fmt: skip
    assert notes == []


def test_nothing_on_the_right_declares_a_column_away():
    trials, _ = take_columns(pd.DataFrame({"word": ["x"], "IA_LABEL": ["y"]}), {"word": ""})
    assert list(trials) == ["word_original", "IA_LABEL"]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"subjct": "Subj"}, "no column 'subjct' .did you mean 'subject'.*responses such as rt_ms"),
        ({"subject": "Sbj"}, "no column 'Sbj' .did you mean 'Subj'.*declared as subject; it has Subj, Cond"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused(declared, message):
    with pytest.raises(AlignmentError, match=message):
        take_columns(pd.DataFrame({"Subj": ["a"], "Cond": ["b"]}), declared)


def test_labels_of_a_file_stay_text_under_our_name(tmp_path):
    (tmp_path / "t.csv").write_text("Subj,ItemNum,Cond,rt_ms\n01,02,1,300\n", encoding="utf-8")
    trials = read_trials(tmp_path / "t.csv")
    assert trials[["subject", "item", "condition"]].iloc[0].tolist() == ["01", "02", "1"]
    assert len(trials.attrs["notes"]) == 3


def test_who_was_measured_must_be_said_where_two_columns_fit(tmp_path):
    (tmp_path / "t.csv").write_text("Subj,participant,rt_ms\na,b,300\n", encoding="utf-8")
    with pytest.raises(
        AlignmentError, match=r"column subject \(Subj, participant could each be it\).*--trial-column"
    ):
        read_trials(tmp_path / "t.csv")
    assert read_trials(tmp_path / "t.csv", columns={"subject": "Subj"})["subject"].tolist() == ["a"]


def test_align_takes_declarations_and_says_what_it_recognised():
    words = pd.DataFrame(
        {"stimulus_id": ["1-a"], "item": ["1"], "condition": ["a"], "word": ["cat"], "word_index": [2],
         "is_critical": [True], "surprisal_bits": [4.0], "stimulus": ["cat:0123456789ab"]}
    )  # fmt: skip
    trials = pd.DataFrame({"Subj": ["s"], "Frame": [1], "Cond": ["a"], "rt_ms": [300.0]})
    with pytest.raises(AlignmentError, match=r"for item.*--trial-column item="):
        align(words, trials)
    found = align(words, trials, columns={"item": "Frame"})
    assert found.trials[["subject", "surprisal_bits"]].iloc[0].tolist() == ["s", 4.0]
    assert [note for note in found.notes if "taken for" in note] == [
        "column 'Subj' of the trials taken for subject",
        "column 'Cond' of the trials taken for condition",
    ]


def test_a_column_that_keeps_spellings_apart_is_named(tmp_path):
    words = pd.DataFrame(
        {"stimulus_id": ["1-a", "1-b"], "item": ["1", "1"], "condition": ["a", "b"], "word": ["w", "v"], "word_index": [0, 0],
         "is_critical": True, "stimulus": ["x", "y"]}
    )  # fmt: skip
    trials = pd.DataFrame({"Subj": ["s", "s"], "item": ["1", "1"], "Cond": ["A", "b"], "rt_ms": [1.0, 2.0]})
    notes = align(words, trials).notes
    assert (
        "condition 'A' read as 'a': 1 trials (the column 'Cond' keeps them apart: name condition in formulas)"
        in notes
    )
