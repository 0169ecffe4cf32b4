"""Rows that meet a condition are left out; a missing value decides nothing, as in R's subset."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.exclusions import exclude, keep

TRIALS = pd.DataFrame(
    {"item": ["29", "29", "30", "31"], "lab": ["a", "b", "b", None], "rt": [300.0, np.nan, 500, 900]}
)


def removed(trials, *conditions):
    return [step["rows_removed"] for step in exclude(trials, conditions)[1]]


def test_exclusions_are_counted_one_after_the_other():
    kept, steps = exclude(TRIALS, ["item == 29", "lab == 'b'"])
    assert [(step["rows_before"], step["rows_removed"], step["rows_after"]) for step in steps] == [
        (4, 2, 2),
        (2, 1, 1),
    ]
    assert kept["item"].tolist() == ["31"]


@pytest.mark.parametrize("dtype", ["float64", "Int64", "Float64", "object"])
@pytest.mark.parametrize(
    ("condition", "left"),
    # The rows that R keeps in subset(d, !(condition %in% TRUE)).
    [
        ("rt > 400", [0, 1]),
        ("rt != 300", [0, 1]),
        ("not (rt < 400)", [0, 1]),
        ("rt > 400 or item == 29", [1, 2, 3][:0]),
        ("rt > 400 and item == 30", [0, 1, 3]),
        ("rt.isna()", [0, 2, 3]),
    ],
)
def test_a_missing_value_meets_no_condition_in_any_type(dtype, condition, left):
    kept, _ = exclude(TRIALS.assign(rt=TRIALS["rt"].astype(dtype)), [condition])
    assert kept.index.tolist() == left


def test_rows_kept_for_want_of_a_value_are_counted():
    _, (step,) = exclude(TRIALS, ["rt > 400"])
    assert step["reason"] == "rt > 400 (1 rows kept that have no value in rt)"
    assert exclude(TRIALS, ["item == 29"])[1][0]["reason"] == "item == 29"


def test_labels_that_are_numbers_compare_with_numbers_and_with_text():
    assert (
        removed(TRIALS, "item == 29")
        == removed(TRIALS, "item == '29'")
        == removed(TRIALS, "item in [29]")
        == [2]
    )
    assert removed(TRIALS, "item > 29") == [2]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("itme == 29", "'itme == 29' cannot be evaluated"),
        ("rt + 1", "not a condition"),
        ("lab == 1", "compares 'lab', which holds text, with a number; write '1'"),
        ("rt == 'slow'", "compares 'rt', which holds numbers, with text"),
    ],
)
def test_a_condition_that_could_never_be_met_is_refused(condition, message):
    with pytest.raises(FitError, match=message):
        exclude(TRIALS, [condition])


@pytest.mark.parametrize("dtype", ["float64", "Int64", "object"])
def test_rows_that_are_asked_for_meet_the_condition_and_the_others_are_counted(dtype):
    kept, (step,) = keep(TRIALS.assign(rt=TRIALS["rt"].astype(dtype)), ["rt > 350 & rt < 1000"])
    assert kept.index.tolist() == [2, 3]  # as R's subset(d, rt > 350 & rt < 1000)
    assert (step["rows_before"], step["rows_removed"], step["rows_after"]) == (4, 2, 2)
    assert step["reason"] == ("not where rt > 350 & rt < 1000 (1 of the rows removed have no value in rt)")


def test_a_column_of_true_and_false_is_a_condition():
    flags = TRIALS.assign(is_critical=[True, False, False, True])
    assert keep(flags, ["is_critical"])[0].index.tolist() == [0, 3]


def test_a_condition_that_no_row_meets_is_an_error():
    with pytest.raises(FitError, match="no row is left where 'rt > 9000': 0 of 4 rows meet it"):
        keep(TRIALS, ["rt > 9000"])


@pytest.mark.parametrize(
    ("condition", "message"),
    [("rt +", "condition '?rt"), ("rt + 1", "is not a condition"), ("lab > 3", "compares 'lab'")],
)
def test_a_condition_that_cannot_be_read_is_called_one(condition, message):
    with pytest.raises(FitError, match=message):
        keep(TRIALS, [condition])
