"""kill -9 at any moment of a study: each file is the old or the new one, and the same command completes it."""

import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from killing import start_study
from tiny_language import tiny_language

from clada_neuro.artifacts import read_json, read_table

ANALYSIS = """
title = "Kill"
[[model]]
name = "N400"
formula = "n400_uv ~ surprisal_bits + (1|subject) + (1|stimulus)"
directions = { surprisal_bits = "negative" }
[synergy]
response = "n400_uv"
predictors = ["surprisal_bits", "entropy_bits"]
random = "(1|subject) + (1|stimulus)"
bootstrap = 3
"""
# What must come back byte for byte; the report and the manifest hold the time of the run.
SAME = (
    "stimuli.parquet",
    "tokens.parquet",
    "layers.parquet",
    "words.parquet",
    "trials.parquet",
    "fits.json",
    "synergy.json",
)
ANIMALS = ("sailor", "baker", "children", "crowd", "owner")


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A model, stimuli, two sets of trials, and an uninterrupted study of each."""
    folder = tmp_path_factory.mktemp("desk")
    model = tiny_language()
    model.model.save_pretrained(folder / "model")
    model.tokenizer.save_pretrained(folder / "model")
    rows = [
        (item, c, f"The old {ANIMALS[item % 5]} told the {w} a story.", w)
        for item in range(12)
        for c, w in zip("ab", ("crowd", "baker"), strict=True)
    ]
    stimuli = pd.DataFrame(rows, columns=["item", "condition", "sentence", "critical_word"])
    stimuli = stimuli[~stimuli["sentence"].str.contains("crowd told the crowd|baker told the baker")]
    stimuli.to_csv(folder / "stimuli.csv", index=False)
    (folder / "analysis.toml").write_text(ANALYSIS)
    keys = pd.concat([stimuli[["item", "condition"]].assign(subject=f"s{k}") for k in range(8)])
    for seed, name in enumerate(("old", "new")):
        amplitudes = np.random.default_rng(seed).normal(0, 5, len(keys))
        keys.assign(n400_uv=amplitudes).to_csv(folder / f"{name}.csv", index=False)
        finish(folder, f"{name}.csv", folder / name)
    return folder


def finish(desk: Path, trials: str, out: Path) -> float:
    """Run a study to its end; return the seconds it took."""
    begun = time.monotonic()
    process = start_study(desk, trials, out)
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - begun


@pytest.fixture(scope="module")
def seconds(desk, tmp_path_factory) -> dict[bool, float]:
    """How long the new study takes in an empty folder, and over the old one, whose trace it keeps."""
    folder = tmp_path_factory.mktemp("seconds")
    shutil.copytree(desk / "old", folder / "over")
    return {over: finish(desk, "new.csv", folder / name) for over, name in ((False, "empty"), (True, "over"))}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME if (folder / name).is_file()}


def check_moments(desk: Path, tmp_path: Path, seconds: dict[bool, float], moments: list[float]) -> None:
    old, new = contents(desk / "old"), contents(desk / "new")
    assert set(old) == set(new) == set(SAME)
    assert old["trials.parquet"] != new["trials.parquet"]
    assert old["fits.json"] != new["fits.json"]
    interrupted = 0
    for number, moment in enumerate(moments):
        folder, over = tmp_path / str(number), number % 2 == 0
        if over:
            shutil.copytree(desk / "old", folder)
        process = start_study(desk, "new.csv", folder)
        process.join(moment * seconds[over])
        interrupted += process.is_alive()
        process.kill()
        process.join()
        found = contents(folder)
        assert not over or set(found) == set(SAME)
        for name, bytes_found in found.items():
            assert bytes_found in (old[name], new[name]), f"{name} at {moment:.3f}"
        for path in folder.rglob("*.parquet"):
            read_table(path)
        for path in folder.rglob("*.json"):
            read_json(path)
        finish(desk, "new.csv", folder)
        assert contents(folder) == new, f"after a kill at {moment:.3f}"
        assert not list(folder.rglob("*.part"))
        assert (folder / "report.html").is_file()
        shutil.rmtree(folder)
    assert interrupted >= len(moments) / 2


def drawn(count: int) -> list[float]:
    """Return random moments, as shares of an uninterrupted study's time."""
    return np.random.default_rng(8).uniform(0.02, 0.95, count).tolist()


def test_a_study_killed_at_three_moments(desk, seconds, tmp_path):
    check_moments(desk, tmp_path, seconds, drawn(3))


@pytest.mark.slow
def test_a_study_killed_at_twenty_moments(desk, seconds, tmp_path):
    check_moments(desk, tmp_path, seconds, drawn(20))
