"""One null study of `analyses/23_layer_family.py`, and its summary by hand."""

import pandas as pd
from analysis_scripts import load

family = load("23_layer_family")


def test_a_run_is_repeatable_and_its_corrections_are_ordered():
    found = [family.Run(seed=3)(number) for number in (0, 0, 1)]
    assert found[0] == found[1]
    assert all(set(one.values()) <= {0.0, 1.0} for one in found)
    assert all(one["Bonferroni"] <= one["smallest p, uncorrected"] for one in found)


def test_the_summary_is_the_share_of_studies():
    (row,) = family.summarize(pd.DataFrame({"max-T of the family": [1.0] + 19 * [0.0]})).to_dict("records")
    assert row["rate"] == 0.05
    assert row["ci_low"] < 0.05 < row["ci_high"]
