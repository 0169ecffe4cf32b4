"""Epochs from objects, files and folders; rejection logs; event tables."""

import mne
import numpy as np
import pandas as pd
import pytest

from clada_neuro.erp.sources import drop_report, files_of, parts_of, read_epochs, with_metadata
from clada_neuro.errors import AlignmentError, DataError


def small(n: int = 6, metadata: pd.DataFrame | None = None) -> mne.EpochsArray:
    info = mne.create_info(["Cz", "Pz", "P3", "P4"], 100.0, "eeg")
    data = 1e-5 * np.random.default_rng(0).standard_normal((n, 4, 120))
    return mne.EpochsArray(data, info, tmin=-0.2, metadata=metadata, verbose="error")


def test_a_folder_of_files_gives_subjects_by_their_bids_names(tmp_path, simulated):
    for number, epochs in (("01", small()), ("02", small())):
        epochs.save(tmp_path / f"sub-{number}_task-read_epo.fif", verbose="error")
    assert list(read_epochs(tmp_path).epochs) == ["01", "02"]


def test_files_are_read_when_they_are_used(tmp_path):
    small().save(tmp_path / "sub-01_epo.fif", verbose="error")
    epochs = read_epochs(read_epochs(tmp_path).epochs).epochs["01"]
    assert not epochs.preload
    np.testing.assert_allclose(epochs.get_data(), small().get_data(), atol=1e-11)


def test_a_header_is_read_once_a_file_and_again_once_it_changed(tmp_path, monkeypatch):
    path, read, real = tmp_path / "sub-01_epo.fif", [], mne.read_epochs
    monkeypatch.setattr(mne, "read_epochs", lambda path, **how: read.append(path) or real(path, **how))
    words = pd.DataFrame({"word": list("abcdef")})
    small(metadata=words).save(path, verbose="error")
    first = read_epochs(tmp_path).epochs["01"]
    first.metadata = first.metadata.assign(word="other")
    first.drop([0], verbose="error")
    again = read_epochs(tmp_path).epochs["01"]
    assert (len(read), len(again), again.metadata["word"].tolist()) == (1, 6, list("abcdef"))
    assert not again.preload
    small(5, words[:5]).save(path, overwrite=True, verbose="error")
    assert (len(read_epochs(tmp_path).epochs["01"]), len(read)) == (5, 2)


def test_fif_keeps_metadata_and_values(tmp_path, simulated):
    epochs = simulated.epochs["S01"]
    epochs.save(tmp_path / "one-epo.fif", verbose="error")
    read = read_epochs(tmp_path / "one-epo.fif").epochs["S01"]
    np.testing.assert_allclose(read.get_data(), epochs.get_data(), atol=1e-11)
    assert read.metadata["word"].tolist() == epochs.metadata["word"].tolist()


def test_one_object_with_several_subjects_is_split_and_counts_rejections_once(simulated):
    joined = mne.concatenate_epochs([simulated.epochs["S01"], simulated.epochs["S02"]], verbose="error")
    recordings = read_epochs(joined)
    assert {subject: len(epochs) for subject, epochs in recordings.epochs.items()} == {
        subject: len(simulated.epochs[subject]) for subject in ("S01", "S02")
    }
    assert recordings.n_events == 120
    assert recordings.dropped["n"].sum() == 120 - len(joined)
    assert recordings.dropped["subject"].unique().tolist() == ["all"]


def test_events_that_were_never_selected_are_no_rejections():
    epochs = small(10)[2:].drop([0], reason="blink", verbose="error")
    assert drop_report("a", epochs).to_dict("list") == {"subject": ["a"], "reason": ["blink"], "n": [1]}
    assert read_epochs({"a": epochs}).n_events == 8


def test_unloaded_epochs_are_loaded_on_a_copy_with_their_rejections():
    raw = mne.io.RawArray(1e-5 * np.ones((1, 1000)), mne.create_info(["Cz"], 100.0, "eeg"), verbose="error")
    raw.apply_function(lambda x: x + np.where(np.arange(len(x)) == 500, 1e-3, 0))
    events = np.array([[200, 0, 1], [480, 0, 1]])
    epochs = mne.Epochs(
        raw, events, tmin=-0.1, tmax=0.5, baseline=None, reject={"eeg": 1e-4}, verbose="error"
    )
    recordings = read_epochs({"a": epochs})
    assert len(recordings.epochs["a"]) == 1
    assert recordings.dropped["reason"].tolist() == ["Cz"]
    assert not epochs.preload


def test_events_for_every_epoch_or_for_every_event_become_metadata():
    epochs = small(5).drop([1], verbose="error")
    events = pd.DataFrame({"item": list("abcde")})
    assert with_metadata(epochs, events).metadata["item"].tolist() == list("acde")
    assert with_metadata(epochs, events.iloc[:4]).metadata["item"].tolist() == list("abcd")
    assert epochs.metadata is None


def test_samples_find_their_rows_in_a_longer_table_of_another_order():
    """Two button presses more than words, the last event first, one epoch dropped."""
    info = mne.create_info(["Cz"], 100.0, "eeg")
    events = np.column_stack([[100, 300, 500, 700], np.zeros(4, int), np.ones(4, int)])
    epochs = mne.EpochsArray(1e-5 * np.ones((4, 1, 50)), info, events, verbose="error").drop(
        [1], verbose="error"
    )
    table = pd.DataFrame({"sample": [700, 100, 150, 300, 350, 500], "item": list("dazbzc")})
    assert with_metadata(epochs, table).metadata["item"].tolist() == list("acd")
    elsewhere = table.assign(sample=table["sample"] * 5)  # counted at 500 Hz
    with pytest.raises(AlignmentError, match=r"6 rows of events arrived for 3 epochs .* a column 'sample'"):
        with_metadata(epochs, elsewhere)


def test_a_table_of_another_length_is_refused():
    with pytest.raises(
        AlignmentError, match=r"3 rows of events arrived for 5 epochs \(5 events before rejection\)"
    ):
        with_metadata(small(5), pd.DataFrame({"item": list("abc")}))


def test_missing_wrong_and_empty_sources_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nothing-epo\.fif' does not exist"):
        read_epochs(tmp_path / "nothing-epo.fif")
    with pytest.raises(DataError, match=r"holds no \*epo\.fif file"):
        read_epochs(tmp_path)
    (tmp_path / "data.set").write_bytes(b"")
    with pytest.raises(DataError, match=r"'data.set' is no FIF file"):
        read_epochs(tmp_path / "data.set")


def test_a_file_of_another_kind_is_named(tmp_path):
    path = tmp_path / "average-epo.fif"
    small().average().save(tmp_path / "x-ave.fif", verbose="error")
    (tmp_path / "x-ave.fif").rename(path)
    with pytest.raises(DataError, match="holds no readable epochs"):
        read_epochs(path)


@pytest.mark.parametrize(
    ("first", "second", "advice"),
    [
        ("sub-01_run-1", "sub-01_run-2", "join a subject's runs or sessions with mne.concatenate_epochs"),
        ("sub-01_ses-a", "sub-01_ses-b", "join a subject's runs or sessions with mne.concatenate_epochs"),
        (
            "sub-01_proc-clean",
            "sub-01_proc-raw",
            "variants that differ in proc-; give a folder that holds one",
        ),
        ("sub-01_desc-ica", "sub-01", "variants that differ in desc-; give a folder that holds one"),
    ],
)
def test_two_files_of_a_subject_are_named_with_what_sets_them_apart(tmp_path, first, second, advice):
    for stem in (first, second):
        small().save(tmp_path / f"{stem}_epo.fif", verbose="error")
    with pytest.raises(DataError) as refused:
        read_epochs(tmp_path)
    assert f"subject '01' occurs twice, in '{first}_epo.fif' and in '{second}_epo.fif'" in str(refused.value)
    assert advice in str(refused.value)


@pytest.mark.parametrize("naming", ["bids", "neuromag"])
def test_a_recording_saved_in_parts_is_one(tmp_path, naming):
    whole = small(1200, pd.DataFrame({"item": range(1200)}))
    with mne.use_log_level("error"):
        whole.save(tmp_path / "sub-01_epo.fif", split_size="2MB", split_naming=naming)
    parts = sorted(tmp_path.iterdir())
    assert len(parts) > 1
    read = read_epochs(tmp_path).epochs
    assert list(read) == ["01"]
    assert read["01"].metadata["item"].tolist() == list(range(1200))
    (first,) = files_of(tmp_path)
    assert parts_of(first) == parts
    later = next(part for part in parts if part != first)
    with pytest.raises(
        DataError, match=f"'{later.name}' is a later part .* give its first part, '{first.name}'"
    ):
        read_epochs(later)
    later.unlink()
    with pytest.raises(DataError, match="holds no readable epochs"):
        read_epochs(tmp_path)


def test_a_part_without_the_first_is_refused(tmp_path):
    small().save(tmp_path / "sub-01_split-02_epo.fif", verbose="error")
    with pytest.raises(DataError, match=r"but 'sub-01_split-01_epo\.fif' is not beside it"):
        read_epochs(tmp_path)


def test_rows_without_a_subject_are_nobodys():
    epochs = small(3, pd.DataFrame({"subject": ["a", None, "b"]}))
    with pytest.raises(DataError, match="name no subject in 1 of 3 rows, the first is row 1"):
        read_epochs(epochs)
    numbered = small(3, pd.DataFrame({"subject": [1.0, 1.0, 2.0]}))
    assert list(read_epochs(numbered).epochs) == ["1", "2"]
