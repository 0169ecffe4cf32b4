"""The validation of `analyses/15_validate_statistics.py` in a hundred runs, and its summary by hand."""

from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from analysis_scripts import load
from scipy import stats

from clada_neuro.stats.resample import replicate


@pytest.fixture(scope="module")
def validation() -> ModuleType:
    return load("15_validate_statistics")


@pytest.mark.slow
def test_a_hundred_runs(validation: ModuleType) -> None:
    table = replicate(validation.Run(seed=1), 100, name="runs", inputs="", progress=True)
    found = validation.summarize(table)
    assert found["ok"].all(), found.to_string()
    rates = found.set_index("what")["rate"]
    # Without squares, a curve in one of two correlated predictors passes for an interaction.
    assert rates["test without squares rejects, curve"] > 0.3
    # Nor does a random intercept of the item cover what varies between its texts.
    assert rates["null predictor rejects, texts of an item pooled, 24 items, texts differ"] > 0.15


def test_one_run_is_repeatable(validation: ModuleType) -> None:
    run = validation.Run(seed=1, sizes={"items": 20, "subjects": 8})
    first = run(3)
    assert first == run(3)
    assert set(first.values()) <= {0.0, 1.0}
    assert first["warns without (1 | stimulus)"] == 1.0
    assert first["warns with (1 | stimulus)"] == 0.0
    assert len([name for name in first if name.startswith("null predictor rejects")]) == 2 * len(
        validation.CONTEXTS
    )


def test_summary_marks_what_departs(validation: ModuleType) -> None:
    table = pd.DataFrame({"synergy test rejects, line": np.repeat([1.0, 0.0], [20, 80]), "unknown": 1.0})
    found = validation.summarize(table).set_index("what")
    assert not found.loc["synergy test rejects, line", "ok"]
    assert found.loc["synergy test rejects, line", "p"] == pytest.approx(
        stats.binomtest(20, 100, 0.05).pvalue
    )
    assert found.loc["unknown", "ok"]
