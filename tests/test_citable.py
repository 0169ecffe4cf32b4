"""What stands beside the package for those who cite it or take part: one name, one version, no claim without its page."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
CODEMETA = json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))
PAPER = (ROOT / "paper.md").read_text(encoding="utf-8")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("field", ["version", "keywords", "license"])
def test_the_three_files_agree(field):
    found = (
        CODEMETA[field].removeprefix("https://spdx.org/licenses/") if field == "license" else CODEMETA[field]
    )
    assert PROJECT[field] == CITATION[field] == found


def test_name_description_python_and_authors_agree():
    assert CODEMETA["name"] == PROJECT["name"]
    assert CODEMETA["description"] == PROJECT["description"]
    assert CODEMETA["programmingLanguage"]["version"] == PROJECT["requires-python"]
    authors = [author["name"] for author in CITATION["authors"]]
    assert [author["name"] for author in CODEMETA["author"]] == authors
    head = yaml.safe_load(PAPER.split("---\n")[1])
    assert [author["name"] for author in head["authors"]] == authors
    assert head["title"] == CITATION["title"]


def test_every_figure_of_the_paper_stands_on_a_page_of_results():
    pages = "".join(
        text(f"docs/{name}.md") for name in ("results", "results_runtime", "results_speed", "numbers")
    )
    body = PAPER.split("---\n")[2]
    versions = {"0.3.39", "0.1.7"}  # of the peers, in the table of cases
    figures = set(re.findall(r"\d+(?:\.\d+)+|\d+(?= to| %| people)", body)) - versions
    assert len(figures) > 10
    assert [
        figure for figure in sorted(figures) if not re.search(rf"(?<![\d.]){figure}(?![\d])", pages)
    ] == []


def test_every_source_of_the_paper_is_listed_and_used():
    cited = set(re.findall(r"@(\w+)", PAPER.split("---\n")[2]))
    assert cited == set(re.findall(r"^@\w+\{(\w+),", text("paper.bib"), flags=re.MULTILINE))


def test_the_paper_keeps_to_its_length():
    assert 250 <= len(PAPER.split("---\n")[2].split()) <= 1100


def test_contributing_leads_to_each_of_the_things_that_can_be_added():
    page = text("docs/architecture.md")
    kinds = re.findall(r"^## How to add an? (.+)$", page, flags=re.MULTILINE)
    linked = re.findall(r"architecture\.md#how-to-add-an?-([\w-]+)\)", text("CONTRIBUTING.md"))
    assert sorted(linked) == sorted(kind.replace(" ", "-") for kind in kinds)
    assert len(linked) == 7


def test_the_changelog_keeps_its_form():
    lines = text("CHANGELOG.md").splitlines()
    heads = [line for line in lines if line.startswith("#")]
    assert heads[0] == "# Changelog"
    assert heads[1] == "## [Unreleased]"
    assert {line for line in heads if line.startswith("###")} <= {
        f"### {kind}" for kind in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    }
    assert PROJECT["version"] in {
        found.group(1) for line in heads if (found := re.match(r"## \[([\d.]+)\]", line))
    }
    first = next(i for i, line in enumerate(lines) if line.startswith("### "))
    assert not [line for line in lines[:first] if line.startswith("- ")], (
        "a line stands above Added, Changed and Fixed"
    )
