"""Calibrations and evaluations on two workers: bit for bit those of a single process."""

import random
from dataclasses import replace

import pandas as pd
import pytest
import torch
from command_line import clada
from workers import ANIMALS

from clada_neuro.cache import Store
from clada_neuro.calibration import loss, search, texts
from clada_neuro.errors import DataError
from clada_neuro.evaluation import evaluate as module
from clada_neuro.evaluation.evaluate import Unanswered, evaluate
from clada_neuro.evaluation.tasks import Item
from clada_neuro.models.places import Failure, Here
from clada_neuro.models.registry import ffn_layers
from clada_neuro.passes.pieces import PIECE
from clada_neuro.policies.controls import RandomLoad, no_load
from clada_neuro.scale import processes
from clada_neuro.scale.processes import places

POLICIES = ("dense", "clada", "random-load", "griffin", "teal")


@pytest.fixture(scope="module")
def model(setting):
    return setting.load()


@pytest.fixture
def workers(cluster, setting, model):
    with places(setting, model, cluster.scheduler_address) as found:
        yield found


@pytest.fixture(scope="module")
def calibrations(cluster, setting, model, tmp_path_factory):
    """One made here, one on the workers, in shards of four texts."""
    chance = random.Random(0)
    documents = [" ".join(chance.choice(ANIMALS) for _ in range(80)) for _ in range(48)]
    folder = tmp_path_factory.mktemp("calibrations")
    with pytest.MonkeyPatch.context() as patch, places(setting, model, cluster.scheduler_address) as workers:
        for part in (texts, search):
            patch.setattr(part, "LENGTH", 64)
        patch.setattr(loss, "BATCH_TOKENS", 256)
        for name, where in (("here", Here(model)), ("workers", workers)):
            search.calibrate(
                model, documents, folder / f"{name}.safetensors", tokens=64 * 48, places=where, progress=False
            )
    return folder


def test_a_calibration_is_the_same_file(calibrations):
    here, workers = ((calibrations / f"{name}.safetensors").read_bytes() for name in ("here", "workers"))
    assert here == workers


def test_texts_are_measured_as_all_together(model, tmp_path, monkeypatch):
    """Two texts a shard: the same costs as of one pass over all, with the seeds of their places among all."""
    layers = ffn_layers(model.model)
    thresholds = {site: torch.full((len(layers),), 0.3) for site in ("input", "hidden")}
    policy = RandomLoad(thresholds, {}, kappa=0.5, quantiles=torch.linspace(-2, 2, 9))
    tokens = torch.randint(3, 40, (7, 24), generator=torch.Generator().manual_seed(0))
    whole, parts = (
        yardstick(model, tokens, size, tmp_path / str(size), policy, monkeypatch) for size in (24 * 7, 48)
    )
    for name in ("loss", "divergence", "sparsity", "surprisal_bits", "entropy_bits"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), equal_nan=True)
    assert whole.sparsity.std() > 0


def yardstick(model, tokens, batch, folder, policy, monkeypatch):
    monkeypatch.setattr(loss, "BATCH_TOKENS", batch)
    folder.mkdir()
    found = loss.Yardstick(Here(model), tokens, 4, Store(folder, "x", PIECE), "texts", lambda count: None)
    return found.measure("random", policy, found.measure("plain", no_load(policy)))


def questions(task: object) -> list[Item]:
    chance = random.Random(1)
    found = []
    for _ in range(20):
        names = chance.sample(ANIMALS, 3)
        found.append(
            Item.choice(
                f"The old {names[0]} told the {names[1]} a story. It was the", [*names], chance.randrange(3)
            )
        )
    return found


@pytest.fixture
def asked(monkeypatch):
    monkeypatch.setattr(module, "load_items", questions)
    monkeypatch.setattr(module, "CHUNK", 3)


def found(model, calibrations, cache, monkeypatch, where):
    monkeypatch.setattr(module, "cache_folder", lambda *parts: cache)
    calibration = calibrations / "here.safetensors"
    starts = ("answer", "middle")
    return evaluate(model, ["piqa", "sciq"], POLICIES, starts=starts, calibration=calibration, places=where)


def test_an_evaluation_has_the_same_rows(model, workers, calibrations, asked, tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = found(model, calibrations, tmp_path / "one", monkeypatch, Here(model))
    two = found(model, calibrations, tmp_path / "two", monkeypatch, workers)
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert len(one) == 2 * 2 * 20 * len(POLICIES)


class Frail(Here):
    """Never answers the second chunk."""

    def each(self, function, shards):
        for number, result in super().each(function, shards):
            yield number, Failure("its worker died each time") if number == 1 else result


def test_chunks_that_fail_are_named_and_tried_again(model, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "cache_folder", lambda *parts: tmp_path)
    with pytest.raises(
        Unanswered, match=r"1 of 7 chunks could not be answered \(first: 3 items of piqa; its worker died"
    ) as caught:
        evaluate(model, ["piqa"], ["dense", "griffin"], places=Frail(model))
    assert len(caught.value.items) == 2 * 17
    sent = []

    class Counted(Here):
        def each(self, function, shards):
            sent.extend(shards)
            return super().each(function, shards)

    assert len(evaluate(model, ["piqa"], ["dense", "griffin"], places=Counted(model))) == 2 * 20
    assert sent == [1]


def test_the_commands_take_a_scheduler(capsys, cluster, checkpoint, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "cache_folder", lambda *parts: tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    common = ("--model", checkpoint, "--threads", 1, "--scheduler", cluster.scheduler_address)
    questions = ("--task", "piqa", "--policy", "dense", "--policy", "griffin", "--limit", 4)
    done = clada(capsys, "evaluate", *questions, *common, "--json", tmp_path / "found.json")
    assert done.code == 0, done.err
    assert len(pd.read_parquet(tmp_path / "found.items.parquet")) == 8
    monkeypatch.setattr(processes, "Here", Frail)
    done = clada(capsys, "evaluate", *questions, *common[:4], "--limit", 6, "--json", tmp_path / "rest.json")
    assert done.code == 2
    assert "chunks could not be answered" in done.complaint
    assert len(pd.read_parquet(tmp_path / "rest.items.parquet")) == 2 * 3
    text = tmp_path / "text.txt"
    text.write_text("The old sailor slept. ")
    done = clada(capsys, "calibrate", "--text", text, *common, "--out", tmp_path / "c.safetensors")
    assert "this model reads at most 128" in done.complaint


def test_workers_that_compute_otherwise_are_refused(cluster, setting, model):
    with (
        pytest.raises(DataError, match=r"differ in dtype: float64 on one, float32 on another"),
        places(replace(setting, dtype="float64"), model, cluster.scheduler_address),
    ):
        pass


def test_workers_of_another_version_are_refused(cluster, setting, model, monkeypatch):
    monkeypatch.setattr(processes.worker, "software", lambda: {"torch": "1.0"})
    with (
        pytest.raises(DataError, match=r"the workers have torch .*, this process has 1\.0"),
        places(setting, model, cluster.scheduler_address),
    ):
        pass
