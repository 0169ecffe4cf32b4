"""What a check says of stimuli and trials is what a run makes of them."""

import pandas as pd
import pytest
from command_line import clada

from clada_neuro.errors import AlignmentError
from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import load_model
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.study.check import bare_words, check

ROWS = [
    ("1", "high", "It rained.", "The dog chased the cat.", "cat"),
    ("1", "low", "", "The dog chased the cat.", "cat"),
    ("2", "high", "", "We saw a blorfnik, and left.", "blorfnik"),
    ("2", "low", "", "We saw a boat, and left.", "boat"),
]


@pytest.fixture
def stimuli() -> pd.DataFrame:
    names = ["item", "condition", "context", "sentence", "critical_word"]
    return read_stimuli(pd.DataFrame(ROWS, columns=names))


@pytest.fixture
def trials() -> pd.DataFrame:
    rows = [(f"s{k}", item, condition) for k in range(3) for item, condition, *_ in ROWS]
    frame = pd.DataFrame(rows, columns=["subject", "item", "condition"])
    return frame.assign(rt_ms=[300.0, 400.0, None, 500.0] * 3)


def test_the_lines_say_texts_words_design_and_responses(stimuli, trials):
    lines = list(check(stimuli, trials))
    assert "texts: 4 of 2 items in 2 conditions (high 2, low 2)" in lines
    assert "design: items and conditions are crossed: every item stands in every condition" in lines
    assert "preceding text: in 1 of 4 texts" in lines
    assert (
        "critical word: in 4 of 4 texts, word 4 to 5 of the sentence (from 1); 4 unique texts up to and including it"
        in lines
    )
    assert any(
        "25% of the critical words (1 of 4: 'blorfnik,') are unknown in language 'en'" in line
        for line in lines
    )
    assert "trials: 12, of which 12 find their word" in lines
    assert "design: 3 subjects with 4 texts each; every text by 3 of them; 4 stimuli" in lines
    assert "design: subjects and conditions are crossed: every subject meets every condition" in lines
    assert not any("other columns" in line for line in lines)
    assert "response rt_ms: 9 values, 3 missing; mean 400, SD 86.6, 300 to 500 ms" in lines


def test_items_in_some_conditions_are_counted_by_kind(stimuli):
    lines = list(check(stimuli.iloc[:3]))
    assert "design: 1 items in high + low; 1 items in high" in lines


def test_what_is_nested_is_called_so_and_other_numbers_are_offered(stimuli, trials):
    nested = stimuli.iloc[[0, 3]]
    assert "design: items are nested in conditions: each stands in one (1 in high, 1 in low)" in list(
        check(nested)
    )
    between = trials[(trials["subject"] == "s0") == (trials["condition"] == "high")]
    lines = list(check(stimuli, between.assign(accuracy=1, ItemNum=2, seen=True)))
    assert "design: subjects are nested in conditions: each meets one" in lines
    assert "cells: 2 trials a subject and condition; 3 of 6 cells are empty" in lines
    assert "other columns of numbers, which --response may name: accuracy" in lines
    some = trials[(trials["subject"] != "s0") | (trials["condition"] == "high")]
    assert "design: subjects meet 1 to 2 of 2 conditions" in list(check(stimuli, some))


def test_trials_without_a_word_end_it_as_they_end_a_run(stimuli, trials):
    told = check(stimuli, trials.assign(condition="hihg"))
    with pytest.raises(AlignmentError, match="nearest: 'high'"):
        list(told)


def test_words_and_stimuli_are_those_of_a_trace(stimuli):
    traced = trace(stimuli, load_model("smollm2", device="cpu"), progress=False).words
    bare = bare_words(stimuli)
    shared = ["stimulus_id", "word_index", "word", "stimulus", "zipf_frequency", "is_critical"]
    pd.testing.assert_frame_equal(bare[shared], traced[shared], check_dtype=False)


def test_the_command_needs_no_model(capsys, tmp_path, stimuli, trials):
    stimuli[["item", "condition", "context", "sentence", "critical_word"]].to_csv(
        tmp_path / "s.csv", index=False
    )
    trials.to_csv(tmp_path / "t.csv", index=False)
    done = clada(capsys, "check", tmp_path / "s.csv", tmp_path / "t.csv")
    assert done.code == 0, done.err
    assert "trials: 12, of which 12 find their word" in done.out


def test_columns_of_the_callers_own_that_are_named_as_ours_are_theirs(stimuli):
    own = read_stimuli(
        stimuli[["item", "condition", "sentence"]].assign(
            regions=3, words=5, critical_word=["cat", "cat", "blorfnik", "boat"]
        )
    )
    assert not any(line.startswith("regions") for line in check(own))
