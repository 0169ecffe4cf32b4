"""The door for R: its own tests pass where R is, against this package and a tiny model; it says what this package says."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tiny_models import tiny_checkpoint

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "r" / "cladaneuro"


def r(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["Rscript", "--vanilla", "-e", code],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        cwd=PACKAGE,
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    if not shutil.which("Rscript"):
        pytest.skip("R is not installed")
    if r("quit(status = !requireNamespace('testthat', quietly = TRUE))").returncode:
        pytest.skip("R has no testthat")
    place = tmp_path_factory.mktemp("library")
    done = subprocess.run(
        ["R", "CMD", "INSTALL", "--no-docs", "--no-test-load", f"--library={place}", str(PACKAGE)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return place


def test_the_tests_of_the_package_pass_and_those_with_the_program_ran(library, tmp_path):
    code = f"""
    options(cladaneuro.command = c({sys.executable!r}, "-m", "clada_neuro"))
    library(cladaneuro, warn.conflicts = FALSE)
    testthat::test_dir("tests/testthat", package = "cladaneuro", load_package = "installed", reporter = "check")
    """
    model = tiny_checkpoint(tmp_path / "model")
    done = r(code, R_LIBS=str(library), CLADANEURO_TEST_MODEL=str(model), PYTHONPATH=str(ROOT))
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    failed, warned, passed = map(
        int, re.search(r"FAIL (\d+) \| WARN (\d+) \| SKIP 1 \| PASS (\d+)", said).groups()
    )
    assert (failed, warned) == (0, 0), said
    assert passed > 25


def test_help_names_what_the_package_exports():
    exported = re.findall(
        r"^export\((\w+)\)", (PACKAGE / "NAMESPACE").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    pages = "".join(page.read_text(encoding="utf-8") for page in (PACKAGE / "man").glob("*.Rd"))
    assert exported
    assert [name for name in exported if f"\\alias{{{name}}}" not in pages or f"{name}(" not in pages] == []


def test_version_and_python_are_those_of_this_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    description = (PACKAGE / "DESCRIPTION").read_text(encoding="utf-8")
    assert f"Version: {project['version']}\n" in description
    assert f"Python {project['requires-python'].replace('>=', '>= ')}" in description


def test_its_example_stimuli_are_those_of_the_demonstration():
    rows = set((ROOT / "data/stimuli/n400_demo.csv").read_text(encoding="utf-8").splitlines())
    assert set((PACKAGE / "inst/extdata/stimuli.csv").read_text(encoding="utf-8").splitlines()) <= rows
