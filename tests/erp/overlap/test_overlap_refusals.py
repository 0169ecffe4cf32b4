"""What cannot be taken apart is refused in one line."""

import numpy as np
import pytest
from overlap_recordings import MODELS

from clada_neuro.erp.overlap.events import EventModel
from clada_neuro.erp.overlap.fit import overlap_rerp
from clada_neuro.errors import AlignmentError, CladaNeuroError, DataError, FitError


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda raw: raw._data.__setitem__((1,), 0.0), r"channel Cz is flat \(0 V throughout\); mark it bad"),
        (
            lambda raw: raw._data.__setitem__((2,), np.nan),
            "channel Pz is not finite in 100% of the samples; mark it bad",
        ),
        (lambda raw: raw._data.__imul__(1e6), "looks like µV"),
        (lambda raw: raw.info.__setitem__("bads", list(raw.ch_names)), "every EEG channel is marked bad"),
    ],
)
def test_recordings_that_cannot_be_used_are_one_line(raw, events, spoil, message):
    spoiled = raw.copy()
    spoil(spoiled)
    with pytest.raises(DataError, match=message):
        overlap_rerp(spoiled, events, MODELS)


@pytest.mark.parametrize(
    ("change", "models", "error", "message"),
    [
        ({}, [EventModel("words")], DataError, "no event is of type 'words'"),
        ({}, [EventModel("word"), EventModel("word", "1 + zipf_frequency")], DataError, "has two models"),
        ({}, [EventModel("word", "1 + surprise")], FitError, "no column 'surprise'"),
        ({"onset": "early"}, MODELS, DataError, "event 0 .* the onset 'early'; seconds expected"),
        ({"onset": 3.0}, MODELS, AlignmentError, "two events of type 'word' at 3 s"),
        ({}, [EventModel("word", "1 + (1 | item)")], FitError, "random terms"),
    ],
)
def test_events_that_cannot_be_used_are_one_line(raw, events, change, models, error, message):
    with pytest.raises(error, match=message):
        overlap_rerp(raw, events.assign(**change), models)


def test_names_that_are_not_there_are_offered(result):
    with pytest.raises(DataError, match=r"no predictor 'word/surprisal'.*did you mean 'word/surprisal_bits'"):
        result.evoked("word/surprisal")
    with pytest.raises(DataError, match="no event 'words'"):
        result.predicted("words")


@pytest.mark.parametrize(
    "wrong", [{"tmin": 1.0, "tmax": 0.5}, {"tmin": -100.0, "tmax": 1000.0}, {"splines": 3}]
)
def test_responses_that_make_no_sense_are_refused(wrong):
    with pytest.raises(CladaNeuroError, match="event 'word'"):
        EventModel("word", **wrong)
