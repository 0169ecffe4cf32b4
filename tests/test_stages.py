"""What every stage of a study has: files of its own, one writer, and a row in the page about the house."""

import importlib
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from clada_neuro.artifacts import sole_writer, write_text
from clada_neuro.errors import DataError
from clada_neuro.stage import Stage

ROOT = Path(__file__).parents[1]
ROOMS = ("calibration.stage", "erp.layers.stage", "erp.maps.stage", "erp.overlap.stage", "erp.stage", "instrument.trace", "overview.stage", "questions.analysis", "reporting.build", "responses.stage",
         "stats.formulas", "stats.stages", "study.averages", "study.depth", "study.encode", "study.predictability", "study.recordings")  # fmt: skip


def stages() -> list[type[Stage]]:
    for room in ROOMS:
        importlib.import_module(f"clada_neuro.{room}")
    return [kind for kind in Stage.__subclasses__() if kind.__module__.startswith("clada_neuro.")]


@dataclass(frozen=True)
class Echo(Stage[str]):
    """Writes what it is given; an empty text leaves no second file."""

    name = "echo"
    files = ("first.txt", "second.txt")

    text: str

    def make(self, folder: Path) -> str:
        with sole_writer(folder):  # a stage may hold what it already holds
            write_text(folder / "first.txt", self.text)
        if not self.text:
            self.clear(folder, but=("first.txt",))
        else:
            write_text(folder / "second.txt", self.text)
        return self.text


def test_a_stage_makes_its_folder_and_takes_away_what_it_no_longer_writes(tmp_path):
    folder = tmp_path / "new" / "folder"
    assert Echo("a").into(folder) == "a"
    (folder / "third.txt").write_text("mine")
    Echo("").into(folder)
    assert sorted(path.name for path in folder.glob("*.txt")) == ["first.txt", "third.txt"]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match="cannot write to"):
        Echo("a").into(tmp_path / "taken")


def test_every_stage_is_found_and_described():
    source = [path.read_text(encoding="utf-8") for path in (ROOT / "clada_neuro").rglob("*.py")]
    written = {name for text in source for name in re.findall(r"^class (\w+)\(Stage\[", text, re.M)}
    assert {kind.__name__ for kind in stages()} == written
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for kind in stages():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{kind.__name__}`")]
        assert f"`{kind.name}`" in row
        for pattern in (*kind.files, *kind.parts):
            assert f"`{pattern}`" in row, f"{kind.__name__}: {pattern}"
