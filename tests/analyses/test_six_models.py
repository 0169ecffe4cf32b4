"""`analyses/14_six_models.py` from checkpoints to the table, on two tiny models of different families."""

import os
import random
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from analysis_scripts import load
from distributed import LocalCluster
from tiny_models import tiny_checkpoint

from clada_neuro.calibration import search, texts
from clada_neuro.errors import ModelError
from clada_neuro.evaluation import evaluate as evaluation
from clada_neuro.evaluation.tasks import Item
from clada_neuro.models.places import Here
from clada_neuro.policies.artifact import read_calibration

six = load("14_six_models")
FAMILIES = ("llama", "gpt2")
ASKED = (
    "--task",
    "piqa",
    "sciq",
    "--policy",
    "clada",
    "teal",
    "--limit",
    "20",
    "--tokens",
    "3072",
    "--rounds",
    "1",
)


def words(chance: random.Random, count: int) -> list[str]:
    return [f"w{chance.randrange(2, 97)}" for _ in range(count)]


def questions(task: object) -> list[Item]:
    chance = random.Random(1)
    return [Item.choice(" ".join(words(chance, 8)), words(chance, 2), chance.randrange(2)) for _ in range(30)]


def timed(name: str, *, sparsities: tuple[float], **asked: object) -> pd.DataFrame:
    """Rows as `bench_decode` gives them; it is tested in its own room, and starts processes."""
    if "gpt2" in name:
        raise ModelError("the compiled steps need model_type in ('llama', 'mistral'), 'gpt2' found")
    found = {
        "engine": ["compiled", "compiled", "compiled"], "policy": ["dense", "clada", "griffin"],
        "tokens_per_s": [100.0, 125.0, 150.0], "ratio_vs_dense": [1.0, 1.25, 1.5], "ratio_low": [1.0, 1.2, 1.4],
        "ratio_high": [1.0, 1.3, 1.6], "load_average": 3.5, "threads": 1, "ffn_sparsity": [0.0, 0.41, 0.4],
    }  # fmt: skip
    return pd.DataFrame(found)


def workers() -> LocalCluster:
    return LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", memory_limit=0, dashboard_address="127.0.0.1:0"
    )


def study_of(*arguments: str, out: Path):
    """The study that a command line asks for."""
    return six.study_of(six.parsed([*arguments, "--out", str(out), "--calibrations", str(out)]))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The folder of results of two models and of one that cannot be taken, by the workers of a scheduler."""
    folder = tmp_path_factory.mktemp("six")
    models = [str(tiny_checkpoint(folder / family, family)) for family in FAMILIES]
    tiny_checkpoint(folder / "broken")
    (folder / "broken" / "model.safetensors").write_bytes(b"nothing")
    chance = random.Random(0)
    documents = [folder / f"{number}.txt" for number in range(24)]
    for file in documents:
        file.write_text(" ".join(words(chance, 80)))
    command = [
        *ASKED,
        "--text",
        *map(str, documents),
        "--out",
        str(folder / "out"),
        "--calibrations",
        str(folder / "kept"),
    ]
    for name in (models[0], str(folder / "broken"), models[1]):
        command += ["--model", name]
    with pytest.MonkeyPatch.context() as patch, workers() as cluster:
        for module in (texts, search):
            patch.setattr(module, "LENGTH", 64)
        patch.setattr(evaluation, "load_items", questions)
        patch.setattr(evaluation, "cache_folder", lambda *parts: folder / "chunks")
        patch.setattr(six, "bench_decode", timed)
        assert six.main([*command, "--scheduler", cluster.scheduler_address]) == 2
        yield folder, command, patch


def test_every_cell_of_both_models_is_filled(measured):
    folder, _, _ = measured
    for family in FAMILIES:
        scores = pd.read_csv(folder / "out" / f"{family}.scores.csv")
        assert set(scores["model"]) == {family}
        assert set(scores["task"]) == {"piqa", "sciq", "mean"}
        assert set(scores["policy"]) == {"dense", "clada", "teal"}
        assert (scores.loc[scores["task"] != "mean", "n"] == 20).all()
        sparse = scores[scores["policy"] != "dense"]
        assert sparse["ffn_sparsity"].between(0.3, 0.5).all()
        assert (sparse["minus_dense_low"] <= sparse["minus_dense_high"]).all()
        (calibration,) = [
            found
            for found in map(read_calibration, (folder / "kept").glob("*.safetensors"))
            if found.identity == scores["calibration"][0]
        ]
        assert calibration.header["weights_hash"] == scores["weights"][0]


def test_the_table_has_a_row_a_model_and_policy_and_says_what_failed(measured):
    folder, _, _ = measured
    page = (folder / "out" / "six_models.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")
    ]
    assert rows[0] == ["model", "policy", "sparsity", "piqa", "sciq", "mean", "speed"]
    assert [row[:2] for row in rows[2:]] == [
        [family, policy] for family in sorted(FAMILIES) for policy in ("dense", "clada @ 0.4", "teal @ 0.4")
    ]
    files = " ".join(f"{number}.txt" for number in range(24))
    typed = f"--task piqa sciq --policy clada teal --limit 20 --text {files} --tokens 3072 --rounds 1"
    by = f"`analyses/14_six_models.py --model llama {typed}`"
    assert f"- llama: 20 to 20 items of each of 2 tasks by {by}; timed by {by} (" in page
    assert [row[-1] for row in rows[-3:]] == ["", "1.25 [1.20, 1.30] (compiled at 0.41, load 3.5)", ""]
    assert f"--model gpt2 {typed}`; not timed" in page
    missing = page.partition("Not measured:")[2].strip().splitlines()
    assert missing[0].startswith("- broken, all: model 'broken' cannot be loaded")
    assert missing[1].startswith("- gpt2, speed: the compiled steps need")
    assert str(folder) not in page


def test_a_second_call_does_nothing_again(measured):
    folder, command, patch = measured
    before = {file.name: file.read_bytes() for file in (folder / "out").iterdir()}

    def refuse(*args, **kwargs):
        raise AssertionError("done before")

    with patch.context() as again:
        again.setattr(Here, "each", lambda self, function, shards: iter(()) if not shards else refuse())
        again.setattr(
            six, "bench_decode", lambda name, **asked: timed(name, **asked) if "gpt2" in name else refuse()
        )
        again.setattr(six.CalibrateStage, "make", refuse)
        assert six.main(command) == 2
    assert {file.name: file.read_bytes() for file in (folder / "out").iterdir()} == before


def test_a_speed_that_was_missing_still_is_where_nothing_is_timed(measured):
    folder, _, _ = measured
    missing = folder / "out" / "gpt2.missing.csv"
    before = missing.read_bytes()
    study = study_of("--no-speed", out=folder / "out")
    study.complete("gpt2")
    assert missing.read_bytes() == before
    study_of("--rounds", "1", out=folder / "out").complete("gpt2")
    assert not missing.exists()
    missing.write_bytes(before)


def test_a_calibration_is_that_of_its_texts_tokens_sparsity_and_number_format(tmp_path, monkeypatch):
    asked = []

    class Noted:
        def __init__(self, model: object, documents: object, file: str, *rest: object) -> None:
            asked.append(file)

        def into(self, folder: object) -> None:
            pass

    monkeypatch.setattr(six, "CalibrateStage", Noted)
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("w3 w4")
    second.write_text("w3 w5")
    model = SimpleNamespace(weights_hash="0" * 16)
    for more in (
        (), (), ("--tokens", "64"), ("--sparsity", "0.5"), ("--dtype", "bfloat16"), ("--text", str(second)),
    ):  # fmt: skip
        study_of("--text", str(first), *more, out=tmp_path)._calibration(model, None)
    assert asked[0] == asked[1]
    assert len(set(asked)) == 5


def test_times_are_those_of_the_device_and_the_calibration(measured, monkeypatch):
    folder, _, _ = measured
    scores = pd.read_csv(folder / "out" / "llama.scores.csv", dtype=str)
    speeds = pd.read_csv(folder / "out" / "llama.speed.csv", dtype=str)
    assert set(speeds["calibration"]) == set(scores["calibration"])
    assert set(speeds["device"]) == {"cpu"}
    (calibration,) = (folder / "kept").glob(f"{scores['weights'][0]}-*.safetensors")
    places = []
    monkeypatch.setattr(
        six, "bench_decode", lambda name, **asked: places.append(asked["device"]) or timed(name, **asked)
    )
    study = study_of("--rounds", "1", out=folder / "out")
    before = (folder / "out" / "llama.speed.csv").read_bytes()
    study.time(str(folder / "llama"), calibration)
    monkeypatch.setattr(six, "find_device", lambda name: torch.device("cuda"))
    study.time(str(folder / "llama"), calibration)
    (folder / "out" / "llama.speed.csv").write_bytes(before)
    assert places == ["cuda"]


def test_a_row_shows_the_speed_at_its_own_sparsity(measured):
    folder, _, _ = measured
    scores = pd.read_csv(folder / "out" / "llama.scores.csv")
    speeds = pd.read_csv(folder / "out" / "llama.speed.csv")
    both = pd.concat([scores, scores[scores["policy"] != "dense"].assign(asked=0.5)])
    rows = [line.split("|") for line in six.page(both, speeds, pd.DataFrame()).splitlines()]
    shown = {row[2].strip(): row[-2].strip() for row in rows if len(row) > 2}
    assert shown["clada @ 0.4"].startswith("1.25 ")
    assert shown["clada @ 0.5"] == ""


def test_a_hash_of_digits_stays_as_it_is(tmp_path):
    pd.DataFrame({"weights": ["0123456789012345"], "calibration": ["12e4"]}).to_csv(tmp_path / "m.scores.csv")
    found = six._together(tmp_path, "scores")
    assert (found["weights"][0], found["calibration"][0]) == ("0123456789012345", "12e4")


def test_options_that_decide_numbers_are_typed_again():
    options = six.parsed(
        ["--model", "m", "--no-speed", "--device", "cpu", "--out", "o", "--text", "a b/c d.txt"]
    )
    assert six.chosen(options) == " --text 'c d.txt' --device cpu --rounds 0"
    assert six.chosen(six.parsed([])) == ""


def test_no_model_is_told(capsys, tmp_path):
    assert six.main(["--out", str(tmp_path)]) == 2
    assert "name one with --model" in capsys.readouterr().err
    assert six.main(["--tables", "--out", str(tmp_path)]) == 0
    assert "An empty cell was not measured" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif("CLADA_NEURO_DATA" not in os.environ, reason="needs the benchmarks in CLADA_NEURO_DATA")
def test_the_embedded_model_fills_its_row(tmp_path):
    command = [
        "--model",
        "smollm2",
        "--task",
        "piqa",
        "sciq",
        "--policy",
        "clada",
        "--limit",
        "4",
        "--rounds",
        "2",
    ]
    assert six.main([*command, "--out", str(tmp_path)]) == 0
    page = (tmp_path / "six_models.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")
    ]
    assert [row[:2] for row in rows[2:]] == [["smollm2", "dense"], ["smollm2", "clada @ 0.4"]]
    assert all(rows[3])
    assert 0.3 < float(rows[3][2]) < 0.5
    assert "- smollm2: 4 to 4 items of each of 2 tasks" in page
    assert "weights d1eeddeeb1349b11, calibration dab7305145f80712" in page
