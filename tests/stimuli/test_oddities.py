"""Markup, percent codes and unseen characters are named, with the row and the word; ordinary texts are not."""

import pandas as pd
import pytest

from clada_neuro import read_stimuli
from clada_neuro.stimuli.design import words_of


def notes(*sentences):
    frame = pd.DataFrame({"item": range(len(sentences)), "condition": "a", "sentence": sentences})
    return read_stimuli(frame.set_index(frame.index + 5)).attrs["notes"]


@pytest.mark.parametrize(
    ("sentence", "kind", "word"),
    [
        ("She <b>sang</b> well.", "HTML", "<b>sang</b>"),
        ('She <span class="x">sang.', "HTML", '<span class="x">sang.'),
        ("He left.<br/>", "HTML", "left.<br/>"),
        ("Salt &amp; pepper.", "HTML", "&amp;"),
        ("The caf&#233; closed.", "HTML", "caf&#233;"),
        ("After%2C he left.", "percent codes", "After%2C"),
        ("He said %22no%22.", "percent codes", "%22no%22."),
        ("The Donau\u00addampfer.", "U+00AD soft hyphen", "Donau\u00addampfer."),
        ("The\u200bend.", "U+200B zero width space", "The\u200bend."),
        ("Mr.\u00a0Smith left.", "U+00A0 no-break space, which separates words", "Mr.\u00a0Smith"),
        ("Go!\u2028Now.", "U+2028 line separator, which separates words", "Go!\u2028Now."),
    ],
)
def test_oddities_are_named(sentence, kind, word):
    assert notes("Good.", sentence, "Fine.") == [
        f"1 text holds {kind} (scored as given; first in row 6, '{word}')"
    ]


def test_texts_are_counted_and_kinds_told_apart():
    assert notes("A <b>.", "A%2C <i>.", "B.") == [
        "2 texts hold HTML (scored as given; first in row 5, '<b>.')",
        "1 text holds percent codes (scored as given; first in row 6, 'A%2C')",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "It grew by 50 % in May.", "At 5%, no 100%!", "R&D; he said", "AT&T and P&O;", "If a < b and c > d, stop.",
        "Wow 👩‍🔬 works 🎉.", "می‌خواهم بروم", "Er trank „Öl“ — täglich.", "*Yes", "2 * 3 * 4",
    ],
)  # fmt: skip
def test_ordinary_texts_are_not_noted(sentence):
    assert notes(sentence) == []


def test_preceding_text_is_looked_at_too():
    frame = pd.DataFrame(
        {"item": [1], "condition": ["a"], "sentence": ["He left."], "context": ["It <i>rained</i>."]}
    )
    assert read_stimuli(frame).attrs["notes"][1].startswith("1 text holds HTML")


def test_marks_beside_a_critical_word_are_named():
    frame = pd.DataFrame(
        {"item": [1], "condition": ["a"], "sentence": ["He *left* her."], "critical_word": ["left"]}
    )
    assert "*marks*" in read_stimuli(frame).attrs["notes"][0]


@pytest.mark.parametrize("space", ["\u00a0", "\u202f", "\u2009", "\u3000", "\u0085", "\u2028"])
def test_every_kind_of_space_separates_words(space):
    frame = pd.DataFrame(
        {"item": [1], "condition": ["a"], "sentence": [f"Mr.{space}Smith left."], "critical_word": ["Smith"]}
    )
    found = read_stimuli(frame)
    assert words_of(found.iloc[0]) == ["Mr.", "Smith", "left."]
    assert found["critical_index"].tolist() == [1]


def test_texts_that_differ_only_in_spacing_or_case_are_named():
    rows = [
        ("1", "a", "The cat sat."),
        ("2", "a", "The  cat sat."),
        ("3", "a", "the cat sat."),
        ("4", "a", "A dog sat."),
    ]
    notes = read_stimuli(pd.DataFrame(rows, columns=["item", "condition", "sentence"])).attrs["notes"]
    assert any(
        note.startswith("2 texts differ from another only in spacing or case (row 1 from row 0)")
        for note in notes
    )
