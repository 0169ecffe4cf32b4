"""Studies of `analyses/28_layer_maps.py`: repeatable, a planted layer is found, and the summary by hand."""

import pandas as pd
import pytest
from analysis_scripts import load

maps = load("28_layer_maps")


def test_a_study_is_repeatable_and_both_tests_are_stricter_than_one():
    found = [maps.Run(maps.NULLS[0])(number) for number in (0, 0)]
    pd.testing.assert_frame_equal(pd.DataFrame(found[:1]), pd.DataFrame(found[1:]))
    for what in ("mean, clusters", "mean, TFCE", "every electrode, clusters"):
        alone = [found[0][f"{what}, {over}"] for over in ("subjects", "items")]
        assert found[0][f"{what}, both"] <= min(alone)


def test_one_layer_is_found():
    found = maps.Run("one layer")(0)
    assert found["planted layers found"] == found["mean, clusters, both"] == 1
    assert abs(found["error of peaks, ms"]) <= 40


def test_the_summary_is_shares_with_intervals_and_means():
    table = pd.DataFrame({"hit": [1.0] + 19 * [0.0], "rho": [0.2, 0.4] * 10, "none": [None] * 20})
    hit, rho = maps.summarize(table, "null").to_dict("records")
    assert (hit["what"], hit["n"], hit["mean"]) == ("hit", 20, 0.05)
    assert hit["ci_low"] < 0.05 < hit["ci_high"]
    assert rho["mean"] == pytest.approx(0.3)
