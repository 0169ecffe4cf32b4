"""What the pages tell people to type exists, and the error lines that they explain are those of the code."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from clada_neuro.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "paper.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


def commands(page: Path) -> list[str]:
    """Every call of the command line: lines of console blocks, joined where they go on, and code in running text."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = "".join(re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL))
    lines = [line.partition("  #")[0].strip() for line in blocks.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines += [" ".join(code.split()) for code in re.findall(r"`(clada-neuro [^`]+)`", prose)]
    return [line for line in lines if line.startswith("clada-neuro ")]


def unknown(line: str) -> list[str]:
    """Which commands and options of a line do not exist."""
    words = shlex.split(re.sub(r"[\[\]…]|\.\.\.", " ", line))[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command)
        names = words[0].split("|")  # synergy prefix|adaptation|human
        if missing := [name for name in names if name not in command.list_commands(context)]:
            return missing
        command, words = command.get_command(context, names[0]), words[1:]
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {
        "--help",
        "--version",
        "-h",
    }
    return [word for word in words if re.match(r"--\w", word) and word.partition("=")[0] not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_on_the_pages_exist(page):
    assert {line: missing for line in commands(page) if (missing := unknown(line))} == {}


def test_an_option_that_does_not_exist_would_be_found():
    assert unknown("clada-neuro trace x.csv --modle y") == ["--modle"]
    assert unknown("clada-neuro tarce x.csv") == ["tarce"]
    assert sum(len(commands(page)) for page in PAGES) > 60


def messages() -> list[str]:
    """Every text in the code, with … where something is put in."""
    found = []
    for path in (ROOT / "clada_neuro").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_error_lines_that_are_explained_are_those_of_the_code():
    page = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    lines = re.findall(r"^## `(.+)`$", page, flags=re.MULTILINE)
    assert len(lines) > 10
    said = messages()
    shapes = {
        line: re.compile(".*?".join(map(re.escape, re.split("…|(?<=')sentence(?=')", line))))
        for line in lines
    }
    assert [line for line, shape in shapes.items() if not any(shape.search(text) for text in said)] == []
