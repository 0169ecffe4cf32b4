"""Traces on two worker processes: bit for bit the single process's, also after workers or the client were killed."""

import os
import signal
import time
from dataclasses import replace

import dask
import numpy as np
import pandas as pd
import pytest
from command_line import clada, start
from misbehave import Poison
from workers import ANIMALS, two_workers

from clada_neuro.artifacts import read_json
from clada_neuro.errors import DataError, IncompleteError, ModelError
from clada_neuro.instrument import shards
from clada_neuro.instrument.trace import Trace
from clada_neuro.scale import spread as module
from clada_neuro.scale.schedulers import ATTEMPTS, connected
from clada_neuro.scale.setting import Setting
from clada_neuro.scale.spread import trace_by
from clada_neuro.stimuli.formats import read_stimuli

TABLES = ("tokens", "layers", "words")


def quietly(setting, stimuli, out, scheduler=None):
    return trace_by(setting, stimuli, out, scheduler, progress=False)


def contents(folder):
    return {name: (folder / f"{name}.parquet").read_bytes() for name in TABLES}


@pytest.mark.parametrize("options", [{}, {"policy": "griffin", "sparsity": 0.5}])
def test_files_are_those_of_a_single_process_byte_for_byte(cluster, setting, stimuli, tmp_path, options):
    setting = replace(setting, **options)
    one = quietly(setting, stimuli, tmp_path / "one")
    two = quietly(setting, stimuli, tmp_path / "two", cluster.scheduler_address)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert one.manifest == two.manifest
    assert two.manifest["threads"] == 1
    assert two.words["stimulus_id"].drop_duplicates().tolist() == stimuli["stimulus_id"].tolist()


def test_both_workers_take_part_and_load_the_model_once(cluster, setting, stimuli, tmp_path):
    quietly(setting, stimuli, tmp_path, cluster.scheduler_address)
    with connected(cluster.scheduler_address) as client:
        loads = client.run(lambda: __import__("clada_neuro.scale.worker").scale.worker._measurer.cache_info())
    assert [(info.currsize, info.hits > 0) for info in loads.values()] == [(1, True)] * 2


def test_a_worker_killed_in_mid_run_costs_nothing(cluster, setting, stimuli, tmp_path, monkeypatch):
    expected = quietly(setting, stimuli, tmp_path / "one")
    seen = []
    unpack = module.worker.unpack

    def kill_one_after_the_second(tables):
        seen.append(1)
        if len(seen) == 2:
            with connected(cluster.scheduler_address) as client:
                pids = client.run(os.getpid)
            os.kill(next(iter(pids.values())), signal.SIGKILL)
        return unpack(tables)

    monkeypatch.setattr(module.worker, "unpack", kill_one_after_the_second)
    quietly(setting, stimuli, tmp_path / "two", cluster.scheduler_address)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert expected.manifest["counts"]["stimuli"] == len(stimuli)


@pytest.mark.slow
def test_a_shard_that_fails_is_reported_with_its_rows_and_only_it_is_tried_again(
    cluster, setting, stimuli, tmp_path, monkeypatch
):
    expected = quietly(setting, stimuli, tmp_path / "one")
    (tmp_path / "deaths").mkdir()
    with dask.config.set({"distributed.scheduler.allowed-failures": ATTEMPTS - 1}), two_workers() as frail:
        with connected(frail.scheduler_address) as client:
            client.register_plugin(Poison("s7", str(tmp_path / "deaths")))
        complaint = r"3 of 24 stimuli could not be measured \(rows 7-9; its worker died each time"
        with pytest.raises(IncompleteError, match=complaint):
            quietly(setting, stimuli, tmp_path / "two", frail.scheduler_address)
    assert len(list((tmp_path / "deaths").iterdir())) == 3
    rest = Trace.read(tmp_path / "two")
    assert rest.words["stimulus_id"].nunique() == 21
    assert [one["rows"] for one in rest.manifest["missing"]] == [[7, 9]]
    sent = record_sent(monkeypatch)
    quietly(setting, stimuli, tmp_path / "two", cluster.scheduler_address)
    assert sent == [2]
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert Trace.read(tmp_path / "two").manifest == expected.manifest


def record_sent(monkeypatch) -> list[int]:
    """Collect the numbers of the shards that go to workers."""
    sent: list[int] = []
    completed = module.completed

    def recording(client, function, shards, *rest):
        if function is module.worker.measure:
            sent.extend(shards)
        return completed(client, function, shards, *rest)

    monkeypatch.setattr(module, "completed", recording)
    return sent


@pytest.mark.slow
def test_a_killed_client_goes_on_from_the_shards_it_had(cluster, setting, tmp_path, monkeypatch):
    sentences = [f"The old {ANIMALS[k % 6]} told the {ANIMALS[k % 5]} story {k}." for k in range(2400)]
    table = pd.DataFrame({"item": range(2400), "condition": "a", "sentence": sentences})
    table.to_csv(tmp_path / "stimuli.csv", index=False)
    stimuli = read_stimuli(tmp_path / "stimuli.csv")
    expected = quietly(setting, stimuli, tmp_path / "one")
    out = tmp_path / "two"
    options = ("--model", setting.model, "--threads", 1, "--scheduler", cluster.scheduler_address)
    client = start("trace", tmp_path / "stimuli.csv", *options, "--out", out)
    deadline = time.monotonic() + 120
    while len(list(out.glob("shards/*.words.parquet"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    client.kill()
    client.wait()
    finished = {int(path.name[:5]) for path in out.glob("shards/*.words.parquet")}
    count = len(shards.cut(stimuli))
    assert 2 <= len(finished) < count
    assert not (out / "manifest.json").exists()
    sent = record_sent(monkeypatch)
    quietly(setting, stimuli, out, cluster.scheduler_address)
    assert set(sent) == set(range(count)) - finished
    assert contents(out) == contents(tmp_path / "one")
    assert read_json(out / "manifest.json") == expected.manifest
    assert not list(out.rglob("*.part"))


@pytest.mark.slow
def test_the_command_starts_and_stops_workers_of_its_own(capsys, checkpoint, tmp_path):
    (tmp_path / "stimuli.csv").write_text(
        "item,condition,sentence\n1,a,Nobody knows.\n2,a,The old sailor slept.\n"
    )
    arguments = ("trace", tmp_path / "stimuli.csv", "--model", checkpoint, "--threads", 1)
    assert clada(capsys, *arguments, "--out", tmp_path / "one").code == 0
    done = clada(capsys, *arguments, "--out", tmp_path / "two", "--scheduler", "local:2")
    assert done.code == 0, done.err
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_whole_study_is_the_one_that_a_single_process_makes(capsys, cluster, checkpoint, stimuli, tmp_path):
    keys = ["stimulus_id", "item", "condition"]
    stimuli[[*keys, "sentence"]].assign(critical_index=5).to_csv(tmp_path / "stimuli.csv", index=False)
    trials = pd.concat([stimuli[keys].assign(subject=f"p{number}") for number in range(8)])
    trials["n400_uv"] = np.random.default_rng(0).normal(0, 5, len(trials))
    trials.to_csv(tmp_path / "trials.csv", index=False)
    study = ("run", tmp_path / "stimuli.csv", "--trials", tmp_path / "trials.csv", "--index-base", 0,
             "--model", checkpoint, "--threads", 1)  # fmt: skip
    for name, more in (("one", ()), ("two", ("--scheduler", cluster.scheduler_address))):
        done = clada(capsys, *study, *more, "--out", tmp_path / name)
        assert done.code == 0, done.err
    for name in (*(f"{table}.parquet" for table in (*TABLES, "trials")), "fits.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert (tmp_path / "two" / "report.html").is_file()


def test_a_policy_or_model_that_cannot_be_loaded_is_the_user_s_error(cluster, setting, stimuli, tmp_path):
    with pytest.raises(ModelError, match="is not a checkpoint folder"):
        quietly(Setting("/nowhere/model"), stimuli, tmp_path, cluster.scheduler_address)


def test_workers_of_another_version_are_refused(cluster, setting, stimuli, tmp_path, monkeypatch):
    monkeypatch.setattr(module.worker, "software", lambda: {"torch": "1.0"})
    with pytest.raises(DataError, match=r"the workers have torch .*, this process has 1\.0"):
        quietly(setting, stimuli, tmp_path, cluster.scheduler_address)
