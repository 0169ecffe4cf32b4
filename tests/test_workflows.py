"""The forge's workflows do what the package says: its Pythons and systems, targets that exist, a release only of what was tried."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PLACE = ROOT / ".github" / "workflows"
FILES = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(PLACE.glob("*.yml"))}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lines(name: str) -> list[str]:
    return [step["run"] for job in FILES[name]["jobs"].values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize(("name", "job"), [("tests", "tests"), ("release", "installed")])
def test_pythons_and_systems_are_those_of_the_classifiers(name, job):
    matrix = FILES[name]["jobs"][job]["strategy"]["matrix"]
    said = " ".join(PROJECT["classifiers"])
    assert matrix["python"] == re.findall(r"Python :: (3\.\d+)", said)
    assert matrix["python"][0] == PROJECT["requires-python"].removeprefix(">=")
    assert [system.partition("-")[0] for system in matrix["os"]] == ["ubuntu", "macos", "windows"]
    assert all(system in said for system in ("Linux", "MacOS", "Windows"))


@pytest.mark.parametrize("name", FILES)
def test_targets_and_commands_exist(name):
    from clada_neuro.cli.main import cli

    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for line in lines(name):
        if found := re.match(r"make ([\w-]+)", line):
            assert found[1] in targets
        if found := re.match(r"clada-neuro (\w+)", line):
            assert cli.get_command(None, found[1])


def test_a_release_is_built_tried_and_then_published_without_a_secret():
    jobs = FILES["release"]["jobs"]
    assert jobs["installed"]["needs"] == "build"
    assert jobs["publish"]["needs"] == "installed"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in (PLACE / "release.yml").read_text(encoding="utf-8")
    (check,) = [line for line in lines("release") if line.startswith("grep")]
    pattern = (
        re.search(r'"(version.*)"', check)[1]
        .replace("\\", "")
        .replace("${GITHUB_REF_NAME#v}", PROJECT["version"])
    )
    assert pattern in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()


def test_no_workflow_is_needed_for_the_checks_of_a_change():
    assert ".github" not in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
