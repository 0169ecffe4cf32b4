"""Every numbered analysis is one question with its command, and its results lie in a folder of its name."""

import ast
import re

import pytest
from analysis_scripts import ANALYSES

SCRIPTS = sorted(ANALYSES.glob("*.py"))
SHIPS_WITH_THE_PACKAGE = "01_calibrate_smollm2"


def test_every_script_has_a_number_of_its_own():
    numbers = [path.name[:3] for path in SCRIPTS]
    assert all(re.fullmatch(r"\d\d_", number) for number in numbers)
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_its_command_and_writes_one_folder(path):
    source = path.read_text(encoding="utf-8")
    question = ast.get_docstring(ast.parse(source))
    assert f"python analyses/{path.name}" in question
    if path.stem == SHIPS_WITH_THE_PACKAGE:
        return
    assert "results_folder(__file__)" in source
    name = path.stem[3:]
    assert f"results/{name}/" in question
    assert any((ANALYSES / "results" / name).iterdir())


def test_every_folder_of_results_has_its_script():
    written = {path.stem[3:] for path in SCRIPTS}
    assert {folder.name for folder in (ANALYSES / "results").iterdir()} <= written
