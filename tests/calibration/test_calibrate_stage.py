"""Calibrating as a stage: its lock is that of the one file, and is taken before anything takes its time."""

import pytest
from command_line import clada
from filelock import FileLock

from clada_neuro.calibration import stage
from clada_neuro.calibration.stage import CalibrateStage
from clada_neuro.errors import DataError


@pytest.fixture
def held(tmp_path):
    """A folder in which somebody else writes ``a.safetensors``."""
    with FileLock(tmp_path / ".a.safetensors.lock"):
        yield tmp_path


def of(file: str) -> CalibrateStage:
    return CalibrateStage(None, [], file, 0.1, 0.95, 0.4, 64, "loss", 0, None)  # type: ignore[arg-type]


def test_a_file_that_another_process_writes_is_refused_before_the_model_is_loaded(held, capsys):
    (held / "text.txt").write_text("Some running text.")
    arguments = ("calibrate", "--model", held / "no-model", "--text", held / "text.txt")
    done = clada(capsys, *arguments, "--out", held / "a.safetensors")
    assert (done.code, "another process is writing to" in done.complaint) == (2, True)
    assert "no-model" in clada(capsys, *arguments, "--out", held / "b.safetensors").complaint


def test_several_models_are_calibrated_into_one_folder_at_once(held, monkeypatch):
    monkeypatch.setattr(stage, "calibrate", lambda model, documents, out, **how: out)
    with pytest.raises(DataError, match="another process"):
        of("a.safetensors").into(held)
    assert of("b.safetensors").into(held) == held / "b.safetensors"
