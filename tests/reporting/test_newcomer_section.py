"""A new section of the report is one file: in its place, in the contents, on both pages, in figures and tables."""

import re
from pathlib import Path

import pandas as pd
import pytest
from reporting.conftest import write_folder

from clada_neuro.reporting import sections
from clada_neuro.reporting.build import report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report's folder, written while the newcomer's file stands among the sections."""
    folder = write_folder(tmp_path_factory.mktemp("run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "__path__", [*sections.__path__, str(Path(__file__).parent / "newcomers")])
        report(folder)
    return folder


def test_it_stands_in_its_place_on_the_page_and_in_the_contents(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    contents = re.findall(r'<a href="#([\w-]+)">', page[page.index("<nav") : page.index("</nav>")])
    assert contents == re.findall(r'<section id="([\w-]+)"', page)
    place = contents.index("vocabulary")
    assert contents[place - 1] == "findings"
    (title,) = re.findall(r'<h2 id="vocabulary-title">(.*?)</h2>', page)
    assert title == "Vocabulary"
    assert 'words &amp; their conditions; see <code class="typed">clada-neuro trace</code>.' in page
    assert '<figure id="figure-vocabulary"' in page


def test_markdown_has_the_same(folder: Path) -> None:
    page = (folder / "report.md").read_text(encoding="utf-8")
    start = page.index("## Vocabulary")
    section = page[start : page.index("\n## ", start + 1)]
    assert "see `clada-neuro trace`." in section
    assert "### As bars" in section
    assert "![Bars of words.](figures/vocabulary.png)" in section


def test_its_figures_and_tables_are_files(folder: Path) -> None:
    counts = pd.read_csv(folder / "tables" / "vocabulary.csv")
    assert counts["condition"].tolist() == ["expected", "related", "unrelated"]
    assert counts["words"].tolist() == [16, 16, 16]
    assert (folder / "figures" / "vocabulary.svg").is_file()


def test_without_it_the_next_report_takes_them_away(folder: Path) -> None:
    report(folder)
    assert not list(folder.rglob("vocabulary*"))
    assert "vocabulary" not in (folder / "report.html").read_text(encoding="utf-8")
