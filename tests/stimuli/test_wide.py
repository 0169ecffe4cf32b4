"""A sentence column a condition, sentences in several columns, and JSON records."""

import json

import pandas as pd
import pytest

from clada_neuro import read_stimuli
from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.design import words_of

WIDE = pd.DataFrame(
    {
        "Frame": ["7", "8"],
        "plausible": ["He ate the cake.", "She fed the cat."],
        "implausible": ["He ate the sock.", ""],
        "cloze_plausible": [0.9, 0.8],
        "cloze_implausible": [0.0, 0.1],
        "target_plausible": ["cake", "cat"],
        "target_implausible": ["sock", ""],
        "verb": ["eat", "feed"],
    }
)
PARTS = pd.DataFrame(
    {
        "item": [1, 2],
        "condition": ["a", "a"],
        "Context": ["In the lobby,", "At noon"],
        "Frame": ["he had", "they had"],
        "Target": ["swum from", "left"],
        "Rest": [".", ", they said."],
    }
)


def test_a_sentence_column_a_condition_becomes_a_row_a_text():
    made = read_stimuli(
        WIDE,
        columns={"item": "Frame", "critical_word": "target"},
        condition_columns=["plausible", "implausible"],
    )
    assert made[["stimulus_id", "sentence", "critical_word", "cloze", "verb"]].to_numpy().tolist() == [
        ["7-plausible", "He ate the cake.", "cake", 0.9, "eat"],
        ["7-implausible", "He ate the sock.", "sock", 0.0, "eat"],
        ["8-plausible", "She fed the cat.", "cat", 0.8, "feed"],
    ]
    assert made.attrs["notes"][0] == (
        "a sentence column a condition: plausible (plausible), implausible (implausible); cloze_plausible, "
        "cloze_implausible become cloze; target_plausible, target_implausible become target; 1 empty cell is left out"
    )


def test_columns_named_sentence_are_found_and_rows_are_items():
    frame = pd.DataFrame(
        {"sentence_old": ["*He* ran.", "She ran."], "sentence_new": ["He *ran*.", "She *sang*."]}
    )
    made = read_stimuli(frame)
    assert made["stimulus_id"].tolist() == ["1-old", "1-new", "2-old", "2-new"]
    assert made["critical_word"].fillna("-").tolist() == ["He", "ran", "-", "sang"]
    assert "predictions" not in made.attrs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(condition_columns=["plausible"]), "one condition column, plausible, given"),
        (
            dict(condition_columns=["plausible", "implausable"]),
            r"lacks the column 'implausable' \(did you mean 'implausible'",
        ),
        (dict(sentence_columns=["plausible", "rest"]), "lacks the column 'rest'"),
    ],
)
def test_what_is_not_there_is_one_line(options, message):
    with pytest.raises(StimulusError, match=message):
        read_stimuli(WIDE, columns={"item": "Frame"}, **options)


def test_conditions_twice_are_refused():
    with pytest.raises(
        StimulusError, match="has a column condition beside the sentences of plausible, implausible"
    ):
        read_stimuli(WIDE.assign(condition="a"), condition_columns=["plausible", "implausible"])
    with pytest.raises(
        StimulusError, match="has a column sentence beside the sentence in columns Context, Frame"
    ):
        read_stimuli(PARTS.assign(sentence="He left."), sentence_columns=["Context", "Frame"])


def test_sentences_in_several_columns_are_joined_with_their_regions():
    made = read_stimuli(
        PARTS, columns={"critical_word": "Target"}, sentence_columns=["Context", "Frame", "Target", "Rest"]
    )
    assert made["sentence"].tolist() == [
        "In the lobby, he had swum from.",
        "At noon they had left, they said.",
    ]
    assert "context" not in made
    assert words_of(made.iloc[0]) == ["In", "the", "lobby,", "he", "had", "swum from."]
    assert made["critical_index"].tolist() == [5, 4]
    assert made["regions"].tolist() == [
        ["Context"] * 3 + ["Frame"] * 2 + ["Target"],
        ["Context"] * 2 + ["Frame"] * 2 + ["Target"] + ["Rest"] * 2,
    ]
    assert made.attrs["notes"][0].startswith(
        "sentence: Context + Frame + Target + Rest, such as 'In the lobby, he"
    )


def test_a_target_that_occurs_twice_stands_in_its_own_column():
    frame = PARTS.assign(Context=["They left.", "left"], Target=["left", "left"])
    made = read_stimuli(
        frame, columns={"critical_word": "Target"}, sentence_columns=["Context", "Frame", "Target"]
    )
    assert made["critical_index"].tolist() == [4, 3]


def test_conditions_and_columns_go_together():
    frame = pd.DataFrame({"Context": ["Then"], "good": ["he left."], "bad": ["him left."]})
    made = read_stimuli(frame, condition_columns=["good", "bad"], sentence_columns=["Context", "sentence"])
    assert made["sentence"].tolist() == ["Then he left.", "Then him left."]


def test_records_are_rows(tmp_path):
    path = tmp_path / "texts.jsonl"
    records = [
        {"item": 1, "condition": "a", "sentence": "我喜欢猫", "words": ["我", "喜欢", "猫"], "cloze": 0.5}
    ]
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n", encoding="utf-8")
    made = read_stimuli(path)
    assert words_of(made.iloc[0]) == ["我", "喜欢", "猫"]
    assert made["cloze"].tolist() == [0.5]
    path.write_text('{"item": 1}\n{"item": \n', encoding="utf-8")
    with pytest.raises(StimulusError, match=r"texts.jsonl', line 2 is no JSON"):
        read_stimuli(path)
    path.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(StimulusError, match="record 1 is no record with names"):
        read_stimuli(path)
