"""Replicates depend on their number only: not on processes, order, or where a run was interrupted."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clada_neuro import cache
from clada_neuro.stats.resample import percentile_interval, replicate


@dataclass(frozen=True)
class Draw:
    seed: int
    fail_at: int = -1

    def __call__(self, number: int) -> dict[str, float]:
        if number == self.fail_at:
            raise KeyboardInterrupt
        return {"value": float(np.random.default_rng([self.seed, number]).normal())}


@pytest.mark.parametrize("worth", [0.0, 1e9], ids=["in processes", "too short for processes"])
def test_processes_do_not_change_values(worth: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clada_neuro.parts._WORTH_PROCESSES_S", worth)
    one = replicate(Draw(1), 12, name="draw", inputs="a")
    two = replicate(Draw(1), 12, name="draw", inputs="a", jobs=2)
    pd.testing.assert_frame_equal(one, two)


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "study.py"
    script.write_text(
        "import clada_neuro.parts as parts, clada_neuro.stats.resample as resample\n"
        "parts._WORTH_PROCESSES_S = 0.0\n"
        "import os\n"
        "print('once')\n"
        "def draw(number):\n"
        "    return {'value': number**2, 'threads': float(os.environ['OMP_NUM_THREADS'])}\n"
        "rows = resample.replicate(draw, 5, name='draw', inputs='a', jobs=2)\n"
        "print(rows['value'].tolist(), rows['threads'].tolist()[1:])\n"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, env=env)
    assert done.stdout.splitlines() == ["once", "[0, 1, 4, 9, 16] [1.0, 1.0, 1.0, 1.0]"], done.stderr


def test_an_interrupted_run_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clada_neuro.stats.resample._SAVE_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        replicate(Draw(1, fail_at=7), 12, name="draw", inputs="a", folder=tmp_path)
    calls: list[int] = []

    def counted(number: int) -> dict[str, float]:
        calls.append(number)
        return Draw(1)(number)

    resumed = replicate(counted, 12, name="draw", inputs="a", folder=tmp_path)
    assert calls == list(range(7, 12))
    pd.testing.assert_frame_equal(resumed, replicate(Draw(1), 12, name="draw", inputs="a"))


def test_rows_of_other_inputs_are_not_reused(tmp_path: Path) -> None:
    replicate(Draw(1), 3, name="draw", inputs="a", folder=tmp_path)
    other = replicate(Draw(2), 3, name="draw", inputs="b", folder=tmp_path)
    pd.testing.assert_frame_equal(other, replicate(Draw(2), 3, name="draw", inputs="b"))


def test_rows_of_other_versions_are_not_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replicate(Draw(1), 3, name="draw", inputs="a", folder=tmp_path)
    versions = cache.versions()
    monkeypatch.setattr(cache, "versions", lambda: {**versions, "numpy": "9.9"})
    again = replicate(Draw(2), 3, name="draw", inputs="a", folder=tmp_path)
    pd.testing.assert_frame_equal(again, replicate(Draw(2), 3, name="draw", inputs="a"))


def test_a_shorter_request_reads_the_first_rows(tmp_path: Path) -> None:
    full = replicate(Draw(1), 6, name="draw", inputs="a", folder=tmp_path)
    pd.testing.assert_frame_equal(
        replicate(Draw(9), 4, name="draw", inputs="a", folder=tmp_path), full.head(4)
    )


def test_percentile_interval_leaves_failures_out() -> None:
    assert percentile_interval([*range(101), np.nan]) == pytest.approx((2.5, 50.0, 97.5))
    assert np.isnan(percentile_interval([np.nan])).all()


def test_long_work_is_announced_with_its_expected_time(monkeypatch, capsys) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(
        "clada_neuro.stats.resample.time", SimpleNamespace(monotonic=lambda: float(next(clock)))
    )
    replicate(Draw(1), 13, name="draw", inputs="a", progress=True)
    assert "draw: 12 more fits of about 10.0 s: about 2 minutes" in capsys.readouterr().err
    replicate(Draw(1), 4, name="draw", inputs="a", progress=True)
    assert "more fits" not in capsys.readouterr().err


@dataclass(frozen=True)
class Worker:
    """Returns which process made a row."""

    shift: int

    def __call__(self, number: int) -> dict[str, float]:
        return {"process": float(os.getpid()), "value": float(number + self.shift)}


def test_one_set_of_workers_serves_all_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clada_neuro.parts._WORTH_PROCESSES_S", 0.0)
    one, two = (replicate(Worker(shift), 8, name="task", inputs="a", jobs=2) for shift in (0, 100))
    assert two["value"].tolist() == [100.0 + number for number in range(8)]
    # The first row is this process's own. Workers started anew would have other numbers.
    assert len({*one["process"][1:], *two["process"][1:]}) <= 2
