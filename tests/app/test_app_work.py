"""What the page does with texts: bounds, files that are no tables, the CSV and the report of a trace."""

import io
import zipfile

import pandas as pd
import pytest
from tiny_models import tiny_checkpoint

from clada_neuro.app import work
from clada_neuro.app.settings import LARGEST_UPLOAD, LARGEST_WORKBOOK, MOST_WORDS, Settings
from clada_neuro.app.work import Upload
from clada_neuro.errors import CladaNeuroError
from clada_neuro.models.loading import load_model


def test_sentences_are_texts_and_asterisks_mark_words():
    found = work.typed("  a b *c*.\n\n a *b* c \n")
    assert found["sentence"].tolist() == ["a b c.", "a b c"]
    assert found["critical_word"].tolist() == ["c", "b"]


@pytest.mark.parametrize(
    "text, line", [(" \n ", "no sentence given"), ("a " * (MOST_WORDS + 1), f"at most {MOST_WORDS:,}")]
)
def test_nothing_and_too_much_are_refused(text, line):
    with pytest.raises(CladaNeuroError, match=line):
        work.typed(text)


def test_a_table_is_read_as_stimuli_whatever_its_path(tmp_path):
    content = b"Item,Condition,Sentence,Critical_Word\n1,a,x y z.,z\n1,b,x y w.,w\n"
    found = work.uploaded(Upload("../../etc/my table.csv", content), tmp_path)
    assert found["critical_word"].tolist() == ["z", "w"]
    assert list(tmp_path.iterdir()) == []


def _bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/sheet.xml", b"0" * (LARGEST_WORKBOOK + 1))
    return file.getvalue()


@pytest.mark.parametrize(
    "name, content, line",
    [
        ("photo.png", b"\x89PNG", "'photo.png' given, a table of stimuli expected: .csv"),
        ("photo.csv", b"\x89PNG\r\n\x1a\n\xff\xfe", "photo.csv"),
        ("words.csv", b"word,count\nthe,3\n", "words.csv"),
        ("empty.csv", b"", "empty.csv"),
        ("book.xlsx", b"no workbook", "'book.xlsx' is no workbook"),
        ("book.xlsx", _bomb(), "MB when unpacked"),
        ("large.csv", bytes(LARGEST_UPLOAD + 1), "'large.csv' has 5.0 MB, at most 5 MB"),
    ],
)
def test_what_is_no_table_of_stimuli_gets_one_line_with_its_name(tmp_path, name, content, line):
    with pytest.raises(CladaNeuroError) as refused:
        work.uploaded(Upload(name, content), tmp_path)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_csv_and_report_are_of_the_texts(tmp_path):
    model = load_model(tiny_checkpoint(tmp_path / "model"))
    traced = work.measured(work.typed("w3 w4 *w5*\n=w6 w7 w8"), model, tmp_path / "traced")
    table = pd.read_csv(io.BytesIO(work.csv_of(traced, tmp_path / "traced")))
    assert len(table) == len(traced.words) == 6
    assert table["surprisal_bits"].to_numpy() == pytest.approx(traced.words["surprisal_bits"], rel=1e-6)
    assert table["word"].tolist()[3] == "'=w6"  # no spreadsheet runs it
    assert b"<html" in work.report_of(tmp_path / "traced")[:200]


def test_settings_reach_the_process_of_the_page(monkeypatch):
    monkeypatch.delenv("CLADA_NEURO_APP", raising=False)
    assert Settings.handed_on() == Settings()
    Settings(("a", "b"), "folder").hand_on()
    assert Settings.handed_on() == Settings(("a", "b"), "folder")
    monkeypatch.delenv("CLADA_NEURO_APP")
