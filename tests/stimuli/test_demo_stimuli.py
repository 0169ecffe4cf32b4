"""Our own stimulus sets: complete, well formed and balanced."""

import pytest
import wordfreq

from clada_neuro import read_stimuli
from clada_neuro.artifacts import package_data
from clada_neuro.stimuli.design import latin_square_lists, words_of
from clada_neuro.tables import validate


@pytest.fixture(scope="module", params=["n400_demo.csv", "p600_demo.csv"])
def stimuli(request):
    return validate(read_stimuli(package_data("stimuli", request.param)), "stimuli")


def test_sizes():
    n400 = read_stimuli(package_data("stimuli", "n400_demo.csv"))
    assert n400.groupby("condition").size().to_dict() == {"anomalous": 90, "expected": 90, "unexpected": 90}
    p600 = read_stimuli(package_data("stimuli", "p600_demo.csv"))
    assert p600.groupby(["contrast", "condition"]).size().to_dict() == {
        (contrast, condition): 16
        for contrast in ("agreement", "garden_path", "role_reversal")
        for condition in ("control", "violation")
    }


def test_each_critical_word_stands_at_its_place_with_three_to_six_words_after_it(stimuli):
    for _, row in stimuli.iterrows():
        words = words_of(row)
        assert words[row["critical_index"]] == row["critical_word"]
        assert 3 <= len(words) - row["critical_index"] - 1 <= 6


def test_sentences_differ_and_conditions_are_complete(stimuli):
    assert not stimuli["sentence"].duplicated().any()
    assert set(latin_square_lists(stimuli)) == set(range(1, stimuli["condition"].nunique() + 1))


def test_conditions_of_the_n400_set_share_their_frame():
    stimuli = read_stimuli(package_data("stimuli", "n400_demo.csv"))
    frames = [
        tuple(word for place, word in enumerate(words_of(row)) if place != row["critical_index"])
        for _, row in stimuli.iterrows()
    ]
    assert stimuli.assign(frame=frames).groupby("item")["frame"].nunique().eq(1).all()


def test_length_and_frequency_do_not_separate_conditions(stimuli):
    by = [name for name in ("contrast", "condition") if name in stimuli]
    length = stimuli["critical_word"].str.len()
    zipf = stimuli["critical_word"].map(lambda word: wordfreq.zipf_frequency(word, "en"))
    means = stimuli.assign(length=length, zipf=zipf).groupby(by)[["length", "zipf"]].mean()
    spread = (
        means.groupby(level=by[:-1]).agg(lambda column: column.max() - column.min()) if len(by) > 1 else None
    )
    largest = spread.max() if spread is not None else means.max() - means.min()
    assert largest["length"] < 0.5
    assert largest["zipf"] < 0.25


def test_anomalous_words_are_expected_words_elsewhere():
    stimuli = read_stimuli(package_data("stimuli", "n400_demo.csv"))
    words = stimuli.groupby("condition")["critical_word"].agg(sorted)
    assert words["anomalous"] == words["expected"]
