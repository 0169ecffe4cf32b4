"""Trials without conditions, items or texts find their words; rows that share a presentation are told."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from clada_neuro import read_stimuli
from clada_neuro.cli.fit import command
from clada_neuro.errors import AlignmentError
from clada_neuro.responses.alignment import align
from clada_neuro.responses.repeats import repeats, repeats_in
from clada_neuro.study.check import bare_words


def words_of(sentences, **columns):
    return bare_words(read_stimuli(pd.DataFrame({"sentence": sentences, **columns})))


def trials_of(**columns):
    size = max(len(values) for values in columns.values() if isinstance(values, list))
    return pd.DataFrame({"subject": ["s1"] * size, "rt_ms": range(300, 300 + size), **columns})


def test_an_item_alone_finds_the_only_text_of_its_item():
    words = words_of(["One two.", "Three four."])
    found = align(words, trials_of(item=[2, 1, 2], word_index=[0, 1, 1]))
    assert found.trials["word"].tolist() == ["Three", "two.", "four."]


def test_conditions_of_trials_are_theirs_where_stimuli_have_none():
    words = words_of(["One two.", "Three four."], item=[1, 2])
    found = align(words, trials_of(item=[1, 2], condition=["a", "b"], word_index=[0, 0]))
    assert found.trials[["word", "condition"]].to_numpy().tolist() == [["One", "a"], ["Three", "b"]]
    with pytest.raises(AlignmentError, match=r"no conditions, but item '1' was presented in 2;"):
        align(words, trials_of(item=[1, 1], condition=["a", "b"], word_index=[0, 0]))


def test_an_item_alone_does_not_choose_between_conditions():
    words = words_of(["One.", "Two."], item=[1, 1], condition=["a", "b"])
    with pytest.raises(AlignmentError, match="share neither stimulus_id nor item and condition"):
        align(words, trials_of(item=[1, 1], word_index=[0, 0]))


def test_trials_of_a_story_need_not_name_it():
    words = words_of(["Once upon a time."])
    found = align(words, trials_of(word_index=[3, 0]))
    assert found.trials["word"].tolist() == ["time.", "Once"]
    assert any("taken to be of the only one, '1'" in note for note in found.notes)
    with pytest.raises(AlignmentError, match="share neither"):
        align(words_of(["Once.", "Twice."]), trials_of(word_index=[0, 0]))


def test_rows_of_one_presentation_are_counted_with_what_differs():
    words = words_of(["One two.", "Three four."])
    trials = trials_of(item=[1] * 40 + [2] * 40, word_index=[1] * 80, roi=["left", "right"] * 40)
    trials = trials.assign(time_ms=[300 + k // 2 for k in range(80)], age=30)
    (note,) = (one for one in align(words, trials).notes if "share" in one)
    assert note.startswith(
        "78 of 80 rows share subject, item, word_index with an earlier one (up to 40 rows each); "
        "they differ in rt_ms, roi, time_ms. Each counts as a trial"
    )


def test_copies_are_told_apart_from_other_presentations():
    frame = pd.DataFrame({"subject": ["s", "s", "s", "t"], "item": [1, 1, 1, 1], "y": [1, 1, 2, 1]})
    copies, several = repeats(frame, ["subject", "item"])
    assert copies.startswith("1 of 4 trials equal an earlier one in every column (the first is row 1)")
    assert several.startswith(
        "1 of 4 rows share subject, item with an earlier one (up to 3 rows each); they differ in y."
    )
    assert repeats(frame.assign(item=[1, 2, 3, 4]), ["subject", "item"]) == []


def test_fit_counts_rows_of_one_presentation_before_it_fits(tmp_path):
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {"subject": np.repeat(list("abcdefgh"), 24), "item": np.tile(np.repeat(range(12), 2), 8),
         "word_index": 3, "roi": ["left", "right"] * 96, "x": rng.normal(size=192), "y_uv": rng.normal(size=192)}
    )  # fmt: skip
    data.to_csv(tmp_path / "trials.csv", index=False)
    arguments = [
        str(tmp_path / "trials.csv"),
        "--formula",
        "y_uv ~ x + (1|subject)",
        "--out",
        str(tmp_path / "out"),
    ]
    said = CliRunner().invoke(command, arguments, catch_exceptions=False).output
    assert (
        "note: 96 of 192 rows share subject, item, word_index with an earlier one (up to 2 rows each); they differ in "
        "roi, x, y_uv. Each counts as a trial"
    ) in said
    chosen = CliRunner().invoke(command, [*arguments, "--where", "roi == 'left'"], catch_exceptions=False)
    assert "rows share" not in chosen.output
    assert repeats_in(data.drop(columns="subject")) == []
