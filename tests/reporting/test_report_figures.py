"""Figures take any text as it is, and leave the same bytes for the same drawing."""

import pytest

from clada_neuro.reporting.figures import draw


def label(text: str):
    return lambda axes: axes.set(xticks=[0], xticklabels=[text], title=text)


@pytest.mark.parametrize("text", ["$5 and $10", r"$\notamacro$", "a_b^c {", "1 < 2 & 3", "naïve 語"])
def test_words_are_no_formulas(text):
    assert draw("x", "caption", "alt", label(text)).svg == draw("x", "caption", "alt", label(text)).svg
