"""Epochs cut from continuous recordings: the right samples with the right words, once."""

import mne
import numpy as np
import pandas as pd
import pytest

from clada_neuro import artifacts
from clada_neuro.erp.cut import cut_epochs
from clada_neuro.erp.raw_sources import is_epoched
from clada_neuro.erp.sources import read_epochs
from clada_neuro.errors import AlignmentError, DataError
from clada_neuro.study.recordings import recordings_of
from clada_neuro.study.run import run

TABLE = pd.DataFrame(
    {"trigger": [1, 2, 2, 1, 2, 2], "item": list("aaabbb"), "word_index": [0, 1, 2, 0, 1, 2]}
)


@pytest.fixture
def folder(tmp_path):
    """Two subjects, 20 s at 100 Hz; one has a bad span around its third word."""
    place = tmp_path / "eeg"
    place.mkdir()
    info = mne.create_info(["Cz", "Pz"], 100.0, "eeg")
    for number in (1, 2):
        raw = mne.io.RawArray(np.random.default_rng(number).normal(0, 1e-5, (2, 2000)), info, verbose="error")
        marks = mne.Annotations(1.0 + 2.0 * np.arange(6), 0.0, [f"S  {code}" for code in TABLE["trigger"]])
        raw.set_annotations(marks + mne.Annotations(5.1, 0.2, "BAD_blink") if number == 2 else marks)
        raw.save(place / f"sub-{number}_raw.fif", verbose="error")
    return place


def test_epochs_are_the_samples_around_each_word(folder, tmp_path):
    said = []
    place = cut_epochs(folder, tmp_path / "out", table=TABLE, delay=0.05, progress=said.append)
    epochs = read_epochs(place).epochs
    assert {subject: len(part) for subject, part in epochs.items()} == {"1": 6, "2": 5}
    raw = mne.io.read_raw_fif(folder / "sub-1_raw.fif", verbose="error")
    np.testing.assert_allclose(
        epochs["1"].get_data()[3], raw.get_data(start=705 - 20, stop=705 + 101), atol=1e-12
    )
    assert epochs["2"].metadata[["item", "word_index"]].to_numpy().tolist() == [
        ["a", 0],
        ["a", 1],
        ["b", 0],
        ["b", 1],
        ["b", 2],
    ]
    assert epochs["1"].baseline is None
    kept = {
        subject: list(part.annotations.description) if part.annotations else []
        for subject, part in epochs.items()
    }
    assert kept == {"1": [], "2": ["BAD_blink"]}  # the words are metadata
    assert said[0] == "subject '1': 6 tied to a word"
    assert artifacts.read_json(place / "cut.json")["subjects"]["2"][0]["n"] == 6


def test_the_same_recordings_are_cut_once(folder, tmp_path):
    def stamps(table):
        place = cut_epochs(folder, tmp_path / "out", table=table)
        return [path.stat().st_mtime_ns for path in sorted(place.glob("*_epo.fif"))]

    first = stamps(TABLE)
    assert stamps(TABLE) == first
    assert stamps(TABLE.assign(item=list("aaaccc"))) != first
    assert read_epochs(tmp_path / "out").epochs["1"].metadata["item"].tolist() == list("aaaccc")


def test_epochs_are_taken_as_they_are(folder, tmp_path):
    place = cut_epochs(folder, tmp_path / "out", table=TABLE)
    assert is_epoched(place)
    assert not is_epoched(folder)
    options = {"triggers": None, "delay_ms": 0.0, "soa_ms": None, "task": None}
    assert recordings_of(place, **options) is None
    with pytest.raises(DataError, match="holds epochs; --delay and --task are for continuous recordings"):
        recordings_of(place, **{**options, "delay_ms": 10.0})


def test_what_cannot_be_cut_is_one_line(folder, tmp_path):
    with pytest.raises(AlignmentError, match="differ from the stated 500 ms"):
        cut_epochs(folder, tmp_path / "out", table=TABLE, soa=0.5)
    twice = pd.DataFrame({"onset": [1.0, 1.001], "item": ["a", "b"]})
    with pytest.raises(AlignmentError, match=r"two words at 1.001 s; one epoch can have one word only"):
        cut_epochs(folder, tmp_path / "out", table=twice)
    with pytest.raises(DataError, match=r"'none.fif' does not exist"):
        run("stimuli.csv", eeg="none.fif")
    with pytest.raises(DataError, match="leave --trials and --epochs out"):
        run("stimuli.csv", eeg="none.fif", trials="trials.csv")
    with pytest.raises(DataError, match="are for continuous recordings; add --eeg"):
        run("stimuli.csv", trials="trials.csv", triggers="table.csv")


@pytest.mark.slow
def test_a_bids_folder_goes_all_the_way_to_the_report(tmp_path):
    """BrainVision files of five readers; events name the words. Then the same with overlap taken apart before."""
    pytest.importorskip("mne_bids")
    from click.testing import CliRunner

    from clada_neuro.cli.main import cli
    from clada_neuro.erp.simulate_raw import simulate_reading
    from clada_neuro.instrument.trace import trace
    from clada_neuro.stimuli.formats import read_stimuli

    stimuli = read_stimuli(artifacts.package_data("stimuli", "n400_demo.csv")).head(45)
    stimuli.drop(columns="stimulus_id").to_csv(tmp_path / "stimuli.csv", index=False)
    words = trace(stimuli, progress=False).words.dropna(subset=["surprisal_bits"])
    root = tmp_path / "bids"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.9.0"}')
    for number in range(1, 6):
        made = simulate_reading(words, pause=1.0, seed=number)
        write_bids(root, f"0{number}", made.raw, made.events)
    formula = "surprisal_bits + (1 | subject) + (1 | item) + (1 | stimulus)"
    options = {"formula": f"n400_uv ~ n400_baseline_uv + {formula}", "out": tmp_path / "out"}
    report = run(tmp_path / "stimuli.csv", eeg=root, **options)
    manifest = artifacts.read_json(tmp_path / "out" / "manifest.json")
    assert manifest["joins"][0]["rows_before"] == 5 * len(words)
    assert (
        artifacts.read_json(tmp_path / "out" / "fits.json")[0]["coefficients"]["surprisal_bits"]["estimate"]
        < 0
    )
    assert "Overlapping responses" in report.read_text(encoding="utf-8")
    assert len(artifacts.read_json(tmp_path / "out" / "overlap" / "overlap.json")["subjects"]) == 5
    arguments = [
        "overlap",
        str(tmp_path / "out" / "words.parquet"),
        "--eeg",
        str(root),
        "--out",
        str(tmp_path / "apart"),
    ]
    done = CliRunner().invoke(cli, [*arguments, "--epochs", "--permutations", "32"], catch_exceptions=False)
    assert done.exit_code == 0
    options = {"formula": f"n400_uv ~ {formula}", "baseline": "none", "out": tmp_path / "again"}
    run(tmp_path / "stimuli.csv", epochs=tmp_path / "apart", **options)
    assert (
        artifacts.read_json(tmp_path / "again" / "fits.json")[0]["coefficients"]["surprisal_bits"]["estimate"]
        < 0
    )


def write_bids(root, subject: str, raw: mne.io.BaseRaw, events: pd.DataFrame) -> None:
    place = root / f"sub-{subject}" / "eeg"
    place.mkdir(parents=True)
    stem = f"sub-{subject}_task-read"
    channels = "\n".join(f"Ch{number}={name},,1,µV" for number, name in enumerate(raw.ch_names, start=1))
    (place / f"{stem}_eeg.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\n"
        f"DataFile={stem}_eeg.eeg\nMarkerFile={stem}_eeg.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={len(raw.ch_names)}\nSamplingInterval={round(1e6 / raw.info['sfreq'])}\n[Binary Infos]\n"
        f"BinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\n{channels}\n",
        encoding="utf-8",
    )
    (place / f"{stem}_eeg.vmrk").write_text(
        f"Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nDataFile={stem}_eeg.eeg\n[Marker Infos]\n"
    )
    (1e6 * raw.get_data().T).astype("<f4").tofile(place / f"{stem}_eeg.eeg")
    columns = ["item", "condition", "word_index", "word"]
    table = events[["onset", *columns]].assign(duration=0, trial_type="word")
    table.to_csv(place / f"{stem}_events.tsv", sep="\t", index=False)


@pytest.mark.slow
def test_the_demonstration_with_continuous_eeg(tmp_path):
    """Twelve simulated readers as a BIDS folder, read back by mne-bids: the planted responses are found, both ways."""
    pytest.importorskip("mne_bids")
    report = run("demo", eeg="simulated", out=tmp_path)
    fits = {
        fit["name"]: fit["coefficients"]["surprisal_bits"]
        for fit in artifacts.read_json(tmp_path / "fits.json")
    }
    assert fits["N400: surprisal"]["t"] < -4
    assert fits["P600: surprisal"]["t"] > 4
    waveforms = artifacts.read_table(tmp_path / "overlap" / "waveforms.parquet")
    slope = waveforms[(waveforms["predictor"] != "intercept") & (waveforms["channel"] == "CPz")]
    window = slope[slope["time_ms"].between(350, 450)].groupby("subject")["estimate_uv"].mean()
    assert len(window) == 12
    assert window.mean() < -3 * window.sem()
    assert "SIMULATED" in report.read_text(encoding="utf-8").upper()
