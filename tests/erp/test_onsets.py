"""Words whose onsets stand in a table or in BIDS events: sessions told apart, and every row counted."""

import mne
import numpy as np
import pandas as pd
import pytest

from clada_neuro.erp.raw_sources import EegSession
from clada_neuro.erp.triggers import tie
from clada_neuro.errors import AlignmentError, DataError

TABLE = pd.DataFrame(
    {
        "onset": [3.0, 3.5, 4.0, 1.0, 1.5, 99.0],
        "stimulus_id": ["a", "a", "a", "b", "b", "b"],
        "word_index": [0, 1, 2, 0, 1, 2],
        "word": ["The", "dog", "ran.", "A", "cat", "sat."],
    }
)
EVENTS = pd.DataFrame(
    {
        "onset": [1.0, 2.0, 3.0],
        "trial_type": ["stim", "stim", "button"],
        "stimulus_id": ["a", "b", np.nan],
        "word_index": [0, 1, np.nan],
    }
)


def session(name="S1.vhdr", events=None) -> EegSession:
    """A recording of 20 s."""
    noise = np.random.default_rng(0).normal(0, 1e-5, (1, 2000))
    raw = mne.io.RawArray(noise, mne.create_info(["Cz"], 100.0, "eeg"), verbose="error")
    return EegSession(name, raw, events)


def counted(tied) -> dict[str, int]:
    return dict(zip(tied.account["outcome"], tied.account["n"], strict=True))


def test_onsets_need_no_triggers():
    tied = tie("S1", [session()], TABLE)
    assert tied.events[0]["word"].tolist() == ["A", "cat", "The", "dog", "ran."]
    assert counted(tied) == {"tied to a word": 5, "word without an event": 1}
    with pytest.raises(DataError, match="row 3 of the words: onset 'soon'"):
        tie("S1", [session()], TABLE.astype({"onset": object}).assign(onset=[3.0, "soon", 1, 2, 3, 4]))
    with pytest.raises(AlignmentError, match="none of 6 onsets"):
        tie("S1", [session()], TABLE.assign(onset=[3e3, 4e3, 5e3, 6e3, 7e3, 8e3]))
    with pytest.raises(DataError, match="2 recordings; name each word's in a column 'session'"):
        tie("S1", [session(), session("b")], TABLE)


@pytest.mark.parametrize(
    "names",
    [
        ("sub-1_ses-1_raw.fif", "sub-1_ses-2_raw.fif"),
        ("sub-1_ses-1", "sub-1_ses-2"),
        ("ses-1", "ses-2"),
        (1, 2),
    ],
)
def test_sessions_go_by_several_names(names):
    """Also where the recording of one of them is missing: its words have no event, and are not looked for in the other."""
    table = TABLE.assign(onset=[1.0, 2, 3, 1, 2, 3], session=np.repeat(names, 3))
    both = tie("1", [session("sub-1_ses-1_raw.fif"), session("sub-1_ses-2_raw.fif")], table)
    assert [part["word"].tolist() for part in both.events] == [["The", "dog", "ran."], ["A", "cat", "sat."]]
    one = tie("1", [session("sub-1_ses-2_raw.fif")], table)
    assert one.events[0]["word"].tolist() == ["A", "cat", "sat."]
    assert counted(one) == {"tied to a word": 3, "word without an event": 3}


def test_sessions_that_no_recording_has_are_one_line():
    table = TABLE.assign(onset=[1.0, 2, 3, 1, 2, 3], session=["x"] * 3 + ["y"] * 3)
    with pytest.raises(
        DataError, match=r"column 'session' of the words has x \(3\), y \(3\), and the recordings are S1.vhdr"
    ):
        tie("1", [session()], table)
    assert (
        counted(tie("1", [session()], table.assign(session="x")))["tied to a word"] == 6
    )  # there is only one


def test_an_empty_cell_makes_numbers_of_sessions_no_other_names():
    """pandas reads a column of whole numbers with a gap as 1.0, 2.0: still sessions 1 and 2; the row without one is counted."""
    table = TABLE.assign(onset=[1.0, 2, 3, 1, 2, 3], session=[1, 1, np.nan, 2, 2, 2])
    names = ("sub-1_ses-01_raw.fif", "sub-1_ses-02_raw.fif")
    tied = tie("1", [session(name) for name in names], table)
    assert [part["word"].tolist() for part in tied.events] == [["The", "dog"], ["A", "cat", "sat."]]
    assert counted(tied) == {"tied to a word": 5, "word without an event": 1}


def test_the_only_recording_takes_no_rows_of_another_session():
    table = TABLE.assign(onset=[1.0, 2, 3, 4, 5, 6], session="ses-1")
    with pytest.raises(
        DataError,
        match=r"column 'session' of the words has ses-1 \(6\), and the recordings are sub-1_ses-2.fif",
    ):
        tie("1", [session("sub-1_ses-2.fif")], table)
    assert counted(tie("1", [session("sub-1_ses-1.fif")], table))["tied to a word"] == 6


@pytest.mark.parametrize("said", [("ses1", "ses2"), (1, 2), ("P01/ses1/eeg_raw.fif", "P01/ses2/eeg_raw.fif")])
def test_sessions_may_be_folders(said):
    table = TABLE.assign(onset=[1.0, 2, 3, 1, 2, 3], session=np.repeat(said, 3))
    tied = tie("P01", [session(f"P01/ses{number}/eeg_raw.fif") for number in (1, 2)], table)
    assert [part["word"].tolist() for part in tied.events] == [["The", "dog", "ran."], ["A", "cat", "sat."]]


def test_subjects_may_be_written_as_in_bids():
    assert counted(tie("01", [session()], TABLE.assign(subject="sub-01")))["tied to a word"] == 5


def test_bids_rows_say_themselves_which_word_they_are():
    tied = tie("01", [session(events=EVENTS)])
    assert tied.events[0]["event"].tolist() == ["word", "word", "button"]
    assert counted(tied) == {"tied to a word": 2, "event without a word": 1, "word without an event": 0}
    with pytest.raises(DataError, match="no column that names a text or word"):
        tie("01", [session(events=EVENTS[["onset", "trial_type"]])])
    with pytest.raises(DataError, match="declare the words of its triggers"):
        tie("01", [session()])


def test_bids_columns_may_be_spelled_otherwise_and_trial_types_missing():
    events = EVENTS.rename(columns={"stimulus_id": "Stimulus ID", "word_index": "WordIndex"}).drop(
        columns="trial_type"
    )
    tied = tie("01", [session(events=events)])
    assert tied.events[0]["stimulus_id"].tolist()[:2] == ["a", "b"]
    assert tied.events[0]["event"].tolist() == ["word", "word", "n/a"]
    assert tied.notes == (
        "column 'Stimulus ID' of the events taken for stimulus_id",
        "column 'WordIndex' of the events taken for word_index",
    )


@pytest.mark.parametrize("onset", [np.nan, 99.0, -1.0])
def test_bids_words_outside_the_recording_have_no_event(onset):
    tied = tie("01", [session(events=EVENTS.assign(onset=[1.0, onset, 3.0]))])
    assert tied.events[0]["event"].tolist() == ["word", "button"]
    assert counted(tied) == {"tied to a word": 1, "event without a word": 1, "word without an event": 1}


@pytest.mark.parametrize("onset", [np.nan, 99.0, -1.0])
def test_other_events_outside_the_recording_are_counted_apart(onset):
    events = pd.concat([EVENTS, EVENTS.iloc[[2]].assign(onset=onset)], ignore_index=True)
    tied = tie("01", [session(events=events)])
    assert tied.events[0]["event"].tolist() == ["word", "word", "button"]
    assert tied.in_words() == (
        "2 tied to a word, 1 event without a word (button), 1 event outside the recording (button)"
    )


def test_a_part_of_a_bids_folder_is_told_its_root(tmp_path):
    (tmp_path / "dataset_description.json").write_text("{}", encoding="utf-8")
    file = tmp_path / "sub-01" / "eeg" / "sub-01_task-read_eeg.fif"
    file.parent.mkdir(parents=True)
    session().raw.save(file, verbose="error")
    one = EegSession(file.name, mne.io.read_raw_fif(file, verbose="error"))
    with pytest.raises(
        DataError, match=r"has no events file \('sub-01_task-read_events.tsv'\) beside it; add it, or declare"
    ):
        tie("01", [one])
    (file.parent / "sub-01_task-read_events.tsv").write_text("onset\n1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"lies in a BIDS folder; give its root, '.*', or declare the words"):
        tie("01", [one])
