"""`run --maps`: mixed models at every electrode and moment of a study's epochs, in its folder, its lines and its report."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from tiny_models import tiny_checkpoint

from clada_neuro import artifacts
from clada_neuro.cli.main import cli
from clada_neuro.erp.components import N400
from clada_neuro.erp.measurement import Measurement
from clada_neuro.erp.simulate_eeg import simulate_epochs
from clada_neuro.errors import DataError
from clada_neuro.instrument.trace import Trace, trace
from clada_neuro.records.maps import MapsRecord
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.study.maps import map_study

KEPT = ["Fz", "Cz", "C3", "C4", "Pz"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """Twelve items in two versions for a tiny language model, and the epochs of six readers at five electrodes."""
    folder = tmp_path_factory.mktemp("maps_of_run")
    model, rng = tiny_checkpoint(folder / "model"), np.random.default_rng(4)
    texts = [[f"w{k}" for k in rng.integers(2, 96, 6)] for _ in range(24)]
    stimuli = pd.DataFrame(
        {
            "item": [f"i{k // 2}" for k in range(24)], "condition": [f"c{k % 2}" for k in range(24)],
            "sentence": [" ".join(text) for text in texts], "critical_word": [text[4] for text in texts], "critical_index": 4,
        }
    )  # fmt: skip
    stimuli.to_csv(folder / "stimuli.csv", index=False)
    words = trace(read_stimuli(folder / "stimuli.csv"), model=model, progress=False).words
    (folder / "epochs").mkdir()
    for name, epochs in simulate_epochs(
        words[words["is_critical"]], n_subjects=6, seed=3, sfreq=20
    ).epochs.items():
        epochs.metadata = epochs.metadata[["item", "condition", "word_index", "word", "simulated"]]
        epochs.pick(KEPT).save(folder / "epochs" / f"sub-{name}_epo.fif", verbose="error")
    return folder


def call(desk: Path, *arguments: object):
    formula = "n400_uv ~ surprisal_bits + (1|subject) + (1|item)"
    given = [
        "run",
        desk / "stimuli.csv",
        "--model",
        desk / "model",
        "--formula",
        formula,
        "--roi",
        "n400=Cz,Pz",
        "--out",
        desk / "out",
    ]
    return CliRunner().invoke(cli, list(map(str, [*given, "--jobs", 1, *arguments])))


@pytest.fixture(scope="module")
def done(desk):
    found = call(desk, "--epochs", desk / "epochs", "--maps")
    assert found.exit_code == 0, found.output
    return found


def test_maps_stand_in_the_folder_the_lines_and_the_report(desk, done):
    facts = artifacts.read_json(desk / "out" / "maps" / "maps.json")
    assert (facts["n_channels"], facts["n_subjects"], facts["baseline"]) == (len(KEPT), 6, "covariate")
    assert facts["trace"] == artifacts.read_json(desk / "out" / "manifest.json")["inputs"]
    assert f"{facts['n_epochs']} epochs of 6 subjects in the models" in done.output
    assert "surprisal_bits: " in done.output
    assert "electrode Pz (5 of 5)" in done.output
    page = (desk / "out" / "report.md").read_text(encoding="utf-8")
    _, _, section = page.partition("## Maps of mixed models")
    assert (
        f"At each of 5 electrodes and {facts['n_moments']} moments the voltage of {facts['n_epochs']} epochs"
        in section
    )
    assert "maps_surprisal_bits" in section
    methods, results = page.partition("### Methods")[2].partition("### Results")[::2]
    assert "with 999 draws in which the signs" in methods
    assert "In simulated data: Maps of mixed models. Surprisal: " in results
    assert "Modugno, L., & Giannerini, S. (2015)" in results
    assert (desk / "out" / "figures" / "maps_surprisal_bits.svg").is_file()


def test_the_same_maps_are_kept_and_a_study_without_maps_has_none(desk, done):
    """As the next run of the study does it, with and without `--maps`."""
    lines: list[str] = []
    words, made = Trace.read(desk / "out").words, desk / "out" / "maps" / "maps.json"
    plan = SimpleNamespace(epochs=desk / "epochs", measurement=Measurement((N400,)))
    how = SimpleNamespace(maps=True, scheduler=None, jobs=1, seed=0, progress=lines.append)
    map_study(plan, words, desk / "out", how)
    assert lines[-1].strip() == "nothing has changed since the maps were made"
    assert made.is_file()
    how.maps = False
    map_study(plan, words, desk / "out", how)
    assert not made.exists()


def test_why_there_are_no_maps_is_said_and_the_study_stands(desk, tmp_path):
    lines: list[str] = []
    words = Trace.read(desk / "out").words.assign(surprisal_bits=np.nan)
    how = SimpleNamespace(maps=True, scheduler=None, jobs=1, seed=0, progress=lines.append)
    plan = SimpleNamespace(epochs=desk / "epochs", measurement=Measurement((N400,)))
    map_study(plan, words, tmp_path, how)
    assert lines[-1].strip() == "note: no maps were made: the words have no surprisal"
    assert MapsRecord.read(tmp_path / "maps" / "maps.json").left_out == "the words have no surprisal"


def test_maps_without_epochs_are_refused_before_the_model_is_loaded(tmp_path):
    found = CliRunner().invoke(cli, ["run", "demo", "--maps", "--out", str(tmp_path / "out")])
    assert isinstance(found.exception, DataError)
    assert (
        str(found.exception)
        == "--maps are of EEG at every electrode and moment; add --epochs PATH or --eeg PATH"
    )
    assert not (tmp_path / "out").exists()
