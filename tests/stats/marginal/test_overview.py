"""What a report shows of any formula with factors: cells, families, slopes; and every formula goes through."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from clada_neuro.stats.marginal import grid
from clada_neuro.stats.marginal.overview import overview
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_rscript import CASES, data, fitted  # noqa: F401

REFERENCE = Path(__file__).parents[2] / "reference"


@pytest.mark.parametrize("formula, how", CASES, ids=[formula for formula, _ in CASES])
def test_every_formula_has_tests_and_means(data: pd.DataFrame, formula: str, how: dict) -> None:  # noqa: F811
    entry = fitted(data, formula, how).to_dict()
    n_coefficients = len(entry["coefficients"]) - 1
    assert sum(term["df1"] for term in entry["terms"]) == n_coefficients
    for shown in entry["marginal"]:
        assert all(row["se"] > 0 for row in [*shown["estimates"], *shown["contrasts"]])


@pytest.mark.parametrize(
    "fixed, expected",
    [
        ("condition * group + x", [("condition | group", "", 6, 6)]),
        ("condition + group", [("condition", "", 3, 3), ("group", "", 2, 1)]),
        ("condition * x + group", [("condition", "", 3, 3), ("group", "", 2, 1), ("condition", "x", 3, 3)]),
        ("condition * group * x", [("condition | group", "", 6, 6), ("condition | group", "x", 6, 6)]),
        ("condition + log(x):condition", [("condition", "", 3, 3)]),
        ("x", []),
        ("item", []),
    ],
)
def test_what_is_shown(fixed: str, expected: list[tuple[str, str, int, int]]) -> None:
    trials = pd.read_csv(REFERENCE / "factorial_few.csv")
    found = overview(estimate(specify(trials, f"n400_uv ~ {fixed} + (1 | subject)")))
    assert [
        (
            " | ".join([" + ".join(one["factors"]), *one["by"]]),
            one["slope"],
            len(one["estimates"]),
            len(one["contrasts"]),
        )
        for one in found
    ] == expected


def test_too_many_combinations_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "MOST_CELLS", 5)
    trials = pd.read_csv(REFERENCE / "factorial_few.csv")
    fit = estimate(specify(trials, "n400_uv ~ condition * group + (1 | subject)"))
    entry = fit.to_dict()
    assert entry["marginal"] == []
    assert "marginal means left out: the factors and two-valued predictors of" in entry["warnings"][-1]
    assert len(fit.emmeans("condition", at={"group": "patient"})) == 3
