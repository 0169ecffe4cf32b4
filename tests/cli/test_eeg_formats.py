"""Recordings as laboratories have them, from the command line: every format and way of tying words gives the same waveforms."""

import mne
import numpy as np
import pandas as pd
import pytest
import recording_files as files
from click.testing import CliRunner

from clada_neuro import artifacts
from clada_neuro.cli.main import cli


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The words, their codes and onsets, and what two readers' FIF files give."""
    folder = tmp_path_factory.mktemp("eeg_formats")
    artifacts.write_table(files.words(), folder / "words.parquet")
    files.presented(trigger=files.CODES).to_csv(folder / "codes.csv", index=False)
    onsets = [files.presented(subject=f"0{k}", onset=files.reader(k)[1]) for k in (1, 2)]
    pd.concat(onsets).rename(columns={"onset": "Onset"}).to_csv(folder / "onsets.csv", index=False)
    return folder


def waveforms(desk, name: str, write, table: str | None, *options: object, change=lambda raw: raw):
    """What the command makes of two readers, and what it prints."""
    place = desk / name
    place.mkdir()
    for number in (1, 2):
        raw, onsets = files.reader(number)
        write(place / f"sub-0{number}", change(raw), onsets)
    return called(desk, name, place, table, *options)


def called(desk, name: str, eeg, table: str | None, *options: object):
    given = [
        "overlap",
        desk / "words.parquet",
        "--eeg",
        eeg,
        "--out",
        desk / f"{name}_out",
        "--permutations",
        16,
        *options,
    ]
    given += ["--triggers", desk / table] if table else []
    done = CliRunner().invoke(cli, list(map(str, given)))
    assert done.exit_code == 0, done.output
    columns = ["subject", "event", "predictor", "channel", "time_ms"]
    found = artifacts.read_table(desk / f"{name}_out" / "waveforms.parquet")
    return found.set_index(columns)["estimate_uv"].sort_index(), done.output


@pytest.fixture(scope="module")
def expected(desk):
    return waveforms(desk, "fif", files.fif, "codes.csv")[0]


@pytest.mark.parametrize(
    ("write", "table", "tolerance"),
    [
        (files.stim_channel, "codes.csv", 1e-6),
        (files.brainvision, "codes.csv", 1e-4),
        (files.eeglab, "codes.csv", 1e-4),
        (files.bdf, "codes.csv", 0.05),  # steps of 0.03 µV
        (files.edf, "onsets.csv", 0.02),
    ],
    ids=["trigger channel", "BrainVision", "EEGLAB", "BDF, BioSemi's names", "EDF and onsets"],
)
def test_every_format_gives_the_same_waveforms(desk, expected, write, table, tolerance):
    found, said = waveforms(desk, write.__name__, write, table)
    if write is files.bdf:
        assert "all 2 recordings: channels A1 to A32 are those of a BioSemi cap of 32" in said
        cap = mne.channels.make_standard_montage("biosemi32").ch_names
        names = dict(zip(files.reader(1)[0].ch_names, cap, strict=True))
        expected = expected.rename(index=names, level="channel").sort_index()
    assert found.index.equals(expected.index)
    np.testing.assert_allclose(found, expected, atol=tolerance)
    if table == "onsets.csv":
        assert "column 'Onset' of the table of words taken for onset" in said


def test_a_bids_folder_needs_no_table(desk, expected):
    bids = pytest.importorskip("mne_bids")
    root = desk / "bids"
    for number in (1, 2):
        raw, onsets = files.reader(number)
        samples = np.round(onsets * raw.info["sfreq"]).astype(int)
        events = np.column_stack([samples, np.zeros_like(samples), np.ones_like(samples)])
        with raw.info._unlock():
            raw.info["line_freq"] = 50.0
        labels = files.presented(trial_type="word")
        said = dict.fromkeys(labels, "of the word")
        bids.write_raw_bids(
            raw, bids.BIDSPath(subject=f"0{number}", task="read", datatype="eeg", root=root), events=events, event_id={"word": 1},
            event_metadata=labels, extra_columns_descriptions=said, format="BrainVision", allow_preload=True, verbose="error",
        )  # fmt: skip
    found, _ = called(desk, "bids", root, None)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_names_in_other_spellings_a_bad_and_a_missing_channel_are_said(desk, expected):
    def change(raw):
        if change.first:
            change.first = False
            return raw
        raw = raw.drop_channels(["O1"]).rename_channels({"Cz": "CZ", "T7": "t3", "Pz": "EEG Pz-REF"})
        raw._data[raw.ch_names.index("F3")] = 3e-6  # flat, and marked
        raw.info["bads"] = ["F3"]
        return raw

    change.first = True
    found, said = waveforms(desk, "spellings", files.fif, "codes.csv", change=change)
    assert (
        "recording 'sub-02_raw.fif': electrodes by their standard names: t3 (T7), CZ (Cz), EEG Pz-REF (Pz)"
        in said
    )
    assert "channels left out of averages and regression ERPs: O1 (not in subject '02')" in said
    assert "bad channels interpolated for averages and regression ERPs: F3 (subject '02')" in said
    assert said.count("standard errors rest on") == 1  # what is the same of all is said once
    np.testing.assert_allclose(found, expected.loc[found.index], atol=1e-6)


def test_sessions_of_a_subject_are_read_in_the_order_of_their_names(desk, expected):
    place = desk / "sessions"
    place.mkdir()
    for number in (1, 2):
        raw, onsets = files.reader(number)
        codes = np.array([f"S {code}" for code in files.CODES])
        middle = onsets[30] - 0.2
        for session, (start, stop, part) in enumerate(
            [(0.0, middle, slice(0, 30)), (middle, raw.times[-1], slice(30, None))], start=1
        ):
            piece = raw.copy().crop(start, stop)
            piece = mne.io.RawArray(piece.get_data(), piece.info, verbose="error")
            piece.set_annotations(mne.Annotations(onsets[part] - start, 0.0, codes[part]))
            piece.save(place / f"sub-0{number}_ses-{session}_raw.fif", verbose="error")
    found, said = called(desk, "sessions", place, "codes.csv")
    assert "subject '01': 60 tied to a word" in said
    assert np.corrcoef(found, expected.loc[found.index])[0, 1] > 0.95


def test_a_fixed_delay_moves_the_responses(desk, expected):
    later, _ = called(desk, "delay", desk / "fif", "codes.csv", "--delay", 40)
    first = later.xs("01", level="subject").xs("Cz", level="channel").loc["word", "intercept"]
    same = expected.xs("01", level="subject").xs("Cz", level="channel").loc["word", "intercept"]
    moved = pd.Series(same.to_numpy(), index=same.index - 40.0).reindex(first.index).dropna()
    assert np.corrcoef(first.loc[moved.index], moved)[0, 1] > 0.95


def test_words_of_events_that_the_table_lacks_are_counted_at_every_stage(tmp_path):
    artifacts.write_table(files.words().iloc[:54], tmp_path / "words.parquet")
    files.presented(trigger=files.CODES).to_csv(tmp_path / "codes.csv", index=False)
    _, said = waveforms(tmp_path, "some", files.fif, "codes.csv")
    assert "12 of 120 words of events are not in the table of words: no word has stimulus_id=t9 (12)" in said
    assert "word: 54 in the model, 6 not in the table of words;" in said
    assert "12 not in the table of words" in said.split("by-item check of 120 words")[1]


def test_events_may_count_words_from_one(desk, expected):
    table = files.presented(trigger=files.CODES)
    table.assign(word_index=table["word_index"] + 1).to_csv(desk / "from_one.csv", index=False)
    found, _ = waveforms(desk, "from_one", files.fif, "from_one.csv", "--trial-index-base", 1)
    np.testing.assert_array_equal(found, expected)
