"""The contrasts of analyses/04_known_effects.py: arithmetic, intervals, and that every registered condition exists."""

import os

import numpy as np
import pandas as pd
import pytest
from analysis_scripts import load
from PIL import Image


@pytest.fixture(scope="module")
def known_effects():
    return load("04_known_effects")


def long(values, items="abc"):
    """Give words from a table of condition to one value an item."""
    rows = [
        (item, condition, value)
        for condition, column in values.items()
        for item, value in zip(items, column, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["item", "condition", "surprisal_bits"]).dropna()
    return frame.assign(licensing=frame["item"].map({"a": "Y", "b": "N", "c": "Y"}))


def test_a_contrast_is_a_difference_within_items(known_effects):
    contrast = known_effects.Contrast("s", "odd", "plain", "N400")
    words = long({"odd": [9.0, 7.0, 4.0], "plain": [5.0, 6.0, 6.0], "other": [0.0, 0.0, 0.0]})
    found = known_effects.differences(words, contrast, "surprisal_bits")
    assert found.to_dict() == {"a": 4.0, "b": 1.0, "c": -2.0}


def test_a_second_difference_is_taken_off_the_first(known_effects):
    contrast = known_effects.Contrast("s", "A1", "B1", "N400", minus=("A2", "B2"))
    words = long({"A1": [9.0, 8, 7], "B1": [4.0, 4, 4], "A2": [6.0, 5, 4], "B2": [4.0, 4, 4]})
    assert list(known_effects.differences(words, contrast, "surprisal_bits")) == [3.0, 3.0, 3.0]


def test_items_are_kept_by_condition_and_incomplete_ones_are_counted(known_effects):
    words = long({"odd": [9.0, 7.0, 4.0], "plain": [5.0, 6.0, np.nan]})
    contrast = known_effects.Contrast("s", "odd", "plain", "N400", where="licensing == 'Y'")
    found = known_effects.differences(words, contrast, "surprisal_bits")
    assert found["a"] == 4.0
    assert np.isnan(found["c"])
    assert "b" not in found
    words = words.assign(**{name: 0.0 for name in known_effects.MEASURES if name not in words})
    rows = pd.DataFrame(known_effects.summarize("s", words, [contrast])).query("kind == 'contrast'")
    assert set(zip(rows["n_items"], rows["n_incomplete"], strict=True)) == {(1, 1)}


def test_intervals_hold_a_planted_difference_as_often_as_they_say(known_effects):
    rng = np.random.default_rng(7)
    held = [
        low < 2.0 < high
        for low, high in (known_effects.item_interval(rng.normal(2.0, 3.0, 40), seed) for seed in range(200))
    ]
    assert 0.90 <= np.mean(held) <= 0.98


def test_the_interval_is_that_of_the_mean_and_is_repeatable(known_effects):
    values = np.random.default_rng(1).normal(2.0, 3.0, 60)
    low, high = known_effects.item_interval(values)
    standard_error = values.std(ddof=1) / np.sqrt(60)
    assert (high - low) / 2 == pytest.approx(1.96 * standard_error, rel=0.1)
    assert known_effects.item_interval(values) == (low, high)
    assert known_effects.item_interval([1.5, 1.5]) == (1.5, 1.5)


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.1, 1, "larger"), (-1, 0.1, "not shown"), (-1, -0.1, "smaller")]
)
def test_a_verdict_follows_from_the_interval(known_effects, low, high, expected):
    assert known_effects.verdict(pd.Series({"n_items": 5, "ci_low": low, "ci_high": high})) == expected


def test_the_page_and_figures_tell_what_the_table_holds(known_effects, tmp_path):
    contrasts = [known_effects.Contrast("s", "odd", "plain", "N400", note="A note.")]
    words = long({"odd": [9.0, 7.0, 8.0], "plain": [5.0, 6.0, 6.0]})
    words = words.assign(**{name: 0.5 for name in known_effects.MEASURES if name not in words})
    found = pd.DataFrame(known_effects.summarize("s", words, contrasts))
    page = known_effects.page(found, contrasts, {"model": "m", "dtype": "float32", "start_token": "<s>"})
    assert (
        "| s | odd − plain | N400 | 3 | 2.33 [1.00, 4.00] | larger | 0.0000 [0.0000, 0.0000] | not shown |"
        in page
    )
    assert "s, odd − plain: A note." in page
    known_effects.draw_contrasts(found, tmp_path / "contrasts.png")
    known_effects.draw_conditions(found, tmp_path / "conditions.png")
    for path in tmp_path.iterdir():
        picture = np.asarray(Image.open(path).convert("RGB"), dtype=int)
        assert picture.shape[1] == 1900
        blue = np.abs(picture - [0x01, 0x73, 0xB2]).sum(axis=2) < 20
        assert blue.sum() > 100


def test_registered_contrasts_are_unique_and_name_their_sets(known_effects):
    contrasts = known_effects.registered()
    assert len({(one.set, one.name) for one in contrasts}) == len(contrasts)
    assert {"kim2005", "ainsworth1998", "nieuwland2018", "n400_demo"} <= {one.set for one in contrasts}


@pytest.mark.skipif(not os.environ.get("CLADA_NEURO_DATA"), reason="CLADA_NEURO_DATA names no data sets")
def test_registered_conditions_exist_in_their_sets(known_effects):
    contrasts = known_effects.registered()
    for name in {one.set for one in contrasts}:
        frame = known_effects.stimuli(name, None)
        for one in (one for one in contrasts if one.set == name):
            assert set(one.signs) <= set(frame["condition"]), one.name
            assert not one.where or len(frame.query(one.where))
