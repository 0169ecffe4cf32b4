"""SyntaxGym suites and minimal pairs: their texts, and predictions whose values are calculated by hand."""

import json

import pandas as pd
import pytest

from clada_neuro import read_stimuli
from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.design import words_of
from clada_neuro.stimuli.predictions import Prediction

SUITE = {
    "meta": {"name": "number", "metric": "sum"},
    "region_meta": {"1": "subject", "2": "verb", "3": "end"},
    "predictions": [
        {"type": "formula", "formula": "(2;%wrong%) > (2;%right%)"},
        {"type": "formula", "formula": "[(2;%wrong%) - (2;%right%)] > 1 & (*;%wrong%) > (*;%right%)"},
    ],
    "items": [
        {
            "item_number": number,
            "conditions": [
                {
                    "condition_name": name,
                    "regions": [
                        {"region_number": 1, "content": subject},
                        {"region_number": 2, "content": verb},
                        {"region_number": 3, "content": ""},
                        {"region_number": 4, "content": "."},
                    ],
                }
                for name, verb in (("right", "are here"), ("wrong", "is here"))
            ],
        }
        for number, subject in ((1, "The dogs"), (2, "Cats"))
    ],
}


def saved(tmp_path, document, name="number.json"):
    path = tmp_path / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_suite_is_a_stimulus_table_with_regions_and_predictions(tmp_path):
    made = read_stimuli(saved(tmp_path, SUITE))
    assert made["stimulus_id"].tolist() == ["1-right", "1-wrong", "2-right", "2-wrong"]
    assert made["sentence"].tolist()[:2] == ["The dogs are here.", "The dogs is here."]
    assert words_of(made.iloc[0]) == ["The", "dogs", "are", "here", "."]
    assert made["regions"].tolist()[0] == ["1", "1", "2", "2", "4"]
    assert [one["suite"] for one in made.attrs["predictions"]] == ["number", "number"]
    assert made.attrs["predictions"][0]["formula"] == "(2;%wrong%) > (2;%right%)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda suite: suite["items"][1].pop("conditions"), "an item of number lacks 'conditions'"),
        (
            lambda suite: suite["items"][0]["conditions"][0].pop("condition_name"),
            "item 1 lacks 'condition_name'",
        ),
        (lambda suite: suite["items"].clear(), "is empty: the suite has no items"),
        (
            lambda suite: suite["predictions"][0].update(formula="(5;%wrong%) > (2;%right%)"),
            "the prediction 1 .* names region 5 of condition 'wrong', which is not there; conditions are right, wrong",
        ),
        (
            lambda suite: suite["predictions"][0].update(type="code"),
            "prediction 1 has no formula, such as .*; it has type code",
        ),
        (lambda suite: suite["predictions"][0].update(formula="(2;%wrong%) ~ 1"), "cannot be read at '~ 1'"),
        (lambda suite: suite["predictions"][0].update(formula="(2;%wrong%)"), "it compares nothing"),
    ],
)
def test_a_suite_that_cannot_be_read_is_one_line(tmp_path, change, message):
    document = json.loads(json.dumps(SUITE))
    change(document)
    with pytest.raises(StimulusError, match=message):
        read_stimuli(saved(tmp_path, document))


BITS = {("a", "1"): 3.0, ("a", "2"): 5.0, ("b", "1"): 4.0, ("b", "2"): 2.5, ("a", "*"): 8.0, ("b", "*"): 6.5}


@pytest.mark.parametrize(
    ("formula", "holds"),
    [
        ("(1;%a%) < (1;%b%)", True),
        ("(*;%a%)>(*;%b%)", True),
        ("(1;%a%) + (2;%a%) - 1 > (1;%b%) + (2;%b%)", True),  # 7 > 6.5
        ("((1;%a%) - ((2;%a%) - 1)) > 0", False),  # 3 - 4
        ("(1;%a%) - (2;%a%) - 1 > -3.5", True),  # (3 - 5) - 1 = -3, from the left
        ("(1;%a%) = 3.0005", True),  # within 1e-3
        ("(1;%a%) = 3.01", False),
        ("(1;%a%) > (1;%b%) & (2;%a%) > (2;%b%)", False),
        ("(1;%a%) > (1;%b%) | (2;%a%) > (2;%b%)", True),
        ("((1;%a%) > 1) & ([(2;%a%) - (2;%b%)] > [(1;%b%) - (1;%a%)])", True),  # 2.5 > 1
        ("(3;%a%) < 1", True),  # no words, no bits
    ],
)
def test_predictions_are_calculated(formula, holds):
    assert Prediction("p", formula).holds(BITS) is holds


def test_a_missing_surprisal_leaves_a_prediction_open():
    assert Prediction("p", "(1;%a%) < 4").holds({("a", "1"): float("nan")}) is None


@pytest.mark.parametrize(
    "formula", ["(1;%a%) <", "((1;%a%) < 2", "(1;%a%) < 2)", "(1;%a%) < 2 < 3", "1 & 2", "(1;%a%] < 2", ""]
)
def test_formulas_that_say_nothing_are_refused(formula):
    with pytest.raises(StimulusError, match="cannot be read"):
        Prediction("p", formula).holds(BITS)


def test_minimal_pairs_predict_that_the_bad_one_surprises_more(tmp_path):
    records = [
        {"sentence_good": "Who left?", "sentence_bad": "Who do left?", "UID": uid, "pairID": str(k)}
        for k, uid in enumerate(["wh", "wh", "island"])
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    made = read_stimuli(path)
    assert made["stimulus_id"].tolist() == ["1-good", "1-bad", "2-good", "2-bad", "3-good", "3-bad"]
    assert [one["suite"] for one in made.attrs["predictions"]] == ["wh", "island"]
    assert {one["formula"] for one in made.attrs["predictions"]} == {"(*;%bad%) > (*;%good%)"}
    frame = read_stimuli(pd.DataFrame({"sentence_good": ["A."], "sentence_bad": ["B."]}))
    assert frame["suite"].tolist() == ["pairs", "pairs"]


def test_a_table_of_sentences_with_the_two_of_a_pair_beside_them_predicts_nothing():
    frame = pd.DataFrame(
        {"sentence": ["The dog ran."], "sentence_good": ["A dog."], "sentence_bad": ["Dog a."]}
    )
    assert "predictions" not in read_stimuli(frame).attrs
    assert "predictions" in read_stimuli(frame.drop(columns="sentence")).attrs


def test_a_folder_of_suites_is_read_as_one(tmp_path):
    saved(tmp_path, SUITE)
    saved(tmp_path, {**SUITE, "meta": {"name": "other"}}, "other.json")
    made = read_stimuli(tmp_path)
    assert len(made) == 8
    assert made["stimulus_id"].is_unique
    assert made["item"].nunique() == 4
    assert [one["suite"] for one in made.attrs["predictions"]] == ["number", "number", "other", "other"]
    (tmp_path / "none").mkdir()
    with pytest.raises(StimulusError, match="holds no suites"):
        read_stimuli(tmp_path / "none")
