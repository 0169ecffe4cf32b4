"""The page without a browser: what its widgets do when they are used, and what they say of wrong input."""

import pytest
from app_server import INSTALLED
from tiny_models import tiny_checkpoint

pytestmark = pytest.mark.skipif(not INSTALLED, reason="the extra app is not installed")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    from clada_neuro.app.page import App
    from clada_neuro.app.settings import Settings

    folder = tmp_path_factory.mktemp("page")
    return App(Settings((str(tiny_checkpoint(folder / "model")),), str(folder)))


def test_a_file_replaces_what_is_typed_until_it_is_left_out(page):
    sent = {"name": "mine.csv", "size": 30, "content": memoryview(b"item,condition,sentence\n1,a,w3 w4 w5\n")}
    page.drop.set_state(sent | {"times": page.drop.times + 1})
    assert "mine.csv: 1 texts" in page.told.value
    page.go.click()
    assert len(page.text.options) == 1
    page.forget.click()
    page.go.click()
    assert len(page.text.options) == 2


def test_the_first_text_is_drawn_and_without_a_measure_a_line_stands_there(page):
    page.go.click()
    assert "<img" in page.plot.value
    assert not page.go.disabled
    for box in page.measures.values():
        box.value = False
    assert "nothing to draw; choose a measure" in page.caption.value
    assert page.plot.value == ""
    page.measures["surprisal_bits"].value = True
    assert "<img" in page.plot.value


def test_other_texts_of_the_same_ids_are_drawn_anew_and_once(page, monkeypatch):
    from clada_neuro import widgets

    drawn, draw = [], widgets.word_by_word
    monkeypatch.setattr(widgets, "word_by_word", lambda *a, **k: drawn.append(1) or draw(*a, **k))
    page.texts.value = "w3 w4 w5"
    page.go.click()
    before, count = (page.plot.value, page.caption.value), len(drawn)
    page.texts.value = "w6 w7 w8 w9"
    page.go.click()
    assert page.plot.value != before[0]
    assert page.caption.value != before[1]
    assert len(drawn) == count + 1
    assert count == 1


def test_wrong_input_is_one_escaped_line_and_the_page_goes_on(page):
    page.texts.value = "w3 *<i>* w4 *w5* w6"
    page.go.click()
    assert "2 *marked* words found" in page.told.value
    assert "<i>" not in page.told.value
    page.drop.set_state({"name": "large.csv", "size": 2**30, "content": b"", "times": page.drop.times + 1})
    assert "at most 5 MB" in page.told.value
    page.texts.value = "w3 w4"
    page.go.click()
    assert "2 words of 1 texts measured" in page.told.value


def test_a_defect_is_told_and_leaves_the_button(page, monkeypatch):
    monkeypatch.setattr("clada_neuro.app.work.typed", lambda text: 1 / 0)
    page.go.click()
    assert "a defect of the program: ZeroDivisionError" in page.told.value
    assert not page.go.disabled
