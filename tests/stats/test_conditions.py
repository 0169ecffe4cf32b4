import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clada_neuro.stats.conditions import at_critical_words, means, of_responses


def test_responses_are_averaged_within_subjects_first():
    rows = [
        ("a", 0, 1.0),
        ("a", 0, 3.0),
        ("a", 1, 6.0),
        ("a", 2, 4.0),
        ("b", 0, 7.0),
        ("b", 1, np.nan),
        ("b", 2, 9.0),
    ]
    trials = pd.DataFrame(rows, columns=["condition", "subject", "rt_ms"])
    found = of_responses(trials, ["rt_ms"]).set_index("condition")
    interval = stats.ttest_1samp([2.0, 6.0, 4.0], 0).confidence_interval(0.95)
    assert found.loc["a", ["mean", "ci_low", "ci_high", "n"]].tolist() == pytest.approx([4.0, *interval, 3])
    assert found.loc["b", "n"] == 2


def test_measures_are_averaged_over_critical_words_of_texts():
    words = pd.DataFrame({"stimulus_id": list("wwxxyz"), "is_critical": [False, True] * 2 + [True, True],
                          "surprisal_bits": [99.0, 1.0, 99.0, 3.0, 5.0, 8.0]})  # fmt: skip
    stimuli = pd.DataFrame({"stimulus_id": list("wxyz"), "condition": ["a", "a", "b", "b"]})
    found = at_critical_words(words, stimuli)
    assert found["mean"].tolist() == [2.0, 6.5]
    assert found["ci_high"].tolist() == pytest.approx(
        [2 + stats.t.ppf(0.975, 1), 6.5 + 1.5 * stats.t.ppf(0.975, 1)]
    )
    assert at_critical_words(words, stimuli[["stimulus_id"]]).empty


def test_one_unit_has_a_mean_and_no_interval():
    found = means(pd.DataFrame({"condition": ["a"], "y": [2.0]}), ["y"], ["condition"])
    assert found["mean"].tolist() == [2.0]
    assert found["ci_low"].isna().all()


def test_conditions_keep_the_order_of_the_rows_also_where_the_first_lacks_a_value():
    rows = pd.DataFrame({"condition": list("baba"), "y": [np.nan, 1.0, 2.0, 3.0]})
    assert means(rows, ["y"], ["condition"])["condition"].tolist() == ["b", "a"]
