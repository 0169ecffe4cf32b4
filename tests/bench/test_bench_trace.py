"""The trace benchmark: rows for every tool, and a clear line when a peer cannot be used."""

import sys

import psutil
import pytest

from clada_neuro.artifacts import package_data
from clada_neuro.bench import scoring_peers
from clada_neuro.bench import trace_speed as module
from clada_neuro.bench.trace_speed import LARGE, MODEL, OURS, PRODUCTS, bench_trace
from clada_neuro.errors import ModelError
from clada_neuro.instrument import forward
from clada_neuro.instrument.trace import trace
from clada_neuro.instrument.tree import ABREAST
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
    monkeypatch.setattr("clada_neuro.bench.trace_speed._ours", lambda *_: 0.5)
    monkeypatch.setattr("clada_neuro.bench.trace_speed.save_for_peers", lambda model, folder: folder)


def test_rows_say_who_took_how_long(small, monkeypatch, tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(PEER)
    monkeypatch.setattr(scoring_peers, "_WORKER", worker)
    rows = bench_trace(sentences=40, rounds=2, peer_python=sys.executable).set_index("tool")
    assert list(rows.index) == [OURS, MODEL, PRODUCTS, LARGE, *scoring_peers.TOOLS]
    assert rows.loc[OURS, ["seconds", "ratio", "measures"]].tolist() == [0.5, 1.0, "all"]
    assert rows.loc["surprisal", ["seconds", "ratio", "measures"]].tolist() == [2.0, 4.0, "surprisal"]
    assert set(rows.loc[[MODEL, PRODUCTS, LARGE], "measures"]) == {"none"}
    assert rows["gflop_per_s"].notna().tolist() == [tool in (PRODUCTS, LARGE) for tool in rows.index]
    rate, seconds = rows.loc[PRODUCTS, "gflop_per_s"], rows.loc[PRODUCTS, "seconds"]
    assert rows.loc["surprisal", "highest_ratio"] == pytest.approx(2.0 / seconds, rel=0.05)
    assert rows.loc[LARGE, "seconds"] * rows.loc[LARGE, "gflop_per_s"] == pytest.approx(
        rate * seconds, rel=0.1
    )
    assert (rows["seconds"] > 0).all()
    assert rows["words"].nunique() == 1


def test_a_peer_that_is_not_installed_is_one_line(small):
    with pytest.raises(ModelError, match=r"minicons stopped: .*install it"):
        bench_trace(sentences=2, rounds=1, peer_python=sys.executable)
    children = psutil.Process().children(recursive=True)
    left = [one.cmdline() for one in children if one.status() != psutil.STATUS_ZOMBIE]
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
        asked.append(-(-len(found.nodes) // ABREAST) * ABREAST)  # the last one repeated
        return found

    monkeypatch.setattr(forward, "followed", noted)
    trace(stimuli, model, progress=False)
    assert [tuple(one.inputs["input_ids"].shape) for one in passes] == made
    assert [one.positions for one in passes] == asked
    assert module._alone(model, passes) > 0
    assert module._alone(model, passes) > 0  # a pass leaves the recorded caches as they were


def test_products_are_those_of_every_linear_map_at_the_tokens_of_the_passes(monkeypatch):
    model = load_model("smollm2", device="cpu")
    stimuli = read_stimuli(package_data("stimuli", "n400_demo.csv")).head(4)
    passes = module._recorded(stimuli, model)
    shapes = []
    parts = [part for part in model.model.modules() if type(part).__name__ == "Linear"]
    hooks = [
        part.register_forward_pre_hook(lambda part, args: shapes.append((*args[0].shape, len(part.weight))))
        for part in parts
    ]
    try:
        module._products(model, passes)
    finally:
        for hook in hooks:
            hook.remove()
    tokens, asked = passes[0].inputs["input_ids"].numel(), passes[0].positions
    flop = [2 * rows * inputs * outputs for rows, inputs, outputs in shapes]
    weights = sum(part.weight.numel() for part in parts) - 49152 * 576
    assert sum(flop) == 2 * (tokens * weights + asked * 49152 * 576) == module._flop(model, passes)


def test_the_texts_may_be_a_file_of_the_users_own(small, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("item,condition,sentence,critical_word\n1,a,The cat sat.,cat\n", encoding="utf-8")
    assert bench_trace(stimuli=path, rounds=1)["words"].unique().tolist() == [3]
