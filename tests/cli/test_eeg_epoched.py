"""Epochs as EEGLAB saves them, with codes and without words: tied by the same table as continuous recordings."""

import mne
import numpy as np
import pytest
import recording_files as files

from clada_neuro import artifacts
from clada_neuro.erp.sources import read_epochs
from clada_neuro.errors import DataError
from clada_neuro.study.recordings import eeg_of

OPTIONS = {"delay_ms": 0.0, "soa_ms": None, "task": None}


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "eeg").mkdir()
    for number in (1, 2):
        raw, onsets = files.reader(number)
        files.eeglab_epochs(tmp_path / "eeg" / f"sub-0{number}", raw.rename_channels({"Cz": "CZ"}), onsets)
    files.presented(trigger=files.CODES).iloc[:56].to_csv(tmp_path / "codes.csv", index=False)
    return tmp_path


def tied(desk, source, said, triggers="codes.csv"):
    table = desk / triggers if triggers else None
    return eeg_of(source, desk / "epochs", triggers=table, progress=said.append, **OPTIONS)


def test_every_epoch_finds_its_word(desk):
    said: list[str] = []
    continuous, place = tied(desk, desk / "eeg", said)
    assert continuous is None
    assert said == ["all 2 recordings: electrodes by their standard names: CZ (Cz)",
                    "all 2 recordings: positions of 32 electrodes are a standard head's",
                    "subject '01': 56 tied to a word", "subject '02': 56 tied to a word"]  # fmt: skip
    epochs = read_epochs(place).epochs["02"]
    expected = files.presented().iloc[:56]
    assert epochs.metadata["word"].tolist() == expected["word"].tolist()
    raw, onsets = files.reader(2)
    at = round(onsets[7] * files.SFREQ)
    np.testing.assert_allclose(
        epochs.get_data("Pz")[7, 0], raw.get_data("Pz")[0, at - 15 : at + 50], atol=1e-10
    )
    said.clear()
    tied(desk, desk / "eeg", said)
    assert said == []  # they stand there


def test_an_epochs_own_event_is_the_one_at_zero(desk):
    """With the words before and after it in the same epoch, as EEGLAB cuts word-by-word reading."""
    raw, onsets = files.reader(1)
    files.eeglab_epochs(desk / "sub-01", raw, onsets, neighbours=True)
    said: list[str] = []
    _, place = tied(desk, desk / "sub-01.set", said)
    assert said[-1] == "subject '01': 56 tied to a word"
    found = read_epochs(place).epochs["01"].metadata["word"].tolist()
    assert found == files.presented()["word"].iloc[:56].tolist()


def test_epochs_whose_codes_have_no_word_are_counted_and_left_out(desk):
    table = files.presented(trigger=files.CODES).iloc[:56]
    table.loc[table["trigger"] != 6].to_csv(desk / "some.csv", index=False)
    said: list[str] = []
    _, place = tied(desk, desk / "eeg" / "sub-01.set", said, "some.csv")
    assert said[-1] == "subject '01': 47 tied to a word, 9 events without a word (6 (9))"
    assert len(read_epochs(place).epochs["01"]) == 47
    assert artifacts.read_json(place / "tied.json")["subjects"]["01"][0]["n"] == 47


def test_what_does_not_fit_is_one_line(desk):
    with pytest.raises(
        DataError, match="holds epochs without words; declare the words of their codes: --triggers TABLE"
    ):
        tied(desk, desk / "eeg", [], None)
    files.presented(onset=1.0).to_csv(desk / "onsets.csv", index=False)
    with pytest.raises(DataError, match=r"no column 'trigger' \(codes\), by which epochs find theirs"):
        tied(desk, desk / "eeg", [], "onsets.csv")
    with pytest.raises(DataError, match="--delay and --task are for continuous"):
        eeg_of(desk / "eeg", desk / "epochs", triggers=None, progress=print, **{**OPTIONS, "delay_ms": 10.0})
    (desk / "fif").mkdir()
    _, place = tied(desk, desk / "eeg" / "sub-01.set", [])
    epochs = mne.read_epochs(place / "sub-01_epo.fif", verbose="error")
    epochs.save(desk / "fif" / "sub-01_epo.fif", verbose="error")
    with pytest.raises(
        DataError, match=r"the metadata of 'sub-01_epo.fif' name its words; leave --triggers out"
    ):
        tied(desk, desk / "fif", [])
