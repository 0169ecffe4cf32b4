"""A stimulus is the text up to and including the word: the same characters, the same stimulus."""

import pandas as pd

from clada_neuro.stimuli.unit import stimulus_at, stimulus_label, stimulus_of


def test_labels_are_equal_exactly_where_the_texts_are():
    label = stimulus_label("He fed the cat", "cat")
    assert label == stimulus_label("He fed the cat", "cat")
    assert label.startswith("cat:")
    others = ["She fed the cat", "he fed the cat", "He fed  the cat", "He fed the\N{NO-BREAK SPACE}cat"]
    assert len({label, *(stimulus_label(text, "cat") for text in others)}) == 1 + len(others)


def test_a_word_of_a_text_is_what_was_read_up_to_its_end():
    text = "Wet. He fed the cat, then left."
    start = text.index("cat")
    assert stimulus_at(text, start, start + 3) == stimulus_label("Wet. He fed the cat", "cat")
    assert stimulus_at(text, start, start + 3) == stimulus_at("Wet. He fed the cat.", start, start + 3)
    both = [stimulus_at(one, start, start + 3, both_sides=True) for one in (text, text + " Dry.")]
    assert len(set(both)) == 2


def test_a_broken_character_has_a_label_too():
    assert stimulus_label("\ud83d cat", "cat") != stimulus_label("\ude00 cat", "cat")


def test_a_table_without_the_column_pools_nothing():
    words = pd.DataFrame({"stimulus_id": ["1", "1", "2"], "word_index": [0, 1, 0], "word": ["a", "a", "a"]})
    assert stimulus_of(words).tolist() == ["1:0", "1:1", "2:0"]
    assert stimulus_of(words.assign(stimulus=["x", "y", "x"])).tolist() == ["x", "y", "x"]
