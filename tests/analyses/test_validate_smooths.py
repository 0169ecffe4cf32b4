"""The validation of `analyses/25_validate_smooths.py`: studies are repeatable, and its summary by hand."""

import pandas as pd
import pytest
from analysis_scripts import load


@pytest.mark.parametrize("kind", ["over items", "over trials", "product"])
def test_a_study_is_repeatable_and_its_outcomes_are_yes_or_no(kind):
    validation = load("25_validate_smooths")
    first = validation.outcomes(kind, 3, 0)
    assert first == validation.outcomes(kind, 3, 0)
    assert validation.LINE in first
    assert set(first.values()) <= {0.0, 1.0}


@pytest.mark.parametrize("hits, fine", [(2, False), (3, True), (8, True), (9, False)])
def test_a_size_outside_three_to_eight_percent_is_marked(hits, fine):
    validation = load("25_validate_smooths")
    table = pd.DataFrame({"kind": "product", validation.LINE: [1.0] * hits + [0.0] * (100 - hits)})
    row = validation.summarize(table).iloc[0]
    assert (row["rate"], row["nominal"], row["ok"]) == (hits / 100, 0.05, fine)
