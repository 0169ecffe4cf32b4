"""One page of blocks in two renderings, and the files beside it."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pytest

from clada_neuro.errors import DataError
from clada_neuro.models.loading import LanguageModel
from clada_neuro.questions.analysis import run
from clada_neuro.questions.cells import estimate, listed, part, question_words, step_words
from clada_neuro.questions.page import Answer
from clada_neuro.records.question import QuestionRecord
from clada_neuro.reporting.blocks import Facts, Headed, Paragraph, Points, Section, Table
from clada_neuro.reporting.figures import draw

FRAME = pd.DataFrame({"formula": ["y ~ x + (1|item)", "y ~ <b>x</b>"], "n": [1234.56789, 2.0]})


@pytest.fixture
def answer():
    shown = pd.DataFrame({"formula": FRAME["formula"], "n": ["1,234.57", "2.00"]})
    figure = draw("gains", "Gains of each step.", "Points.", lambda axis: axis.plot([0, 1]), (2.0, 1.5))
    return Answer(
        name="human",
        title="Surprisal & activity",
        question="Does a < b?",
        model={"model": "tiny", "dtype": "float32", "start_token": "<|endoftext|>"},
        shows=[Headed("Shown", [Facts([("P600", "surprisal")])]), Points(["b = −0.15 µV."])],
        results=[Section("steps", "Steps", [figure, Table("steps", "What each adds.", FRAME, shown)])],
        control=[Paragraph("The model before it.")],
        limits=["No cause."],
        rows=[Paragraph("2 rows.")],
        tables={"steps": FRAME},
        settings={"folds": 10, "limit": None, "questions": (), "policies": ["clada", "no-load"]},
        departures=["3 folds used, 10 specified"],
    )


def test_both_renderings_say_the_same_in_the_same_order(answer, tmp_path):
    page = answer.write(tmp_path)
    html, text = page.read_text(encoding="utf-8"), (tmp_path / "human.md").read_text(encoding="utf-8")
    headings = re.findall(r"<h[23][^>]*>(.*?)</h[23]>", html)
    assert headings == re.findall(r"^###? (.*)$", text, re.MULTILINE)
    assert headings == [
        "Question", "What it shows", "Shown", "Steps", "What it is compared with", "What it does not show", "Rows",
        "Departures from the specified analysis", "Settings",
    ]  # fmt: skip
    for said in ("1,234.57", "b = −0.15 µV.", "3 folds used, 10 specified", "clada, no-load", "tiny"):
        assert said in html
        assert said in text
    assert "limit" not in headings
    assert "Does a &lt; b?" in html
    assert "&lt;b&gt;x" in html


def test_a_bar_in_a_cell_opens_no_column(answer, tmp_path):
    answer.write(tmp_path)
    assert "| y ~ x + (1\\|item) | 1,234.57 |" in (tmp_path / "human.md").read_text(encoding="utf-8")


def test_figures_tables_and_manifest_stand_beside(answer, tmp_path):
    answer.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "human.html", "human.md", "gains.png", "steps.csv", "manifest.json"
    }  # fmt: skip
    assert "](./gains.png)" in (tmp_path / "human.md").read_text(encoding="utf-8")
    assert (tmp_path / "steps.csv").read_text(encoding="utf-8").splitlines()[1] == "y ~ x + (1|item),1234.57"
    record = QuestionRecord.read(tmp_path / "manifest.json")
    assert (record.analysis, record.settings["folds"], record.model.start_token) == (
        "human",
        10,
        "<|endoftext|>",
    )


def test_figures_of_an_earlier_page_do_not_stay(answer, tmp_path):
    for name in ("human_frank2015_n400.png", "prefix_1_same.png", "mine.png"):
        (tmp_path / name).write_bytes(b"old")
    figures = [draw("human_new", "New.", "Points.", lambda axis: axis.plot([0, 1]), (2.0, 1.5))]
    replace(answer, results=[Section("steps", "Steps", figures)]).write(tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "human_new.png",
        "prefix_1_same.png",
        "mine.png",
    }


def test_a_question_is_answered_by_one_process_at_a_time(answer, tmp_path):
    asked = []

    def analysis(model, settings, folder, progress):
        asked.append(folder)
        with pytest.raises(DataError, match="another"), ThreadPoolExecutor() as pool:
            pool.submit(run, analysis, None, tmp_path, model=model).result()
        return answer

    assert run(analysis, None, tmp_path, model=object.__new__(LanguageModel)) == tmp_path / "human.html"
    assert asked == [tmp_path / "work"]


def test_cells_have_as_many_decimals_as_their_interval_allows():
    assert estimate(2.0689, -0.3485, 4.4869) == "2.07 [−0.35, 4.49]"
    assert estimate(0.12345, 0.1101, 0.1368) == "0.123 [0.110, 0.137]"
    assert estimate(-0.5, float("nan"), float("nan")) == "−0.50"
    assert part(0.05021, 0.0455, 0.0541) == ".0502 [.0455, .0541]"
    assert part(0.05021, float("nan"), float("nan")) == ".050"


def test_steps_and_questions_are_said_in_words():
    assert step_words("surprisal x sparsity_energy99") == "surprisal × activation sparsity"
    assert question_words("devarda2023_p600_over_n400") == "devarda2023 P600 over N400"
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "none",
        "a",
        "a and b",
        "a, b and c",
    ]
