"""Triggers as amplifiers and programs write them: codes of stimuli and of responses, lines that hold their state, spans that are none."""

import mne
import numpy as np
import pandas as pd
import pytest

from clada_neuro.erp.codes import code_of, triggers_of
from clada_neuro.erp.raw_sources import EegSession
from clada_neuro.erp.triggers import tie
from clada_neuro.errors import DataError

SFREQ = 100.0


def marked(names) -> EegSession:
    """A recording of 20 s whose annotations come every half second from 1 s on."""
    noise = np.random.default_rng(0).normal(0, 1e-5, (1, 2000))
    raw = mne.io.RawArray(noise, mne.create_info(["Cz"], SFREQ, "eeg"), verbose="error")
    return EegSession(
        "S1.vhdr", raw.set_annotations(mne.Annotations(1 + 0.5 * np.arange(len(names)), 0.0, names))
    )


def with_channel(*channels, sfreq=SFREQ) -> EegSession:
    """A recording of 20 s whose trigger channels have these states: (from second, to second, code)."""
    n_samples = round(20 * sfreq)
    data = np.zeros((1 + len(channels), n_samples))
    data[0] = np.random.default_rng(0).normal(0, 1e-5, n_samples)
    for row, states in zip(data[1:], channels, strict=True):
        for start, stop, code in states:
            row[round(start * sfreq) : round(stop * sfreq)] = code
    names = ["Cz", *(f"Status{number}" for number in range(len(channels)))]
    info = mne.create_info(names, sfreq, ["eeg", *["stim"] * len(channels)])
    return EegSession("S1.bdf", mne.io.RawArray(data, info, verbose="error"))


def codes(states, sfreq) -> tuple[list[str], list[str]]:
    """Return triggers and what was taken for none, of states (ms, code) that follow one another from 1 s on."""
    edges = 1 + np.cumsum([0, *(ms for ms, _ in states)]) / 1e3
    spans = [(*edges[number : number + 2], code) for number, (_, code) in enumerate(states)]
    found, passing = triggers_of(with_channel(spans, sfreq=sfreq))
    return found["code"].tolist(), passing.tolist()


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (5, "5"), (5.0, "5"), ("5.0", "5"), ("Stimulus/S  5", "5"), ("S 12", "12"), ("007", "7"), ("word", "word"),
        ("Response/R  5", "R5"), ("R 12", "R12"), ("Response/5", "R5"), ("5.5", "5.5"),
    ],
)  # fmt: skip
def test_one_code_is_written_in_many_ways(value, code):
    assert code_of(value) == code


def test_triggers_come_from_annotations_or_a_channel():
    found, _ = triggers_of(
        marked(["New Segment/", "Stimulus/S 11", "Stimulus/S  2", "BAD_blink", "Response/R  1"])
    )
    assert found["code"].tolist() == ["11", "2", "R1"]
    np.testing.assert_allclose(found["onset"], [1.5, 2.0, 3.0])
    # 0x10000 is BioSemi's bit of a new epoch, beside the code in the lower ones
    found, _ = triggers_of(with_channel([(1.0, 1.02, 0x10000 + 11), (2.0, 2.02, 2)]))
    assert found["code"].tolist() == ["11", "2"]
    np.testing.assert_allclose(found["onset"], [1.0, 2.0])


def test_a_recording_without_triggers_is_one_line():
    with pytest.raises(DataError, match=r"'S1.vhdr' has no triggers.*give the words' onsets"):
        triggers_of(marked(["BAD_blink", "New Segment/"]))


def test_lines_that_hold_their_code_until_the_next_lose_none():
    """A lower code after a higher one is a trigger, too; what lines show while they fall is none."""
    found, _ = triggers_of(
        with_channel([(1.0, 1.5, 5), (1.5, 2.0, 3), (2.0, 2.5, 7), (2.5, 2.51, 4), (3.0, 3.01, 6)])
    )
    assert found["code"].tolist() == ["5", "3", "7", "6"]
    np.testing.assert_allclose(found["onset"], [1.0, 1.5, 2.0, 3.0])


@pytest.mark.parametrize("sfreq", [512, 1000, 2048])
@pytest.mark.parametrize(
    ("states", "meant", "none"),
    [
        ([(500, 7), (5, 4)], ["7"], ["4"]),  # falls line by line
        ([(500, 7), (12, 4)], ["7", "4"], []),
        ([(5, 20), (5, 10), (500, 0), (5, 10)], ["20", "10", "10"], []),  # lines that neither of two codes has are no change
        ([(2, 1), (20, 3)], ["3"], ["1"]),  # rises line by line
        ([(500, 4), (2, 7), (500, 3)], ["4", "3"], ["7"]),
        ([(500, 4), (2, 0), (500, 3)], ["4", "3"], []),
        ([(5, 1), (5, 3)], ["1", "3"], []),
        ([(2, 5), (500, 0), (2, 4)], ["5", "4"], []),  # from 0 and back: a pulse, however short
    ],
)  # fmt: skip
def test_lines_that_change_are_no_code_and_short_pulses_are(states, meant, none, sfreq):
    assert codes(states, sfreq) == (meant, none)


@pytest.mark.parametrize("sfreq", [100, 500, 1000])
def test_no_pulse_of_one_sample_is_lost(sfreq):
    pulses = [(1 + number, 1 + number + 1 / sfreq, 1 + number) for number in range(15)]
    found, passing = triggers_of(with_channel(pulses, sfreq=sfreq))
    assert found["code"].tolist() == [str(code) for _, _, code in pulses]
    assert passing.empty


def test_each_trigger_channel_has_steps_of_its_own():
    """A word on one channel, a button on another while its code holds: neither cuts the other short."""
    recording = with_channel([(1.0, 1.5, 7), (1.5, 1.52, 3)], [(1.505, 1.6, 1)], sfreq=1000)
    found, passing = triggers_of(recording)
    assert found["code"].tolist() == ["7", "3", "1"]
    np.testing.assert_allclose(found["onset"], [1.0, 1.5, 1.505])
    assert passing.empty


def test_steps_that_are_taken_for_none_are_counted():
    table = pd.DataFrame({"trigger": [7, 5], "stimulus_id": ["a", "a"], "word_index": [0, 1]})
    recording = with_channel([(1.0, 1.5, 7), (1.5, 1.505, 4), (2.0, 2.02, 5), (2.02, 2.025, 4)], sfreq=1000)
    tied = tie("S1", [recording], table)
    assert tied.in_words() == "2 tied to a word, 2 short steps between codes of a trigger channel (4 (2))"


def test_a_button_is_no_word_of_the_same_number():
    table = pd.DataFrame({"trigger": [1, 2], "stimulus_id": ["a", "a"], "word_index": [0, 1]})
    tied = tie("S1", [marked(["Stimulus/S  1", "Response/R  1", "Stimulus/S  2", "Response/R  2"])], table)
    assert tied.events[0]["event"].tolist() == ["word", "R1", "word", "R2"]
    assert tied.in_words() == "2 tied to a word, 2 events without a word (R1, R2)"


def test_names_of_several_kinds_with_one_number_stay_apart():
    names = ["word/1", "press/1", "word/2", "press/1"]
    assert triggers_of(marked(names))[0]["code"].tolist() == ["word/1", "press/1", "2", "press/1"]
    table = pd.DataFrame({"trigger": ["word/1", "word/2"], "stimulus_id": ["a", "a"], "word_index": [0, 1]})
    assert tie("S1", [marked(names)], table).events[0]["event"].tolist() == [
        "word",
        "press/1",
        "word",
        "press/1",
    ]
