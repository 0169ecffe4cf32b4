"""On a terminal a bar, in a log whole lines: one every ten per cent, the last at 100 %."""

import io
import sys

import pytest

from clada_neuro.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _drawn(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, count: int, **options: object) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressBar(total=count, desc="trace", mininterval=0, **options) as bar:
        for _ in range(count - int(options.get("initial", 0))):
            bar.update()
    return stream.getvalue()


def test_a_log_gets_a_line_every_ten_per_cent(monkeypatch):
    text = _drawn(monkeypatch, io.StringIO(), 200)
    lines = text.splitlines()
    assert "\r" not in text
    assert [line.split()[1] for line in lines] == [f"{tenth}0%" for tenth in range(1, 11)]
    assert lines[0].startswith("trace: 10% (20 of 200; 00:00 so far, about ")
    assert lines[-1] == "trace: 100% (200 of 200; 00:00 so far)"


def test_what_was_done_before_is_not_told_again(monkeypatch):
    assert len(_drawn(monkeypatch, io.StringIO(), 10, initial=7).splitlines()) == 3


def test_work_without_a_total_or_disabled_prints_nothing(monkeypatch):
    assert _drawn(monkeypatch, io.StringIO(), 5, disable=True) == ""


def test_a_terminal_keeps_its_bar(monkeypatch):
    assert "\r" in _drawn(monkeypatch, Terminal(), 3)
