"""The trace benchmark: rows for every tool, and a clear line when a peer cannot be used."""

import sys

import psutil
import pytest

from clada_neuro.artifacts import package_data
from clada_neuro.bench import scoring_peers
from clada_neuro.bench import trace as module
from clada_neuro.bench.trace import MODEL, OURS, bench_trace
from clada_neuro.errors import ModelError
from clada_neuro.instrument import forward
from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import load_model
from clada_neuro.stimuli.formats import read_stimuli

PEER = """
import json, sys
for line in sys.stdin:
    texts = json.loads(line)["texts"]
    print(json.dumps({"words": [[1.0] * len(text.split()) for text in texts], "seconds": 1.0, "version": "9"}), flush=True)
"""


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("clada_neuro.bench.trace._ours", lambda *_: 0.5)
    monkeypatch.setattr("clada_neuro.bench.trace.save_for_peers", lambda model, folder: folder)


def test_rows_say_who_took_how_long(small, monkeypatch, tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(PEER)
    monkeypatch.setattr(scoring_peers, "_WORKER", worker)
    rows = bench_trace(sentences=40, rounds=2, peer_python=sys.executable).set_index("tool")
    assert list(rows.index) == [OURS, MODEL, *scoring_peers.TOOLS]
    assert rows.loc[OURS, ["seconds", "ratio", "measures"]].tolist() == [0.5, 1.0, "all"]
    assert rows.loc["surprisal", ["seconds", "ratio", "measures"]].tolist() == [2.0, 4.0, "surprisal"]
    assert rows.loc[MODEL, "measures"] == "none"
    assert rows["words"].nunique() == 1


def test_a_peer_that_is_not_installed_is_one_line(small):
    with pytest.raises(ModelError, match=r"minicons stopped: .*install it"):
        bench_trace(sentences=2, rounds=1, peer_python=sys.executable)
    left = [one.cmdline() for one in psutil.Process().children(recursive=True)]
    assert not any("scoring_worker" in " ".join(command) for command in left)


def test_a_wrong_interpreter_is_one_line(small):
    with pytest.raises(ModelError, match="cannot be run"):
        bench_trace(sentences=2, rounds=1, peer_python="/nowhere/python")


def test_the_model_alone_makes_the_passes_of_the_trace(monkeypatch):
    model = load_model("smollm2", device="cpu")
    stimuli = read_stimuli(package_data("stimuli", "n400_demo.csv")).head(12)
    passes = module._recorded(stimuli, model)
    made, asked = [], []
    original = forward.followed

    def noted(trees, width):
        found = original(trees, width)
        made.append((len(trees), width))
        asked.append(len(found.nodes))
        return found

    monkeypatch.setattr(forward, "followed", noted)
    trace(stimuli, model, progress=False)
    assert [tuple(one.inputs["input_ids"].shape) for one in passes] == made
    assert [one.positions for one in passes] == asked
    assert module._alone(model, passes) > 0
    assert module._alone(model, passes) > 0  # a pass leaves the recorded caches as they were
