"""Engines have processes of their own, which sleep until it is their turn and end with the table."""

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
from tiny_language import tiny_language

import clada_neuro.bench.decode_speed as bench
from clada_neuro.bench.alone import Alone, TimingRequest
from clada_neuro.bench.turns import Turns
from clada_neuro.errors import ModelError


def stopped(pid: int) -> bool:
    """A signal takes a moment."""
    seen, deadline = psutil.Process(pid), time.monotonic() + 10
    while seen.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.01)
    return seen.status() == psutil.STATUS_STOPPED


def test_a_process_sleeps_until_it_is_its_turn():
    process = subprocess.Popen(
        [sys.executable, "-c", "for line in iter(input, ''): print(line, flush=True)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    turns = Turns(process.pid)
    try:
        assert stopped(process.pid)
        with turns.awake():
            process.stdin.write("answer\n")
            process.stdin.flush()
            assert process.stdout.readline() == "answer\n"
        assert stopped(process.pid)
        turns.wake()
        process.communicate("\n", timeout=20)
        assert process.returncode == 0
        turns.wake()  # of a process that has ended
    finally:
        process.kill()


def test_an_engine_in_its_own_process_sleeps_between_its_turns_and_passes_on_what_goes_wrong(tmp_path):
    language_model = tiny_language()
    language_model.model.config.max_position_embeddings = 512  # the passage needs more places than it has
    for part in (language_model.model, language_model.tokenizer):
        part.save_pretrained(tmp_path / "tiny")
    asked = TimingRequest(str(tmp_path / "tiny"), "float32", "cpu", None, (0.4,), None, 4)
    host = Alone("pytorch", asked)
    try:
        assert host.about.rows == (("dense", "float32"),)
        run = host.decode(0, list(host.about.prompt), 4)
        assert len(run.seconds) == 4
        host.stream()
        assert host.stream() > 0
        assert stopped(host._process.pid)
        assert host.write_gguf(tmp_path / "tiny.gguf", "float16") > 0
    finally:
        host.close()
    assert host._process.exitcode == 0
    with pytest.raises(ModelError, match="time fewer tokens"):
        Alone("pytorch", replace(asked, tokens=10_000))


def test_engines_that_start_are_closed_whatever_another_runs_into(monkeypatch):
    closed = []

    class Fake:
        def __init__(self, name, request):
            if name == "broken":
                raise RuntimeError("no memory")
            self.about, self.close = SimpleNamespace(), lambda: closed.append(name)

    monkeypatch.setattr(bench, "Alone", Fake)
    timed = [(name, SimpleNamespace(dtype="float32")) for name in ("first", "broken", "last")]
    with pytest.raises(RuntimeError, match="no memory"), ExitStack() as ends:
        bench._started(timed, ends, lambda line: None)
    assert sorted(closed) == ["first", "last"]
