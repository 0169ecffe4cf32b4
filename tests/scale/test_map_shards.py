"""Results in order, failures retried three times and named, wrong specifications one line."""

import os
from pathlib import Path

import misbehave
import pytest

from clada_neuro.errors import DataError, IncompleteError, StimulusError
from clada_neuro.models.places import Failure, Here, map_shards
from clada_neuro.scale.processes import places
from clada_neuro.scale.schedulers import connected
from clada_neuro.scale.shards import completed


@pytest.fixture
def client(cluster):
    """Connected to workers that find the functions of this folder."""
    with connected(cluster.scheduler_address) as client:
        folder = str(Path(__file__).parent)
        client.run(lambda: __import__("sys").path.insert(0, folder))
        yield client


@pytest.fixture
def workers(client, setting):
    with places(setting, setting.load(), client.scheduler.address) as found:
        yield found


def test_results_come_in_the_order_of_the_shards_here_and_on_workers(workers, setting):
    expected = [("LlamaForCausalLM", 2 * number) for number in range(20)]
    assert map_shards(Here(setting.load()), misbehave.double_with_model, range(20)) == expected
    assert map_shards(workers, misbehave.double_with_model, range(20)) == expected


def test_all_or_none(workers):
    with pytest.raises(
        IncompleteError, match=r"1 of 6 shards failed every time; the first is 3: ValueError: three is broken"
    ):
        map_shards(workers, misbehave.raise_on_three_with_model, range(6))


def test_a_shard_that_raises_is_tried_three_times_and_the_rest_is_delivered(client, tmp_path):
    found = dict(completed(client, misbehave.raise_on_three, dict(enumerate(range(6)))))
    assert {key: value for key, value in found.items() if key != 3} == {k: k for k in (0, 1, 2, 4, 5)}
    assert found[3] == Failure("ValueError: three is broken")
    list(completed(client, misbehave.count_attempts, {0: str(tmp_path)}))
    assert len(list(tmp_path.iterdir())) == 3


def test_an_error_of_the_user_is_raised_as_it_is_and_not_retried(client):
    with pytest.raises(StimulusError, match="row 7 is wrong"):
        list(completed(client, misbehave.complain, {0: 7}))


def double(scheduler: str) -> dict[int, int]:
    with connected(scheduler) as client:
        return dict(completed(client, misbehave.double, {number: number for number in range(4)}))


@pytest.mark.parametrize(
    ("scheduler", "complaint"),
    [
        ("local:0", r"--scheduler 'local:0' given, ADDRESS"),
        ("somewhere", r"--scheduler 'somewhere' given, ADDRESS"),
        ("nothing.toml", r"'nothing.toml' cannot be read"),
    ],
)
def test_a_specification_that_cannot_be_read(scheduler, complaint):
    with pytest.raises(DataError, match=complaint):
        double(scheduler)


def test_an_address_where_nobody_answers(monkeypatch):
    from clada_neuro.scale import schedulers

    monkeypatch.setattr(schedulers, "_WAIT", 1)
    with pytest.raises(DataError, match=r"no scheduler with workers answers at 'tcp://127.0.0.1:9'"):
        double("tcp://127.0.0.1:9")


def test_workers_come_as_slurm_jobs(tmp_path, monkeypatch, capsys):
    """A stand-in for sbatch runs the very job script that SLURM would get; like sbatch it keeps a copy of its own."""
    for name, text in (
        ("sbatch", 'cp "$1" "$JOBS.sh"; bash "$JOBS.sh" >>"$JOBS" 2>&1 & echo "Submitted batch job $!"'),
        ("scancel", 'echo "scancel $*" >>"$JOBS"; kill "$1" 2>/dev/null || true'),
    ):
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("JOBS", str(tmp_path / "log"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    path = tmp_path / "slurm.toml"
    path.write_text(
        "jobs = 1\ncores = 1\nmemory = '2GB'\n[scheduler_options]\nhost = '127.0.0.1'\ndashboard_address = ':0'\n"
    )
    assert double(str(path)) == {0: 0, 1: 2, 2: 4, 3: 6}
    assert "tls://127.0.0.1" in (tmp_path / "log").read_text()
    assert "waiting for the first of 1 SLURM jobs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("jobs = 0\n", r"jobs = 0; write how many"),
        ("cores = 4\n", r"jobs = None"),
        ("jobs = 2\nqueeu = 'short'\ncores = 1\nmemory = '4GB'\n", r"does not describe SLURM jobs"),
        ("jobs = \n", r"cannot be read"),
    ],
)
def test_a_slurm_specification_that_cannot_be_used(tmp_path, text, complaint):
    path = tmp_path / "slurm.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=complaint):
        double(str(path))
