"""What the README and the pages beside it tell people to type works as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.artifacts import package_data
from clada_neuro.stimuli.formats import read_stimuli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Of the pages that need more than the two files on the desk, or have tests of their own, commands are not run here.
RUN = ("README.md", "command_line.md", "python.md", "your_data.md")
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
LONG = ("run demo", "run nieuwland2018", "run frank201", "run boyce2023_maze")


def blocks(language: str) -> list[str]:
    pages = [text for page, text in TEXT.items() if page.name in RUN]
    return re.findall(rf"```{language}\n(.*?)```", "\n".join(pages), flags=re.DOTALL)


def commands() -> list[str]:
    """Return every command once, in the order of the pages."""
    lines = "\n".join(blocks("console")).splitlines()
    return list(
        dict.fromkeys(line.partition("  #")[0].strip() for line in lines if line.startswith("clada-neuro"))
    )


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A folder with the two files that the README calls stimuli.csv and trials.csv."""
    folder = tmp_path_factory.mktemp("desk")
    stimuli = read_stimuli(package_data("stimuli", "n400_demo.csv")).head(36)
    columns = ["item", "condition", "sentence", "critical_word"]
    stimuli[columns].to_csv(folder / "stimuli.csv", index=False)
    trials = pd.concat([stimuli[columns[:2]].assign(subject=f"s{number}") for number in range(10)])
    trials["n400_uv"] = np.random.default_rng(0).normal(0, 5, len(trials))
    rng = np.random.default_rng(1)
    trials["rt_ms"], trials["rating"] = rng.gamma(9, 50, len(trials)), rng.integers(1, 8, len(trials))
    trials.to_csv(folder / "trials.csv", index=False)
    return folder


def call(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )


def test_the_short_commands_work_one_after_the_other(desk):
    short = [command for command in commands() if not any(name in command for name in LONG)]
    assert len(short) >= 5
    for command in short:
        done = call(shlex.split(command), desk)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert (desk / "mine" / "report.html").is_file()
    # Every folder that a command wrote tables to has a report of its own.
    for folder, shown in {"traced": "SmolLM2", "aligned": "SmolLM2", "fitted": "Satterthwaite"}.items():
        done = call(["clada-neuro", "report", folder], desk)
        assert done.returncode == 0, done.stderr
        assert shown.lower() in (desk / folder / "report.html").read_text(encoding="utf-8").lower()


def test_the_python_works(desk):
    for code in blocks("python"):
        done = call([sys.executable, "-c", code], desk)
        assert done.returncode == 0, done.stderr
        assert "surprisal_bits" in done.stdout


def test_the_make_targets_exist():
    for target in re.findall(r"^make (\w+)", "\n".join(blocks("console")), flags=re.MULTILINE):
        assert call(["make", "--dry-run", target], ROOT).returncode == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_shows_or_points_to_exist(page):
    for name in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT[page]):
        assert name.startswith(("http:", "https:")) or (page.parent / name).exists(), name


def test_the_readme_is_short():
    assert len(TEXT[ROOT / "README.md"].splitlines()) <= 150


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("CLADA_NEURO_DATA"), reason="CLADA_NEURO_DATA names no data sets")
@pytest.mark.parametrize(
    "command", [command for command in commands() if any(name in command for name in LONG)]
)
def test_the_long_commands_work(desk, command):
    done = call(shlex.split(command), desk)
    assert done.returncode == 0, done.stderr
