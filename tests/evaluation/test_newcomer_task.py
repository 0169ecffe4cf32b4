"""A new task is one file: found, read, run under policies, scored beside chance, and listed."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import clada

from clada_neuro.errors import DataError
from clada_neuro.evaluation import evaluate as module
from clada_neuro.evaluation import tasks
from clada_neuro.evaluation.items import load_items, task_of

ROWS = [
    {"question": "What falls and never breaks?", "answers": ["night", "a cup", "glass"], "right": 0},
    {"question": "What breaks and never falls?", "answers": ["rain", "day", "a hat"], "right": 1},
    {"question": "What has hands and cannot clap?", "answers": ["a man", "a child", "a clock"], "right": 2},
]


@pytest.fixture(autouse=True)
def its_file_stands_among_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(Path(__file__).parent / "newcomers")])
    monkeypatch.setitem(tasks.TASKS, "riddles", tasks._declared()["riddles"])
    monkeypatch.setenv("CLADA_NEURO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def its_data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "riddles"
    folder.mkdir(parents=True)
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    (folder / "riddles.jsonl").write_bytes(text.encode())
    return folder


def test_it_is_found_in_its_place() -> None:
    names = list(tasks._declared())
    assert names.index("arc_challenge") < names.index("riddles") < names.index("winogrande")


def test_it_is_run_and_scored_beside_chance(
    its_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cache_folder", lambda *parts: tmp_path / "chunks")
    out = tmp_path / "riddles.json"
    done = clada(
        capsys, "evaluate", "--task", "riddles", "--policy", "dense", "--policy", "griffin", "--json", out
    )
    assert done.code == 0, done.err
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.out.splitlines()]
    assert table[0][3] == "riddles"
    assert table[2][1:4] == ["chance", "", "33.3"]
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert {row["policy"] for row in rows if row["task"] == "riddles"} == {"dense", "griffin"}
    assert {row["n"] for row in rows if row["task"] == "riddles"} == {3}


def test_it_is_listed(its_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = clada(capsys, "data", "list").out.splitlines()
    (place,) = [number for number, line in enumerate(listed) if line.startswith("riddles")]
    assert listed[place].split() == ["riddles", "here", "benchmark"]
    assert listed[place + 1].strip() == "Nobody 2020, Riddles [CC0]"
    assert clada(capsys, "data", "path", "riddles").out.strip() == str(its_data)
    assert "did you mean 'riddles'" in clada(capsys, "data", "path", "ridles").complaint
    with pytest.raises(DataError, match=r"there are hellaswag, .*riddles"):
        task_of("chess")


def test_the_hub_has_it_where_no_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = SimpleNamespace(load_dataset=lambda path, name, split: ROWS if path == "nobody/riddles" else [])
    monkeypatch.setitem(sys.modules, "datasets", hub)
    assert [item.gold for item in load_items(tasks.TASKS["riddles"])] == [0, 1, 2]


def test_the_documentation_names_it() -> None:
    path = Path(__file__).parents[2] / "docs" / "make_tables.py"
    spec = importlib.util.spec_from_file_location("make_tables", path)
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    assert "| `riddles` | Nobody 2020, Riddles | `acc` | 33.3 |" in pages.tasks()
