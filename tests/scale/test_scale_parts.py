"""Parts of stages in processes and on two workers: the same bytes as one after the other here; what fails is named."""

import os
import signal
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from command_line import clada
from misbehave import complain, count_attempts, raise_on_three

from clada_neuro import artifacts
from clada_neuro.erp.maps.stage import map_epochs
from clada_neuro.erp.overlap.events import EventModel
from clada_neuro.erp.overlap.stage import OverlapOptions, Reading, analyze_recordings
from clada_neuro.erp.simulate_eeg import simulate_epochs
from clada_neuro.erp.simulate_raw import simulate_reading
from clada_neuro.errors import DataError, IncompleteError, StimulusError
from clada_neuro.numerals import p_text
from clada_neuro.parts import Processes
from clada_neuro.scale import parts as module
from clada_neuro.scale.parts import placed
from clada_neuro.scale.schedulers import connected

WORDS = pd.DataFrame(
    {
        "stimulus_id": [f"t{i // 8}" for i in range(160)],
        "item": [f"i{i // 8}" for i in range(160)],
        "condition": [f"c{i % 2}" for i in range(160)],
        "word_index": np.arange(160) % 8,
        "word": [f"w{i}" for i in range(160)],
        "is_critical": np.arange(160) % 8 == 5,
        "surprisal_bits": np.random.default_rng(8).gamma(3, 2, 160),
        "sparsity_energy99": np.random.default_rng(9).normal(0.6, 0.05, 160),
        "adjustment_prev": np.random.default_rng(10).beta(5, 5, 160),
    }
)


@pytest.fixture(params=["processes", "workers"])
def place(request, cluster, monkeypatch):
    """Two processes of this machine, or two workers."""
    monkeypatch.setattr("clada_neuro.parts._WORTH_PROCESSES_S", 0.0)
    if request.param == "processes":
        yield Processes(2)
        return
    with placed(cluster.scheduler_address) as found:
        yield found


def same_files(one, two):
    found = {path.name: path.read_bytes() for path in sorted(one.glob("*.parquet"))}
    assert found
    assert found == {path.name: path.read_bytes() for path in sorted(two.glob("*.parquet"))}


def test_subjects_of_overlapping_responses(place, tmp_path):
    (tmp_path / "eeg").mkdir()
    for number in (1, 2, 3):
        made = simulate_reading(WORDS, seed=number, sfreq=50.0, noise_uv=6.0)
        made.raw.set_annotations(mne.Annotations(made.events["onset"], 0.0, ["word"] * len(WORDS)))
        made.raw.save(tmp_path / "eeg" / f"sub-0{number}_raw.fif", verbose="error")
    table = WORDS[["stimulus_id", "word_index", "word"]].assign(trigger="word")
    models = [EventModel("word", "1 + center(surprisal_bits)")]
    how = {"reading": Reading(table), "asked": OverlapOptions(n_permutations=20)}
    for name, jobs in (("one", 1), ("two", place)):
        analyze_recordings(tmp_path / "eeg", WORDS, tmp_path / name, models, jobs=jobs, **how)
    same_files(tmp_path / "one", tmp_path / "two")
    for name in ("overlap.json", "sub-02-ave.fif"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_electrodes_of_maps(place, tmp_path):
    words = WORDS[WORDS["is_critical"]]
    (tmp_path / "epochs").mkdir()
    for name, epochs in simulate_epochs(words, n_subjects=4, seed=3, sfreq=20).epochs.items():
        epochs.pick(["Fz", "Cz", "Pz"]).save(tmp_path / "epochs" / f"sub-{name}_epo.fif", verbose="error")
    formula = "surprisal_bits + (1 | subject) + (1 | item)"
    for name, jobs in (("one", 1), ("two", place)):
        map_epochs(tmp_path / "epochs", words, tmp_path / name, formula=formula, n_draws=19, jobs=jobs)
    same_files(tmp_path / "one", tmp_path / "two")


@pytest.fixture(scope="module")
def study(checkpoint, tmp_path_factory):
    """Stimuli, trials, an analysis with an interaction, and settings of layers; a command each on them."""
    folder = tmp_path_factory.mktemp("parts")
    animals = ("sailor", "baker", "children", "crowd", "owner", "painter")
    sentences = [f"The old {animals[k % 6]} told the {animals[k % 5]} a story." for k in range(24)]
    stimuli = pd.DataFrame({"item": np.arange(24) // 2, "condition": list("ab") * 12, "sentence": sentences})
    stimuli.assign(critical_index=5).to_csv(folder / "stimuli.csv", index=False)
    trials = pd.concat([stimuli[["item", "condition"]].assign(subject=f"p{number}") for number in range(8)])
    trials["n400_uv"] = np.random.default_rng(0).normal(0, 5, len(trials))
    trials.to_csv(folder / "trials.csv", index=False)
    random = "(1|subject) + (1|item)"
    (folder / "analysis.toml").write_text(
        f"title = 't'\n[[model]]\nname = 'N400'\nformula = 'n400_uv ~ surprisal_bits + {random}'\n"
        f"directions = {{ surprisal_bits = 'negative' }}\n"
        "[synergy]\nresponse = 'n400_uv'\npredictors = ['surprisal_bits', 'entropy_bits']\n"
        f"random = '{random}'\nbootstrap = 6\n"
    )
    (folder / "depth.toml").write_text(
        "measures = ['lens_surprisal_bits']\nreplicates = 19\nfolds = 2\n"
        "[directions.n400_uv]\nlens_surprisal_bits = 'negative'\n"
    )
    files = ("run", folder / "stimuli.csv", "--trials", folder / "trials.csv", "--index-base", 0)
    run = (
        *files,
        "--analysis",
        folder / "analysis.toml",
        "--model",
        checkpoint,
        "--threads",
        1,
        "--layers",
        "all",
    )
    return run, ("--settings", folder / "depth.toml")


def test_replicates_and_layers_of_a_study(study, cluster, tmp_path, capsys):
    run, settings = study
    for name, where in (("one", ("--jobs", 1)), ("two", ("--scheduler", cluster.scheduler_address))):
        done = clada(capsys, *run, "--influence", *where, "--out", tmp_path / name)
        assert done.code == 0, done.err
        done = clada(capsys, "depth", tmp_path / name, *settings, *where)
        assert done.code == 0, done.err
    same_files(tmp_path / "one", tmp_path / "two")
    for name in ("fits.json", "synergy.json", "depth.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert artifacts.read_json(tmp_path / "two" / "synergy.json")["intervals"]["parametric"]["n"] == 6


@pytest.fixture
def workers(cluster):
    """Workers that find the functions of this folder."""
    with placed(cluster.scheduler_address) as found:
        folder = str(Path(__file__).parent)
        found.client.run(lambda: __import__("sys").path.insert(0, folder))
        yield found


def test_what_fails_each_time_is_named_and_the_rest_is_there(workers, tmp_path):
    assert list(workers.each(raise_on_three, {})) == []
    found = {}

    def collect():
        for key, value in workers.each(raise_on_three, {k: k for k in range(6)}):
            found[key] = value

    with pytest.raises(IncompleteError, match=r"1 of 6 parts .* such as 3: ValueError: three is broken"):
        collect()
    assert found == {k: k for k in (0, 1, 2, 4, 5)}
    with pytest.raises(IncompleteError, match="such as once: OSError: disk full"):
        list(workers.each(count_attempts, {"once": str(tmp_path)}))
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(StimulusError, match="row 7 is wrong"):
        list(workers.each(complain, {"a": 7}))


def test_a_worker_killed_in_mid_work_costs_nothing(workers):
    parts, found = {number: number / 100 for number in range(40)}, {}
    for key, value in workers.each(p_text, parts):
        found[key] = value
        if len(found) == 2:
            os.kill(next(iter(workers.client.run(os.getpid).values())), signal.SIGKILL)
    assert found == {number: p_text(p) for number, p in parts.items()}


def test_workers_of_another_version_are_refused(workers, monkeypatch):
    monkeypatch.setattr(module, "_software", lambda name: {"numpy": "2.0"})
    monkeypatch.setattr(module, "made_with", lambda name: {"numpy": "1.0"})
    with pytest.raises(DataError, match=r"the workers have numpy 2\.0, this process has 1\.0"):
        list(workers.each(raise_on_three, {0: 0}))


def test_a_connection_within_another_is_the_same(cluster):
    with connected(cluster.scheduler_address) as outer, connected(cluster.scheduler_address) as inner:
        assert inner is outer
    with connected(cluster.scheduler_address) as later:
        assert later is not outer
