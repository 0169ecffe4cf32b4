"""A worker multiplies as the first process chose, whatever is fastest on its own machine."""

from copy import deepcopy

import pytest

from clada_neuro.errors import DataError
from clada_neuro.models import linear
from clada_neuro.scale import worker


def test_a_worker_takes_the_routes_that_it_is_given(setting, stimuli):
    described, _ = worker.describe(setting)
    for route in linear.ROUTES:
        expected = deepcopy(described)
        expected["model"]["linear"] = dict.fromkeys(described["model"]["linear"], route)
        assert worker.measure(stimuli, setting, expected)
        assert worker._prepared(setting).model.describe()["linear"] == expected["model"]["linear"]


def test_speeds_of_another_machine_are_no_reason_to_refuse_but_routes_are(setting):
    described, _ = worker.describe(setting)
    worker.refuse_other(described, {**described, linear.SPEEDS: {}})
    other = deepcopy(described)
    other["model"]["linear"] = {"24x24": "another"}
    with pytest.raises(DataError, match="processes differ in linear"):
        worker.refuse_other(described, other)
