"""The validation of `analyses/22_validate_families.py`: one study of each kind is repeatable, and its summary by hand."""

import pandas as pd
import pytest
from analysis_scripts import load
from scipy import stats


@pytest.mark.parametrize("kind", ["accuracy", "counts", "log times"])
def test_a_study_is_repeatable_and_its_outcomes_are_yes_or_no(kind):
    validation = load("22_validate_families")
    first = validation.outcomes(kind, 3, 0)
    assert first == validation.outcomes(kind, 3, 0)
    assert set(first) == {"null predictor rejects", "interval covers x", "contrast covers"}
    assert set(first.values()) <= {0.0, 1.0}


def test_a_rate_off_its_nominal_value_is_marked():
    validation = load("22_validate_families")
    table = pd.DataFrame({"kind": "counts", "interval covers x": [1.0] * 80 + [0.0] * 20})
    row = validation.summarize(table).iloc[0]
    assert (row["n"], row["rate"], row["nominal"]) == (100, 0.8, 0.95)
    assert row["p"] == pytest.approx(stats.binomtest(80, 100, 0.95).pvalue)
    assert not row["ok"]
