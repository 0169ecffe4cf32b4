"""One recording, its events and its regression, shared by the tests of this folder."""

import pytest
from overlap_recordings import MODELS, SFREQ, reading, recording

from clada_neuro.erp.overlap.fit import overlap_rerp


@pytest.fixture(scope="session")
def events():
    return reading()


@pytest.fixture(scope="session")
def raw(events):
    return recording(round(events["onset"].max() * SFREQ) + 80)


@pytest.fixture(scope="session")
def result(raw, events):
    return overlap_rerp(raw, events, MODELS)
