"""From recordings on disk and a words table to overlap-corrected ERPs, by the command line."""

import shutil

import mne
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from clada_neuro import artifacts
from clada_neuro.cli.main import cli
from clada_neuro.erp.overlap import stage, subjects
from clada_neuro.erp.simulate_raw import simulate_reading
from clada_neuro.erp.sources import read_epochs
from clada_neuro.errors import CladaNeuroError

SURPRISAL = "center(surprisal_bits)"


def words(n_texts: int = 30, length: int = 8) -> pd.DataFrame:
    n = n_texts * length
    return pd.DataFrame(
        {
            "stimulus_id": [f"t{i // length}" for i in range(n)],
            "item": [f"i{i // length}" for i in range(n)],
            "word_index": np.arange(n) % length,
            "word": [f"w{i}" for i in range(n)],
            "is_critical": np.arange(n) % length == 5,
            "surprisal_bits": np.random.default_rng(8).gamma(3, 2, n),
        }
    )


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Four readers as FIF files whose triggers are annotations: 1 begins a text, 2 is any other word, 9 a button."""
    folder = tmp_path_factory.mktemp("overlap_command")
    table = words()
    artifacts.write_table(table, folder / "words.parquet")
    labels = table[["stimulus_id", "word_index", "word"]].assign(
        trigger=np.where(table["word_index"] == 0, 1, 2)
    )
    labels.to_csv(folder / "presented.csv", index=False)
    (folder / "eeg").mkdir()
    for number in range(1, 5):
        made = simulate_reading(table, seed=number, sfreq=50.0, noise_uv=6.0)
        codes = [f"Stimulus/S  {code}" for code in labels["trigger"]]
        onsets = [*made.events["onset"], 5.01, 15.01]
        made.raw.set_annotations(mne.Annotations(onsets, 0.0, [*codes, "Response/R  9", "Response/R  9"]))
        made.raw.save(folder / "eeg" / f"sub-0{number}_raw.fif", verbose="error")
    return folder


def call(desk, *arguments):
    return CliRunner().invoke(
        cli,
        [
            "overlap",
            str(desk / "words.parquet"),
            "--triggers",
            str(desk / "presented.csv"),
            *map(str, arguments),
        ],
    )


@pytest.fixture(scope="module")
def done(desk):
    return call(
        desk, "--eeg", desk / "eeg", "--out", desk / "out", "--span", "-100:1100", "--event", "R9", "--epochs",
        "--permutations", 32, "--tfce",
    )  # fmt: skip


def test_recordings_become_waveforms_events_and_clusters(desk, done):
    assert done.exit_code == 0, done.output
    waveforms = artifacts.read_table(desk / "out" / "waveforms.parquet")
    assert set(waveforms["subject"]) == {"01", "02", "03", "04"}
    assert set(waveforms["event"] + "/" + waveforms["predictor"]) == {
        "word/intercept",
        f"word/{SURPRISAL}",
        "R9/intercept",
    }
    events = artifacts.read_table(desk / "out" / "events.parquet")
    first = events[(events["subject"] == "01") & (events["stage"] == "events and words")]
    assert dict(zip(first["outcome"], first["n"], strict=True)) == {
        "tied to a word": 240, "event whose word is uncertain": 0, "event without a word": 2, "word without an event": 0,
    }  # fmt: skip
    clusters = artifacts.read_table(desk / "out" / "clusters.parquet")
    best = clusters[(clusters["predictor"] == f"word/{SURPRISAL}") & (clusters["sign"] == -1)].iloc[0]
    assert best["tmin_s"] < 0.4 < best["tmax_s"]
    enhanced = artifacts.read_table(desk / "out" / "tfce.parquet")
    assert {"predictor", "channel", "time_s", "t", "p"} == set(enhanced)
    over_stimuli = artifacts.read_table(desk / "out" / "by_item.parquet").set_index("where")
    assert set(over_stimuli.index) == {"n400_uv", "p600_uv"}  # of four subjects, no cluster can reach .05
    assert set(over_stimuli["n_items"]) == {30}
    facts = artifacts.read_json(desk / "out" / "overlap.json")
    assert facts["subjects"]["01"]["seconds"]["estimated from"] > 100
    by_item = facts["by_item"]["words"]
    assert (
        sum(by_item.values())
        == by_item["in the check"] + by_item["in part outside, or in spans left out"]
        == 4 * 240
    )
    assert f"by-item check of 960 words: {by_item['in the check']} in the check" in done.output
    stored = events[events["stage"] == "by-item check"].groupby("outcome")["n"].sum().to_dict()
    assert stored == by_item
    names = [one.comment for one in mne.read_evokeds(desk / "out" / "sub-01-ave.fif", verbose="error")]
    assert names == ["word/intercept", f"word/{SURPRISAL}", "R9/intercept"]


def test_the_epochs_are_read_by_run(desk, done):
    assert done.exit_code == 0
    read = read_epochs(desk / "out").epochs
    assert set(read) == {"01", "02", "03", "04"}
    assert {"stimulus_id", "word_index", "word"} <= set(read["01"].metadata)
    assert len(read["01"]) > 230


def test_finished_subjects_are_not_fitted_again(desk, done, tmp_path, monkeypatch):
    fitted = []
    real = subjects.estimated
    monkeypatch.setattr(subjects, "estimated", lambda who, *given: fitted.append(who) or real(who, *given))
    (tmp_path / "eeg").mkdir()
    for path in sorted((desk / "eeg").glob("*.fif"))[:2]:
        shutil.copy2(path, tmp_path / "eeg")
    arguments = ("--eeg", tmp_path / "eeg", "--out", tmp_path / "out", "--permutations", 32)
    assert call(desk, *arguments).exit_code == 0
    first = {
        name: (tmp_path / "out" / name).read_bytes() for name in ("waveforms.parquet", "clusters.parquet")
    }
    assert "nothing has changed since" in call(desk, *arguments).output
    (tmp_path / "out" / "overlap.json").unlink()  # as after an interrupt before the end
    again = call(desk, *arguments)
    assert fitted == ["subject '01'", "subject '02'"]
    assert "subject '01' (fitted before)" in again.output
    assert all((tmp_path / "out" / name).read_bytes() == content for name, content in first.items())
    call(desk, *arguments, "--formula", "1")  # another model is another fit
    assert len(fitted) == 4


def test_a_by_item_check_that_was_left_out_is_tried_again(desk, done, tmp_path, monkeypatch):
    """The fits are kept; what could not be done is no reason to call the folder finished."""
    (tmp_path / "eeg").mkdir()
    for path in sorted((desk / "eeg").glob("*.fif"))[:2]:
        shutil.copy2(path, tmp_path / "eeg")
    arguments = ("--eeg", tmp_path / "eeg", "--out", tmp_path / "out", "--permutations", 16)

    def refused(*given):
        raise CladaNeuroError("too few stimuli")

    refused.__module__ = stage.overlap_by_item.__module__
    with monkeypatch.context() as patch:
        patch.setattr(stage, "overlap_by_item", refused)
        first = call(desk, *arguments)
    assert first.exit_code == 0, first.output
    assert "by-item check left out: too few stimuli" in first.output
    facts = artifacts.read_json(tmp_path / "out" / "overlap.json")
    assert facts["by_item"]["left_out"] == "too few stimuli"
    assert not (tmp_path / "out" / "by_item.parquet").exists()
    again = call(desk, *arguments)
    assert "(fitted before)" in again.output
    assert "by-item check of 480 words" in again.output
    assert (tmp_path / "out" / "by_item.parquet").is_file()
    assert "nothing has changed" in call(desk, *arguments).output


def test_an_error_in_a_later_subject_leaves_the_finished_ones(desk, tmp_path):
    (tmp_path / "eeg").mkdir()
    for path in sorted((desk / "eeg").glob("*.fif"))[:2]:
        raw = mne.io.read_raw(path, preload=True, verbose="error")
        if "02" in path.name:
            raw._data[raw.ch_names.index("Cz")] = 0
        raw.save(tmp_path / "eeg" / path.name, verbose="error")
    found = call(desk, "--eeg", tmp_path / "eeg", "--out", tmp_path / "out")
    assert isinstance(found.exception, CladaNeuroError)
    assert "subject '02': channel Cz is flat" in str(found.exception)
    assert (tmp_path / "out" / "sub-01-ave.fif").is_file()
    assert not (tmp_path / "out" / "overlap.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--eeg", "none.fif"], "recording 'none.fif' does not exist"),
        (["--eeg", "eeg", "--soa", "600"], "intervals from word to word differ from the stated 600 ms"),
        (["--eeg", "eeg", "--formula", "1 + surprisal"], "no column 'surprisal'"),
        (["--eeg", "eeg", "--event", "8"], "no event is of type '8'"),
        (["--eeg", "eeg", "--span", "1000"], "two times in ms such as -100:1000 expected"),
    ],
)
def test_wrong_input_is_one_line(desk, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(desk)
    found = call(desk, *arguments, "--out", tmp_path / "out")
    said = str(found.exception) if isinstance(found.exception, CladaNeuroError) else found.output
    assert message in said
    assert found.exit_code != 0
