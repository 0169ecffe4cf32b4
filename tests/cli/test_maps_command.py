"""From epochs on disk and a words table to maps of mixed models, by the command line and in Python."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import clada_neuro.erp.maps.work as work
from clada_neuro import artifacts
from clada_neuro.cli.main import cli
from clada_neuro.erp.simulate_eeg import simulate_epochs
from clada_neuro.errors import CladaNeuroError

KEPT = ["Fz", "Cz", "C3", "C4", "Pz"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Six readers' epochs of five electrodes, 24 words."""
    folder = tmp_path_factory.mktemp("maps_command")
    rng = np.random.default_rng(2)
    words = pd.DataFrame(
        {
            "stimulus_id": [f"t{i}" for i in range(24)],
            "item": [f"i{i // 2}" for i in range(24)],
            "condition": [f"c{i % 2}" for i in range(24)],
            "word": [f"w{i}" for i in range(24)],
            "word_index": 5,
            "is_critical": True,
            "surprisal_bits": rng.gamma(3, 3, 24),
            "sparsity_energy99": rng.normal(0.6, 0.05, 24),
            "adjustment_prev": rng.beta(5, 5, 24),
        }
    )
    artifacts.write_table(words, folder / "words.parquet")
    (folder / "epochs").mkdir()
    for name, epochs in simulate_epochs(words, n_subjects=6, seed=3, sfreq=20).epochs.items():
        epochs.pick(KEPT).save(folder / "epochs" / f"sub-{name}_epo.fif", verbose="error")
    return folder


def call(desk, out, *arguments):
    given = [
        "maps",
        desk / "words.parquet",
        "--epochs",
        desk / "epochs",
        "--out",
        out,
        "--draws",
        49,
        "--jobs",
        1,
        *arguments,
    ]
    return CliRunner().invoke(cli, list(map(str, given)))


@pytest.fixture(scope="module")
def mapped(desk):
    done = call(desk, desk / "out", "--csv", "--negative", "up")
    assert done.exit_code == 0, done.output
    return desk / "out"


def test_tables_and_a_figure_of_every_effect(mapped):
    table = artifacts.read_table(mapped / "maps.parquet")
    assert len(table) == len(KEPT) * table["time_s"].nunique()
    assert set(table["channel"]) == set(KEPT)
    np.testing.assert_allclose(table["t"], table["b_uv"] / table["se"])
    assert table["p_corrected"].between(1 / 50, 1).all()
    assert (table["p_corrected"] >= 1 / 50).all()
    assert len(pd.read_csv(mapped / "maps.csv")) == len(table)
    assert (mapped / "maps_surprisal_bits.svg").stat().st_size > 10_000
    facts = artifacts.read_json(mapped / "maps.json")
    assert facts["n_subjects"] == 6
    assert facts["baseline"] == "covariate"
    assert "baseline_uv" in facts["formula"]
    assert not (mapped / "electrodes").exists()


def test_what_is_done_is_not_done_again(desk, mapped, monkeypatch):
    before = (mapped / "maps.parquet").stat().st_mtime_ns
    monkeypatch.setattr(work, "fit_electrode", None)  # a call would end in a TypeError
    assert call(desk, mapped).exit_code == 0
    assert (mapped / "maps.parquet").stat().st_mtime_ns == before


def test_an_interrupted_call_goes_on_and_ends_with_the_same_bytes(desk, mapped, tmp_path, monkeypatch):
    fitted, real = [], work.fit_electrode

    def stopping(electrode, task):
        if len(fitted) == 3:
            raise KeyboardInterrupt
        fitted.append(electrode.name)
        return real(electrode, task)

    stopping.__module__ = real.__module__
    monkeypatch.setattr(work, "fit_electrode", stopping)
    assert call(desk, tmp_path / "out").exit_code != 0
    assert len(list((tmp_path / "out" / "electrodes").iterdir())) == 3
    rest = []

    def counting(electrode, task):
        rest.append(electrode.name)
        return real(electrode, task)

    counting.__module__ = real.__module__
    monkeypatch.setattr(work, "fit_electrode", counting)
    assert call(desk, tmp_path / "out").exit_code == 0
    assert sorted(fitted + rest) == sorted(KEPT)
    assert len(rest) == 2
    for name in ("maps", "clusters", "variances"):
        assert (tmp_path / "out" / f"{name}.parquet").read_bytes() == (
            mapped / f"{name}.parquet"
        ).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("where", [("--jobs", "2"), ("--scheduler", "local:2")])
def test_processes_and_workers_give_the_same_bytes(desk, mapped, tmp_path, where):
    done = call(desk, tmp_path / "out", *where)
    assert done.exit_code == 0, done.output
    for name in ("maps", "clusters", "variances"):
        assert (tmp_path / "out" / f"{name}.parquet").read_bytes() == (
            mapped / f"{name}.parquet"
        ).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--formula", "surprisal_bits"), "has no random term"),
        (("--formula", "amplitude_uv ~ surprisal_bits + (1 | subject)"), "write the right side alone"),
        (("--formula", "(1 | subject)"), "names no measure"),
        (
            ("--formula", "surprisal + (1 | subject)"),
            "no column 'surprisal' (did you mean 'surprisal_bits'?)",
        ),
        (("--start", "2000"), "before the map begins"),
        (("--epochs", "nowhere"), "'nowhere' do not exist"),
    ],
)
def test_wrong_input_is_one_line(desk, tmp_path, arguments, message):
    done = call(desk, tmp_path, *arguments)
    assert isinstance(done.exception, CladaNeuroError), done.output
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
