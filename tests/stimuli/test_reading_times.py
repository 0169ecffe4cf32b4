"""The two sets of single-trial reading times: counts, and that every time stands at the word that was read."""

import pandas as pd
import pytest

from clada_neuro.errors import DataError
from clada_neuro.stimuli import datasets
from clada_neuro.stimuli.sets import boyce, frank, frank_et
from clada_neuro.study.asked import Asked
from clada_neuro.study.resolve import resolve_target


def folder(name: str):
    try:
        return datasets.path(name)
    except DataError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def maze() -> pd.DataFrame:
    folder("naturalstories")
    folder("boyce2023_maze")
    trials = datasets.load_trials("boyce2023_maze")
    assert trials.exclusions["rows_removed"].tolist() == [0, 0]
    return trials.frame


@pytest.fixture(scope="module")
def first_pass() -> pd.DataFrame:
    folder("frank2013_et")
    trials = datasets.load_trials("frank2013_et")
    assert trials.exclusions["rows_removed"].tolist() == [15_437, 15_092, 17_577, 210]
    return trials.frame


def test_every_maze_time_finds_its_word(maze):
    assert len(maze) == 56_447
    assert maze[["subject", "item", "stimulus", "sentence"]].nunique().tolist() == [63, 10, 9_304, 475]
    assert maze["rt_ms"].between(104, 4_964).all()
    texts = datasets.load("boyce2023_maze").set_index("stimulus_id")["sentence"].str.split()
    assert all(
        texts[key][place] == word
        for key, place, word in zip(maze["stimulus_id"], maze["word_index"], maze["word"], strict=True)
    )


def test_the_join_is_confirmed_by_the_file_s_own_frequencies(maze):
    # One value a written word: of 2,580 words, none would keep it if sentences were cut elsewhere.
    frequency = boyce.read(folder("boyce2023_maze"))["unigramsurp"]
    assert frequency.groupby(maze["word"].to_numpy()).nunique().eq(1).all()


def test_a_word_of_another_length_is_removed_and_counted(maze, monkeypatch):
    served = boyce.read(folder("boyce2023_maze"))
    served.loc[[0, 1], "wlen"] = 99
    served.loc[2, "sentpos"] = 999
    monkeypatch.setattr(boyce, "read", lambda folder: served)
    trials = boyce.load_trials(folder("boyce2023_maze"), "boyce2023_maze")
    assert trials.exclusions["rows_removed"].tolist() == [1, 2]
    assert len(trials.frame) == 56_444


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("He left. She stayed.", 2),
        ("'That looks fun!' Abby exclaimed. She left.", 2),
        ("'Why not?' I cried desperately.", 1),
        ("'Who?' She left.", 2),
        ("I met Mr. Sticky. 'Good.' It was.", 3),
        ("He said 'no!' and left at 3 p.m. on foot.", 1),
    ],
)
def test_sentences_are_cut_as_the_file_counts_them(text, sentences):
    assert len(boyce.sentences(text.split())) == sentences
    assert [word for sentence in boyce.sentences(text.split()) for word in sentence] == text.split()


def test_first_pass_times_are_counted_and_of_fixated_words(first_pass):
    assert len(first_pass) == 32_793
    assert first_pass[["subject", "item", "sentence"]].nunique().tolist() == [35, 1_487, 205]
    assert first_pass["first_pass_ms"].between(50, 3_000).all()
    assert set(first_pass["previous_fixated"]) == {0, 1}


def test_first_pass_times_are_of_the_words_of_frank2015(first_pass):
    words = frank.words(folder("frank2015")).astype({"item": "str"}).set_index("item")
    at = words.loc[first_pass["item"]]
    assert (at["word"].to_numpy() == first_pass["word"].to_numpy()).all()
    assert (at["word_pos"].to_numpy() - 1 == first_pass["word_index"].to_numpy()).all()
    assert not at["reject_word"].any()
    assert len(frank_et.read(folder("frank2013_et"))) == 81_109


@pytest.mark.parametrize("name", ["boyce2023_maze", "frank2013_et"])
def test_each_has_an_analysis_of_times_and_of_log_times(name):
    folder(name)
    target = resolve_target(name)
    assert target.decided_by == {"kind": "data set", "name": name}
    raw, log = (model.response for model in target.analysis.models)
    assert log == f"log({raw})"
    assert all(model.directions == {"surprisal_bits": "positive"} for model in target.analysis.models)
    assert resolve_target(name, asked=Asked.of(response=raw)).analysis.models[0].response == raw
