"""A BIDS folder written by mne-bids and read as epochs with metadata."""

import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from clada_neuro.erp.bids import read_bids_epochs, read_events
from clada_neuro.errors import AlignmentError, DataError

ONSETS = [1.0, 3.0, 5.0, 7.0]


CHANNELS = ["Cz", "Pz", "C3", "C4"]
HEADER = """Brain Vision Data Exchange Header File Version 1.0
[Common Infos]
DataFile={stem}_eeg.eeg
MarkerFile={stem}_eeg.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels=4
SamplingInterval=5000
[Binary Infos]
BinaryFormat=IEEE_FLOAT_32
[Channel Infos]
{channels}
"""
MARKERS = """Brain Vision Data Exchange Marker File, Version 1.0
[Common Infos]
DataFile={stem}_eeg.eeg
[Marker Infos]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two subjects, four words each, 10 s at 200 Hz; the EEG steps to 20 µV 0.3–0.5 s after each onset."""
    pytest.importorskip("mne_bids")
    root = tmp_path_factory.mktemp("bids")
    (root / "dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.9.0"}')
    times = np.arange(2000) / 200
    step = 20.0 * np.any([(times >= onset + 0.3) & (times <= onset + 0.5) for onset in ONSETS], axis=0)
    for subject in ("01", "02"):
        stem = f"sub-{subject}_task-read"
        place = root / f"sub-{subject}" / "eeg"
        place.mkdir(parents=True)
        noise = np.random.default_rng(0).normal(0, 1, (2000, 4))
        (noise + step[:, None]).astype("<f4").tofile(place / f"{stem}_eeg.eeg")
        channels = "\n".join(f"Ch{number + 1}={name},,1,µV" for number, name in enumerate(CHANNELS))
        (place / f"{stem}_eeg.vhdr").write_text(HEADER.format(stem=stem, channels=channels))
        (place / f"{stem}_eeg.vmrk").write_text(MARKERS.format(stem=stem))
        (place / f"{stem}_events.tsv").write_text(
            "onset\tduration\ttrial_type\titem\tword\n1.0\t0\tword\t1\tNone\n3.0\t0\tword\t2\tdog\n"
            "4.0\t0\tbutton\tn/a\tn/a\n5.0\t0\tword\t3\tnull\n7.0\t0\tword\t4\tn/a\n"
        )
    return root


def test_rows_of_the_events_file_become_metadata(folder):
    epochs = read_bids_epochs(folder, task="read", event="word")
    assert list(epochs) == ["01", "02"]
    metadata = epochs["01"].metadata
    assert metadata["word"].tolist()[:3] == ["None", "dog", "null"]
    assert metadata["word"].isna().tolist() == [False, False, False, True]
    assert metadata["item"].tolist() == [1, 2, 3, 4]


def test_epochs_start_at_the_onsets(folder):
    epochs = read_bids_epochs(folder, task="read", event="word", subjects=["02"])["02"]
    inside = epochs.copy().crop(0.3, 0.5).get_data().mean() * 1e6
    outside = epochs.copy().crop(0.0, 0.29).get_data().mean() * 1e6
    assert inside == pytest.approx(20, abs=0.5)
    assert outside == pytest.approx(0, abs=0.5)


def test_rejection_stands_in_the_drop_log(folder):
    epochs = read_bids_epochs(folder, task="read", event="word", subjects=["01"], reject_uv=10)["01"]
    assert len(epochs) == 0
    assert set(epochs.drop_log) == {tuple(CHANNELS)}


def test_unknown_tasks_and_events_name_the_known_ones(folder):
    with pytest.raises(DataError, match="no EEG recording of task 'reading'; known tasks: read"):
        read_bids_epochs(folder, task="reading", event="word")
    with pytest.raises(DataError, match="has no event 'noun'; its trial types: button, word"):
        read_bids_epochs(folder, task="read", event="noun")


def test_events_after_the_end_of_the_recording_are_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    file = copy / "sub-01" / "eeg" / "sub-01_task-read_events.tsv"
    table = pd.read_csv(file, sep="\t", keep_default_na=False)
    table.loc[3, "onset"] = 99.0
    table.to_csv(file, sep="\t", index=False)
    with pytest.raises(
        AlignmentError, match=r"row 5: an event at 99 s, but the recording goes from 0 to 9\.995 s"
    ):
        read_bids_epochs(copy, task="read", event="word", subjects=["01"])


def changed(folder, tmp_path, **cells):
    """Copy the folder with cells of the first subject's events changed: column to row and value."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    file = copy / "sub-01" / "eeg" / "sub-01_task-read_events.tsv"
    table = pd.read_csv(file, sep="\t", keep_default_na=False, dtype=str)
    for column, (row, value) in cells.items():
        table.loc[row, column] = value
    table.to_csv(file, sep="\t", index=False)
    return copy


@pytest.mark.parametrize(
    ("onset", "line"),
    [
        ((1, "n/a"), "row 3: an event without an onset"),
        ((1, "soon"), "row 3: onset 'soon' given, seconds expected"),
        ((0, "-0.5"), r"row 2: an event at -0\.5 s, but the recording goes from 0 to 9\.995 s"),
        ((1, "1.001"), r"row 3: a second event 'word' at 1\.001 s"),
    ],
)
def test_onsets_that_cannot_be_are_named_with_their_row(folder, tmp_path, onset, line):
    with pytest.raises((AlignmentError, DataError), match=line):
        read_bids_epochs(changed(folder, tmp_path, onset=onset), task="read", event="word", subjects=["01"])


def test_numbers_serve_as_trial_types(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    file = copy / "sub-01" / "eeg" / "sub-01_task-read_events.tsv"
    file.write_text(file.read_text().replace("\tword\t", "\t5\t").replace("\tbutton\t", "\t9\t"))
    assert len(read_bids_epochs(copy, task="read", event="5", subjects=["01"])["01"]) == 4


def rename(folder, **stems):
    """Give files of the first subject other names, inside headers, too."""
    place = folder / "sub-01" / "eeg"
    old = "sub-01_task-read"
    for extra in stems.values():
        for file in list(place.glob(f"{old}_e*")):
            new = place / file.name.replace(old, extra)
            shutil.copy(file, new)
            if new.suffix in (".vhdr", ".vmrk"):
                new.write_text(new.read_text().replace(old, extra))
    for file in place.glob(f"{old}_e*"):
        file.unlink()
    return place


def test_runs_are_joined_by_channel_name_and_say_which_they_are(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    place = rename(copy, one="sub-01_task-read_run-1", two="sub-01_task-read_run-2")
    header = place / "sub-01_task-read_run-2_eeg.vhdr"
    text = header.read_text()
    header.write_text(text.replace("Ch1=Cz", "Ch1=x").replace("Ch4=C4", "Ch4=Cz").replace("Ch1=x", "Ch1=C4"))
    epochs = read_bids_epochs(copy, task="read", event="word", subjects=["01"])["01"]
    assert epochs.metadata["run"].tolist() == ["1"] * 4 + ["2"] * 4
    first, second = epochs.get_data(picks=["Cz"])[:4], epochs.get_data(picks=["C4"])[4:]
    np.testing.assert_array_equal(first, second)
    header.write_text(text.replace("Ch1=Cz", "Ch1=Fz"))
    with pytest.raises(DataError, match="subject '01': runs 1 and 2 differ in channel Cz, Fz"):
        read_bids_epochs(copy, task="read", event="word", subjects=["01"])


def test_two_versions_of_one_recording_are_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    rename(copy, one="sub-01_task-read_acq-high", two="sub-01_task-read_acq-low")
    with pytest.raises(
        DataError, match=r"acq-high_eeg\.vhdr' and 'sub-01_task-read_acq-low.* the same session and run"
    ):
        read_bids_epochs(copy, task="read", event="word", subjects=["01"])


def test_a_missing_folder_or_events_file_is_named(tmp_path):
    pytest.importorskip("mne_bids")
    with pytest.raises(DataError, match="does not exist"):
        read_bids_epochs(tmp_path / "nowhere", task="read", event="word")
    with pytest.raises(DataError, match="needs its events file"):
        read_events(tmp_path / "sub-01_task-read_events.tsv")


def test_an_events_file_without_trial_types_is_refused(tmp_path):
    file = tmp_path / "x_events.tsv"
    file.write_text("onset\tduration\n1\t0\n")
    with pytest.raises(DataError, match="has no column 'trial_type'; it has onset, duration"):
        read_events(file)


def test_without_mne_bids_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mne_bids", None)
    with pytest.raises(DataError, match=r"pip install 'clada-neuro\[bids\]'"):
        read_bids_epochs(tmp_path, task="read", event="word")
