import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.design import (
    bare,
    latin_square_lists,
    lookalike,
    region_labels,
    size_at,
    word_spans,
    words_of,
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("chess.", "chess"),
        ("“Checkmate,”", "Checkmate"),
        ("wasn't", "wasn't"),
        ("—", "—"),
        ("¿Qué?", "Qué"),
        ("$5", "$5"),
        ("\ufeff“horse.”\u200b", "horse"),
        ("\u200b", "\u200b"),
    ],
)
def test_attached_punctuation_is_taken_off(word, expected):
    assert bare(word) == expected


def test_words_are_the_given_ones_or_the_spaced_ones():
    assert words_of({"sentence": " a  b. "}) == ["a", "b."]
    assert words_of({"sentence": "ab", "words": ["a", "b"]}) == ["a", "b"]
    assert words_of(pd.Series({"sentence": "a b", "words": float("nan")})) == ["a", "b"]


@given(st.lists(st.text("aéß猫.'", min_size=1), max_size=10), st.text(" \t", min_size=1, max_size=3))
def test_spans_cut_the_words_out_of_the_sentence(words, gap):
    sentence = gap + gap.join(words) + gap
    assert [sentence[start:end] for start, end in word_spans(sentence, sentence.split())] == sentence.split()


def test_spans_refuse_a_word_out_of_order():
    with pytest.raises(StimulusError, match="'a' is not found in order"):
        word_spans("b a b", ["b", "b", "a"])


@pytest.mark.parametrize(
    ("critical", "words", "places"),
    [
        ("us", ["US", "told", "us", "us."], [0, 2, 3]),
        ("horse", ["The", "horse", "wanted", "a", "horse."], [1, 4]),
        ("horse.", ["The", "“Horse”", "wanted", "a", "horse."], [1, 4]),
        ("us", ["bus"], []),
        ("don't", ["I", "don’t,", "she", "said"], [1]),
        ("don’t", ["I", "donʼt", "do"], [1]),
        ("Stra\u00dfe", ["Die", "STRASSE"], [1]),
        ("cafe\u0301", ["a", "caf\u00e9."], [1]),
        ("Donaudampf", ["der", "Donau\u00addampf\u200b."], [1]),
        ("Donau\u00addampf", ["der", "Donaudampf."], [1]),
    ],
)
def test_a_word_is_found_wherever_it_reads_the_same(critical, words, places):
    sentence = " ".join(words)
    spans = word_spans(sentence, words)
    assert [index for index in range(len(words)) if size_at(critical, sentence, spans, index)] == places


@pytest.mark.parametrize(
    ("critical", "word", "difference"),
    [
        (
            "h\u043erse",
            "horse.",
            "U+043E CYRILLIC SMALL LETTER O in 'h\u043erse' is U+006F LATIN SMALL LETTER O",
        ),
        ("Öl", "Ol", "U+00F6 LATIN SMALL LETTER O WITH DIAERESIS in 'Öl' is U+006F"),
        ("cat", "cut", ""),
        ("мама", "рама", ""),
        ("cat", "cats", ""),
    ],
)
def test_lookalikes_are_told_apart_by_code_point(critical, word, difference):
    assert lookalike(critical, ["The", word]).startswith(difference)
    assert bool(lookalike(critical, ["The", word])) == bool(difference)


def test_regions_must_add_up():
    with pytest.raises(StimulusError, match="neither the sentence cut"):
        region_labels("The|dog", ["The", "dog", "ran"])
    with pytest.raises(StimulusError, match="1 region names found for 2 regions"):
        region_labels("The dog|ran", ["The", "dog", "ran"], "subject")


@given(st.integers(1, 8), st.integers(2, 5))
def test_lists_are_balanced(blocks, conditions):
    items = blocks * conditions
    frame = pd.DataFrame(
        [(i, c) for i in range(items) for c in range(conditions)], columns=["item", "condition"]
    )
    frame["list"] = latin_square_lists(frame)
    assert (frame.groupby("list")["item"].nunique() == items).all()
    assert (frame.groupby(["list", "condition"]).size() == blocks).all()
    assert frame.groupby(["list", "item"]).size().max() == 1


def test_lists_refuse_an_incomplete_item():
    frame = pd.DataFrame({"item": [1, 1, 2], "condition": ["a", "b", "a"]})
    with pytest.raises(StimulusError, match="item '2' has not exactly one row"):
        latin_square_lists(frame)
