"""Simulated readers as a BIDS folder, read back as anyone's would be."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("mne_bids")
pytest.importorskip("pybv")

from clada_neuro.erp.raw_sources import is_bids, read_recordings
from clada_neuro.erp.simulate_bids import simulate_bids
from clada_neuro.erp.triggers import tie


@pytest.fixture(scope="module")
def words() -> pd.DataFrame:
    n = 4 * 2 * 6  # items, versions, words
    values = np.random.default_rng(3).gamma(3, 2, n)
    values[::6] = np.nan  # first words have no surprisal
    return pd.DataFrame(
        {
            "stimulus_id": [f"t{k // 6}" for k in range(n)],
            "item": [f"i{k // 12}" for k in range(n)],
            "condition": [f"c{k // 6 % 2}" for k in range(n)],
            "word_index": np.arange(n) % 6,
            "word": ["None" if k == 1 else f"w{k}" for k in range(n)],
            "surprisal_bits": values,
        }
    )


@pytest.fixture(scope="module")
def root(words, tmp_path_factory):
    return simulate_bids(words, tmp_path_factory.mktemp("bids") / "root", n_readers=2, sfreq=50.0)


def test_every_reader_reads_every_item_in_one_version(root, words):
    assert is_bids(root)
    found = read_recordings(root)
    assert list(found) == ["01", "02"]
    texts = []
    for name, sessions in found.items():
        tied = tie(name, sessions)
        (events,) = tied.events
        assert dict(zip(tied.account["outcome"], tied.account["n"], strict=True))["tied to a word"] == 24
        assert events["item"].value_counts().tolist() == [6] * 4
        texts.append(set(events["stimulus_id"]))
        shown = events.merge(words, on=["stimulus_id", "word_index"], suffixes=("", "_given"))
        assert (shown["word"] == shown["word_given"]).all()
    assert not texts[0] & texts[1]  # the other versions
    raw = found["01"][0].raw
    assert len(raw.ch_names) == 32
    assert 5 < 1e6 * raw.get_data().std() < 15  # volts, as microvolts


def test_the_same_words_are_written_once(root, words):
    files = {path: path.stat().st_mtime_ns for path in root.rglob("*.eeg")}
    simulate_bids(words, root, n_readers=2, sfreq=50.0)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.eeg")} == files
