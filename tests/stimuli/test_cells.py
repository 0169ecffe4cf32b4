"""Numbers and missing values in every spelling of a laboratory; what is neither is named with its row."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.cells import typed
from clada_neuro.stimuli.files import RawTable


def read(name, cells, *, semicolons=False, numbers=()):
    frame = pd.DataFrame({name: list(cells)}, dtype=object)
    rows = [str(number) for number in range(2, len(frame) + 2)]
    return typed(RawTable(frame, rows, "'x.csv'", decimal_comma=semicolons), numbers=numbers)[name]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ([".2", "0.5", "-.75", "+1.", "\u22123", "1e-3"], [0.2, 0.5, -0.75, 1.0, -3.0, 0.001]),
        (["0,1", "-1,25", "3", ",5"], [0.1, -1.25, 3.0, 0.5]),
        (["1,234", "0,5"], [1.234, 0.5]),
        (["1", "", "NA", "n/a", "NaN", "nan", ".", "#N/A", " N/A "], [1.0] + [np.nan] * 8),
        (["NA", "", "NaN"], [np.nan] * 3),
    ],
)
def test_numbers_and_missing_values_as_laboratories_write_them(cells, values):
    found = read("norm", cells)
    assert found.dtype == float
    np.testing.assert_array_equal(found, values)


def test_whole_numbers_stay_whole_and_codes_stay_text():
    assert read("count", ["3", "4"]).dtype == "int64"
    assert read("code", ["007", "008", "100"]).tolist() == ["007", "008", "100"]
    assert read("code", ["9" * 30, "1"]).tolist() == ["9" * 30, "1"]


def test_a_comma_means_thousands_nowhere_in_a_semicolon_file():
    assert read("norm", ["1,234", "2,345"], semicolons=True).tolist() == [1.234, 2.345]
    with pytest.raises(
        StimulusError, match="row 2: '1,234' in column 'norm' may have a decimal comma or one between"
    ):
        read("norm", ["1,234", "2,345"])


def test_text_among_numbers_is_named_with_its_row():
    with pytest.raises(StimulusError, match=r"'x.csv', row 6: 'ca. 3' in column 'norm' is not a number"):
        read("norm", ["1", "2", "3.5", "4", "ca. 3"])
    with pytest.raises(StimulusError, match="row 3: '0,5' in column 'norm' has a decimal comma where others"):
        read("norm", ["0.1", "0,5", "0.2"])


def test_columns_of_words_are_factors_without_their_missing_cells():
    found = read("group", ["a", "NA", "", " b ", "."])
    assert found.isna().tolist() == [False, True, True, False, False]
    assert found.dropna().tolist() == ["a", "b", "."]
    assert read("list", ["1", "2", "filler"]).tolist() == ["1", "2", "filler"]


@pytest.mark.parametrize("name", ["n400_uv", "rt_ms", "rating"])
def test_what_was_measured_holds_numbers_whatever_the_share(name):
    with pytest.raises(StimulusError, match=f"row 2: 'bad' in column '{name}' is not a number"):
        read(name, ["bad", "rejected", "1.5"], numbers=["rating"])


@pytest.mark.parametrize("name", ["subject", "item", "condition", "word", "stimulus_id"])
def test_labels_stay_text_and_only_an_empty_one_is_missing(name):
    found = read(name, ["1", " 02 ", "NA", "None", " "])
    assert found[:4].tolist() == ["1", "02", "NA", "None"]
    assert found.isna().tolist() == [False] * 4 + [True]
