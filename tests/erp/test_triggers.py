"""Events tied to words: by codes, by order, by onsets and by BIDS columns; what finds no partner is counted."""

import tracemalloc
from itertools import combinations

import mne
import numpy as np
import pandas as pd
import pytest

from clada_neuro.erp.raw_sources import EegSession
from clada_neuro.erp.triggers import _in_order, add_measures, check_intervals, tie
from clada_neuro.errors import AlignmentError, DataError

TABLE = pd.DataFrame(
    {
        "trigger": [11, 2, 2, 12, 2, 2],
        "stimulus_id": ["a", "a", "a", "b", "b", "b"],
        "word_index": [0, 1, 2, 0, 1, 2],
        "word": ["The", "dog", "ran.", "A", "cat", "sat."],
    }
)


def session(codes, onsets=None, name="S1.vhdr", stim=False) -> EegSession:
    """A recording of 20 s at 100 Hz with triggers as annotations, or in a channel."""
    onsets = np.arange(len(codes)) * 0.5 + 1 if onsets is None else np.asarray(onsets)
    rng = np.random.default_rng(0)
    if not stim:
        raw = mne.io.RawArray(
            rng.normal(0, 1e-5, (2, 2000)), mne.create_info(["Cz", "Pz"], 100.0, "eeg"), verbose="error"
        )
        raw.set_annotations(mne.Annotations(onsets, 0.0, list(codes)))
        return EegSession(name, raw)
    data = np.zeros((2, 2000))
    data[0] = rng.normal(0, 1e-5, 2000)
    for onset, code in zip(onsets, codes, strict=True):
        data[1, round(onset * 100) : round(onset * 100) + 2] = code
    return EegSession(
        name,
        mne.io.RawArray(data, mne.create_info(["Cz", "Status"], 100.0, ["eeg", "stim"]), verbose="error"),
    )


def counted(tied) -> dict[str, int]:
    return dict(zip(tied.account["outcome"], tied.account["n"], strict=True))


def test_codes_that_stand_for_one_word_each_find_it_wherever_they_come():
    table = TABLE.assign(trigger=[1, 2, 3, 4, 5, 6])
    tied = tie("S1", [session(["S  4", "S  5", "S  1", "S 99"])], table)
    assert tied.events[0]["word"].iloc[:3].tolist() == ["A", "cat", "The"]
    assert tied.events[0]["event"].tolist() == ["word", "word", "word", "99"]
    assert counted(tied) == {
        "tied to a word": 3, "event whose word is uncertain": 0, "event without a word": 1, "word without an event": 3,
    }  # fmt: skip


def test_in_order_a_lost_trigger_loses_the_words_it_may_have_been():
    """Of the second text's two words with code 2 one is missing: which of them is not known."""
    whole = tie("S1", [session(["11", "2", "2", "12", "2", "2"])], TABLE)
    assert whole.events[0]["word"].tolist() == TABLE["word"].tolist()
    tied = tie("S1", [session(["11", "2", "2", "200", "12", "2"])], TABLE)
    assert tied.events[0]["event"].tolist() == ["word", "word", "word", "200", "word", "2"]
    assert tied.events[0]["word"].iloc[[0, 1, 2, 4]].tolist() == ["The", "dog", "ran.", "A"]
    assert counted(tied) == {
        "tied to a word": 4, "event whose word is uncertain": 1, "event without a word": 1, "word without an event": 2,
    }  # fmt: skip


def test_alignments_are_certain_where_all_the_best_ones_agree():
    """Against every alignment of short random sequences, by brute force."""
    rng = np.random.default_rng(2)
    for _ in range(40):
        codes, wanted = (rng.choice(list("ab"), rng.integers(3, 6)).tolist() for _ in range(2))
        best, found = 0, []
        for size in range(min(len(codes), len(wanted)), 0, -1):
            for i in combinations(range(len(codes)), size):
                found += [dict(zip(i, j, strict=True)) for j in combinations(range(len(wanted)), size)
                          if [codes[k] for k in i] == [wanted[k] for k in j]]  # fmt: skip
            if found:
                best = size
                break
        row, certain = _in_order(codes, wanted)
        for number in range(len(codes)):
            rows = {alignment.get(number, -1) for alignment in found}
            assert certain[number] == (best > 0 and len(rows) == 1 and -1 not in rows)
            assert not certain[number] or row[number] in rows


def test_aligning_a_long_text_holds_one_table_of_lengths():
    codes = np.random.default_rng(0).integers(1, 5, 1000).astype(str).tolist()
    tracemalloc.start()
    row, certain = _in_order(codes[:700] + codes[701:], codes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert certain.sum() > 900
    assert (row[:600] == np.arange(600)).all()
    assert peak < 1.5 * 4 * 1000**2  # bytes; two tables of 32-bit numbers are 8e6


def test_where_all_codes_are_alike_a_lost_trigger_shifts_no_words():
    with pytest.raises(AlignmentError, match="5 triggers of words were recorded and the table has 6 words"):
        tie("S1", [session(["2"] * 5)], TABLE.assign(trigger=2))


def test_sessions_go_on_where_the_last_one_ended():
    tied = tie("S1", [session(["11", "2", "2"]), session(["12", "2", "2"], name="S1b.vhdr")], TABLE)
    assert [part["word"].tolist() for part in tied.events] == [["The", "dog", "ran."], ["A", "cat", "sat."]]


def test_a_subjects_own_rows_and_the_delay_of_the_screen():
    table = pd.concat([TABLE.assign(subject="S1"), TABLE.iloc[::-1].assign(subject="S2")])
    tied = tie("S2", [session(["2", "2", "12", "2", "2", "11"])], table, delay=0.012)
    assert tied.events[0]["word"].tolist() == TABLE["word"].tolist()[::-1]
    np.testing.assert_allclose(tied.events[0]["onset"].iloc[0], 1.012)
    with pytest.raises(DataError, match="no row of subject 'S3'"):
        tie("S3", [session(["2"])], table)


def test_numbers_of_subjects_are_themselves_and_a_row_of_nobody_is_named():
    """pandas reads a column of whole numbers with a gap as 1.0, 2.0."""
    table = pd.concat([TABLE.assign(subject=1.0), TABLE.assign(subject=2.0)], ignore_index=True)
    codes = ["11", "2", "2", "12", "2", "2"]
    assert counted(tie("2", [session(codes)], table))["tied to a word"] == 6
    table.loc[[3, 8], "subject"] = np.nan
    with pytest.raises(
        DataError, match=r"row 5 of the words names no subject \(2 of 12 rows\); fill the column"
    ):
        tie("2", [session(codes)], table)


@pytest.mark.parametrize(
    ("codes", "table", "message"),
    [
        (
            ["7", "8"],
            TABLE,
            r"none of 2 triggers \(7, 8\) is in the table of words, which has 2 \(4\), 11, 12",
        ),
        (["2"], TABLE.drop(columns="trigger"), r"no column 'trigger' \(codes\) or 'onset' \(seconds\)"),
    ],
)
def test_codes_that_mean_nothing_are_one_line(codes, table, message):
    with pytest.raises((AlignmentError, DataError), match=message):
        tie("S1", [session(codes)], table)


def test_words_bring_their_measures_and_other_events_none():
    words = TABLE.drop(columns="trigger").assign(surprisal_bits=np.arange(6.0)).drop(index=5)
    tied = tie("S1", [session(["11", "2", "2", "99", "12", "2", "2"])], TABLE)
    (found,), notes = add_measures(tied.events, words, ["surprisal_bits"])
    assert found["surprisal_bits"].fillna(-1).tolist() == [0, 1, 2, -1, 3, 4, -1]
    assert notes == [
        "1 of 6 words of events are not in the table of words: no word has stimulus_id=b, word_index=2"
    ]
    (found,), notes = add_measures([found.iloc[:3].drop(columns="surprisal_bits")], words, ["surprisal_bits"])
    assert notes == ["2 of 5 words in the table of words have no event: no response to them is in the model"]
    with pytest.raises(DataError, match=r"no column 'surprisal'.*did you mean 'surprisal_bits'"):
        add_measures(tied.events, words, ["surprisal"])


def test_clocks_that_drift_are_one_line():
    codes = ["11", "2", "2", "12", "2", "2"]
    tied = tie("S1", [session(codes)], TABLE).events
    check_intervals("S1", tied, 0.5)
    check_intervals("S1", tied, 0.51)
    with pytest.raises(
        AlignmentError, match=r"4 of 4 intervals .* the stated 550 ms by more than 5% \(typical 500 ms\)"
    ):
        check_intervals("S1", tied, 0.55)


def test_a_stated_interval_is_checked_where_words_have_no_numbers():
    tied = tie("S1", [session(["11", "2", "2", "12", "2", "2"])], TABLE).events
    unnumbered = [part.drop(columns="word_index") for part in tied]
    check_intervals("S1", unnumbered, 0.5)
    with pytest.raises(
        AlignmentError, match=r"5 of 5 intervals .* the stated 400 ms by more than 5% \(typical 500 ms\)"
    ):
        check_intervals("S1", unnumbered, 0.4)
