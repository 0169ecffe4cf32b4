"""The validation of `analyses/validate_statistics.py` in a hundred runs, and its summary by hand."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clada_neuro.stats.resample import replicate


@pytest.fixture(scope="module")
def validation() -> ModuleType:
    path = Path(__file__).parents[2] / "analyses" / "validate_statistics.py"
    spec = importlib.util.spec_from_file_location("validate_statistics", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_hundred_runs(validation: ModuleType) -> None:
    table = replicate(validation.Run(seed=1), 100, name="runs", inputs="", progress=True)
    found = validation.summarize(table)
    assert found["ok"].all(), found.to_string()
    rates = found.set_index("what")["rate"]
    # Without squares, a curve in one of two correlated predictors passes for an interaction.
    assert rates["test without squares rejects, curve"] > 0.3


def test_one_run_is_repeatable(validation: ModuleType) -> None:
    run = validation.Run(seed=1, sizes={"items": 20, "subjects": 8})
    first = run(3)
    assert first == run(3)
    assert set(first.values()) <= {0.0, 1.0}
    assert first["warns without (1 | stimulus)"] == 1.0
    assert first["warns with (1 | stimulus)"] == 0.0


def test_summary_marks_what_departs(validation: ModuleType) -> None:
    table = pd.DataFrame({"synergy test rejects, line": np.repeat([1.0, 0.0], [20, 80]), "unknown": 1.0})
    found = validation.summarize(table).set_index("what")
    assert not found.loc["synergy test rejects, line", "ok"]
    assert found.loc["synergy test rejects, line", "p"] == pytest.approx(
        stats.binomtest(20, 100, 0.05).pvalue
    )
    assert found.loc["unknown", "ok"]
