"""Figures take any text as it is, and leave the same bytes for the same drawing."""

import pytest

from clada_neuro.reporting import figures
from clada_neuro.reporting.figures import draw


def label(text: str):
    return lambda axes: axes.set(xticks=[0], xticklabels=[text], title=text)


@pytest.mark.parametrize("text", ["$5 and $10", r"$\notamacro$", "a_b^c {", "1 < 2 & 3", "naïve 語"])
def test_words_are_no_formulas(text):
    assert draw("x", "caption", "alt", label(text)).svg == draw("x", "caption", "alt", label(text)).svg


OTHER_FONTS = figures._installed(figures._FONTS[1:])


@pytest.mark.skipif(not OTHER_FONTS, reason="no font for Chinese is installed")
def test_words_in_other_scripts_are_drawn_without_complaint(recwarn, caplog):
    draw("x", "caption", "alt", label("语言模型"))
    assert not [warning for warning in recwarn if "missing from" in str(warning.message)]
    assert not caplog.records


def test_fonts_that_are_not_installed_are_not_asked_for():
    assert figures._installed(("DejaVu Sans", "No Such Font")) == ["DejaVu Sans"]
