"""Recordings as labs have them, written as amplifiers write them and read back; names of channels made electrodes."""

import mne
import numpy as np
import pytest
from scipy.io import savemat

from clada_neuro.erp.caps import described_channels
from clada_neuro.erp.channels import has_position
from clada_neuro.erp.raw_sources import read_recordings, sessions_in_words
from clada_neuro.errors import DataError

DATA = np.random.default_rng(0).normal(0, 1e-5, (3, 500))


def recording(names=("Cz", "Pz", "HEOG"), sfreq=100.0) -> mne.io.RawArray:
    rows = np.random.default_rng(0).normal(0, 1e-5, (len(names), 500))
    return mne.io.RawArray(rows, mne.create_info(list(names), sfreq, "eeg"), verbose="error")


def write_fif(path, sfreq=100.0):
    recording(sfreq=sfreq).save(path, verbose="error")


def write_brainvision(path):
    header = (
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile={0}.eeg\nMarkerFile={0}.vmrk\n"
        "DataFormat=BINARY\nDataOrientation=MULTIPLEXED\nNumberOfChannels=3\nSamplingInterval=10000\n[Binary Infos]\n"
        "BinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\nCh1=Cz,,1,µV\nCh2=Pz,,1,µV\nCh3=HEOG,,1,µV\n"
    )
    path.write_text(header.format(path.stem), encoding="utf-8")
    path.with_suffix(".vmrk").write_text(
        f"Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nDataFile={path.stem}.eeg\n[Marker Infos]\n"
        "Mk1=New Segment,,1,1,0\nMk2=Stimulus,S  7,101,1,0\n"
    )
    (1e6 * DATA.T).astype("<f4").tofile(path.with_suffix(".eeg"))


def write_edf(path):
    """EDF by its own specification (Kemp et al., 1992): 5 records of 1 s, 16-bit, ±200 µV."""

    def field(values, width):
        return "".join(str(value).ljust(width) for value in values).encode("ascii")

    n = 3
    head = (
        field(["0"], 8)
        + field(["X X X X", "Startdate X X X X"], 80)
        + field(["01.01.20", "00.00.00", 256 * (n + 1)], 8)
    )
    head += field([""], 44) + field([5, 1], 8) + field([n], 4)
    head += (
        field(["Cz", "Pz", "HEOG"], 16) + field([""] * n, 80) + field(["uV"] * n, 8) + field([-200] * n, 8)
    )
    head += (
        field([200] * n, 8)
        + field([-32768] * n, 8)
        + field([32767] * n, 8)
        + field([""] * n, 80)
        + field([100] * n, 8)
    )
    head += field([""] * n, 32)
    digital = np.round((1e6 * DATA + 200) / 400 * 65535 - 32768).astype("<i2").reshape(n, 5, 100)
    path.write_bytes(head + digital.transpose(1, 0, 2).tobytes())


def write_eeglab(path):
    names = np.array(["Cz", "Pz", "HEOG"], dtype=object)
    places = np.zeros(3, dtype=[("labels", object)])
    places["labels"] = names
    eeg = {
        "setname": "x", "nbchan": 3, "trials": 1, "pnts": 500, "srate": 100.0, "xmin": 0.0, "xmax": 4.99, "data": 1e6 * DATA,
        "chanlocs": places, "event": np.array([]), "icawinv": np.array([]), "icasphere": np.array([]), "icaweights": np.array([]),
    }  # fmt: skip
    savemat(path, {"EEG": eeg}, appendmat=False)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("S1_raw.fif", write_fif),
        ("S1.vhdr", write_brainvision),
        ("S1.edf", write_edf),
        ("S1.set", write_eeglab),
    ],
    ids=["FIF", "BrainVision", "EDF", "EEGLAB"],
)
def test_files_of_every_kind_hold_the_same_recording(tmp_path, name, write):
    write(tmp_path / name)
    ((subject, (session,)),) = read_recordings(tmp_path / name).items()
    assert subject == "S1"
    np.testing.assert_allclose(session.raw.get_data()[:2], recording().get_data()[:2], atol=4e-9)
    assert session.raw.get_channel_types() == ["eeg", "eeg", "eog"]
    assert has_position(session.raw.info["chs"][0])
    assert any("HEOG (eog)" in note for note in session.notes)


def test_a_folder_holds_subjects_and_their_sessions(tmp_path):
    for name in ("sub-02_ses-1_raw.fif", "sub-01_ses-2_raw.fif", "sub-01_ses-1_raw.fif"):
        write_fif(tmp_path / name)
    found = read_recordings(tmp_path)
    assert {subject: [one.name for one in many] for subject, many in found.items()} == {
        "01": ["sub-01_ses-1_raw.fif", "sub-01_ses-2_raw.fif"], "02": ["sub-02_ses-1_raw.fif"],
    }  # fmt: skip


def test_files_of_one_name_are_their_folders_subjects(tmp_path):
    """A folder a subject, with sessions or without; numbers in names are numbers."""
    for place in ("P01/ses1/eeg_raw.fif", "P01/ses2/eeg_raw.fif", "P02/ses1/eeg_raw.fif", "P02/raw.fif"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        write_fif(tmp_path / place)
    assert {who: len(many) for who, many in read_recordings(tmp_path).items()} == {"P01": 2, "P02": 2}
    for number in (1, 2, 10):
        write_fif(tmp_path / f"sub-1_run-{number}_raw.fif")
    found = read_recordings(tmp_path)
    assert [one.name for one in found["1"]] == [f"sub-1_run-{n}_raw.fif" for n in (1, 2, 10)]
    assert sessions_in_words(found)[-1] == (
        "subject '1' has 3 recordings, in this order: sub-1_run-1_raw.fif, sub-1_run-2_raw.fif, sub-1_run-10_raw.fif"
    )


def write_all(folder, places):
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        write_fif(folder / place)


@pytest.mark.parametrize(
    ("places", "people"),
    [
        (("P01/ses1/eeg_raw.fif", "P01/ses2/eeg_raw.fif"), {"P01": 2}),
        (("day1/P01_raw.fif", "day2/P01_raw.fif"), {"P01": 2}),
        (
            ("day1/P01_raw.fif", "day1/P02_raw.fif", "day2/P01_raw.fif", "day2/P02_raw.fif"),
            {"P01": 2, "P02": 2},
        ),
        (
            ("day1/P01/raw.fif", "day1/P02/raw.fif", "day2/P01/raw.fif", "day2/P02/raw.fif"),
            {"P01": 2, "P02": 2},
        ),
        (("P01/ses-a/raw.fif",), {"P01": 1}),
        (("lab/P01_eeg_raw.fif", "lab/P02_eeg_raw.fif"), {"P01": 1, "P02": 1}),
    ],
)
def test_folders_of_sessions_are_nobody(tmp_path, places, people):
    write_all(tmp_path, places)
    assert {who: len(many) for who, many in read_recordings(tmp_path).items()} == people


@pytest.mark.parametrize(
    "places",
    [
        ("pre/P01_raw.fif", "pre/P02_raw.fif", "post/P01_raw.fif", "post/P02_raw.fif"),
        ("P01/rest_raw.fif", "P01/read_raw.fif", "P02/rest_raw.fif", "P02/read_raw.fif"),
        ("pre/P01/raw.fif", "pre/P02/raw.fif", "post/P01/raw.fif", "post/P02/raw.fif"),
    ],
)
def test_folders_and_names_that_may_both_be_people_are_asked_for(tmp_path, places):
    """Nothing says which of the two are people: taking the wrong ones would make one person of two."""
    write_all(tmp_path, places)
    with pytest.raises(DataError, match=r"whose recordings are in '.*either may be people; write sub-…"):
        read_recordings(tmp_path)


def test_recordings_of_one_name_are_called_by_their_folders(tmp_path):
    write_all(tmp_path, ("P01/ses1/eeg_raw.fif", "P01/ses2/eeg_raw.fif"))
    found = read_recordings(tmp_path)
    assert sessions_in_words(found) == [
        "subject 'P01' has 2 recordings, in this order: P01/ses1/eeg_raw.fif, P01/ses2/eeg_raw.fif"
    ]


def test_numbers_that_are_no_decimals_are_names(tmp_path):
    write_all(tmp_path, ("²5_raw.fif", "5_raw.fif"))
    assert list(read_recordings(tmp_path)) == ["5", "²5"]


def test_sessions_of_a_subject_are_made_alike(tmp_path):
    """Bad in one, bad in all, and said; channels in the order of the first."""
    write_fif(tmp_path / "sub-1_ses-1_raw.fif")
    other = recording(("Pz", "Cz", "HEOG"))
    other.info["bads"] = ["Pz"]
    other.save(tmp_path / "sub-1_ses-2_raw.fif", verbose="error")
    (first, second) = read_recordings(tmp_path)["1"]
    assert first.raw.ch_names == second.raw.ch_names == ["Cz", "Pz", "HEOG"]
    assert first.raw.info["bads"] == second.raw.info["bads"] == ["Pz"]
    assert "bad in another recording of subject '1', and so here: Pz" in first.notes
    assert not any(note.startswith("bad in another") for note in second.notes)
    np.testing.assert_allclose(second.raw.get_data("Pz"), other.get_data("Pz"), atol=1e-9)


def test_a_bids_folder_brings_its_events(tmp_path):
    pytest.importorskip("mne_bids")
    (tmp_path / "dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.9.0"}')
    place = tmp_path / "sub-01" / "eeg"
    place.mkdir(parents=True)
    write_brainvision(place / "sub-01_task-read_eeg.vhdr")
    (place / "sub-01_task-read_events.tsv").write_text(
        "onset\tduration\ttrial_type\tword\n1.0\t0\tword\tNone\n"
    )
    ((subject, (session,)),) = read_recordings(tmp_path).items()
    assert subject == "01"
    assert session.events["word"].tolist() == ["None"]
    assert session.raw.n_times == 500


def test_a_bids_folder_of_several_tasks_asks_which(tmp_path):
    pytest.importorskip("mne_bids")
    (tmp_path / "dataset_description.json").write_text(
        '{"Name": "test", "BIDSVersion": "1.9.0"}', encoding="utf-8"
    )
    place = tmp_path / "sub-01" / "eeg"
    place.mkdir(parents=True)
    for task in ("read", "rest"):
        write_brainvision(place / f"sub-01_task-{task}_eeg.vhdr")
    with pytest.raises(DataError, match=r"holds the tasks read, rest; choose one: --task read"):
        read_recordings(tmp_path)
    assert list(read_recordings(tmp_path, "read")) == ["01"]


def test_what_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_recordings(tmp_path / "none.fif")
    with pytest.raises(DataError, match="holds no continuous recording"):
        read_recordings(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"'notes.txt' is no recording that is read here; known are .fif"):
        read_recordings(tmp_path / "notes.txt")
    (tmp_path / "damaged.vhdr").write_text("x")
    with pytest.raises(DataError, match=r"'damaged.vhdr' cannot be read as a continuous recording"):
        read_recordings(tmp_path / "damaged.vhdr")


def test_rates_that_differ_are_named(tmp_path):
    write_fif(tmp_path / "S1_raw.fif")
    write_fif(tmp_path / "S2_raw.fif", 200.0)
    with pytest.raises(
        DataError, match=r"subject 'S2', S2_raw.fif has 200 samples a second and subject 'S1', S1_raw.fif 100"
    ):
        read_recordings(tmp_path)


def test_biosemi_names_are_electrodes_of_the_cap():
    names = [*(f"A{n}" for n in range(1, 33)), *(f"B{n}" for n in range(1, 33)), "EXG1"]
    found, notes = described_channels(recording(names))
    assert found.ch_names[:3] == ["Fp1", "AF7", "AF3"]
    assert found.ch_names[47] == "Cz"
    assert found.get_channel_types()[-1] == "misc"
    assert "channels A1 to B32 are those of a BioSemi cap of 64" in notes
    big, _ = described_channels(recording([f"{bank}{n}" for bank in "ABCD" for n in range(1, 33)]))
    assert big.ch_names[0] == "A1"
    assert has_position(big.info["chs"][0])


def test_names_in_any_case_get_the_places_of_a_standard_head():
    found, notes = described_channels(recording(["CZ", "EEG Pz-REF", "t3", "Photo", "X9"]))
    places = [has_position(channel) for channel in found.info["chs"]]
    assert places == [True, True, True, False, False]
    assert "positions of 3 electrodes are a standard head's" in notes
    assert found.ch_names == ["Cz", "Pz", "T7", "Photo", "X9"]
    assert "electrodes by their standard names: CZ (Cz), EEG Pz-REF (Pz), t3 (T7)" in notes
    twice, _ = described_channels(recording(["Cz", "CZ", "Pz"]))
    assert twice.ch_names == ["Cz", "CZ", "Pz"]
    assert found.get_channel_types() == ["eeg", "eeg", "eeg", "misc", "eeg"]


def test_positions_of_the_recording_stay():
    raw = recording(["Cz", "Pz", "Oz"]).set_montage("colin27_1020")
    found, notes = described_channels(raw)
    np.testing.assert_array_equal(found.info["chs"][0]["loc"], raw.info["chs"][0]["loc"])
    assert notes == []
