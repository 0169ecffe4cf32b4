"""What Apple's GPUs and Windows lack is not asked of them."""

import os
import re
from pathlib import Path

import pytest
import torch

import clada_neuro
from clada_neuro.bench.decode_speed import _load_average
from clada_neuro.cache import Store
from clada_neuro.errors import ModelError
from clada_neuro.models import loading
from clada_neuro.models.loading import load_model
from clada_neuro.passes.pieces import PIECE


def test_numbers_become_float64_on_the_cpu_only():
    for path in Path(clada_neuro.__file__).parent.rglob("*.py"):
        assert not re.search(r"\.double\(\)(\.\w+\([^)]*\))*\.cpu\(", path.read_text(encoding="utf-8")), path


def test_float64_on_an_apple_gpu_is_one_line(monkeypatch):
    monkeypatch.setattr(loading, "find_device", lambda device: torch.device("mps"))
    with pytest.raises(ModelError, match="no float64; use dtype float32, or device cpu"):
        load_model(dtype="float64", device="mps")


def test_a_system_without_load_averages_has_none(monkeypatch):
    assert _load_average() >= 0
    monkeypatch.delattr(os, "getloadavg")
    assert _load_average() != _load_average()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="shows what is mapped on Linux only")
def test_pieces_of_a_calibration_are_not_mapped_when_they_are_removed(tmp_path):
    pieces = Store(tmp_path / "parts", "inputs", PIECE)
    pieces.once("piece", lambda: ({}, {"a": torch.arange(100_000)}))
    _, kept = pieces.once("piece", lambda: ({}, {}))
    assert torch.equal(kept["a"], torch.arange(100_000))
    assert "piece.safetensors" not in Path("/proc/self/maps").read_text(encoding="utf-8")
