"""Factors that the rows used cannot carry are named with column and level."""

import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.model import specify


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rows = [(y, a, b) for y in range(3) for a in ("x", "y", "z") for b in ("one", "two")]
    return pd.DataFrame(rows, columns=["y", "a", "b"])


@pytest.mark.parametrize("formula, contrasts", [("y ~ a", {}), ("y ~ a", {"a": "sum"}), ("y ~ y:a", {}), ("y ~ 0 + a + b", {})])  # fmt: skip
def test_one_level_left(data: pd.DataFrame, formula: str, contrasts: dict[str, str]) -> None:
    with pytest.raises(FitError, match=r"^'a' has one level in the rows used \('x'\); leave it out"):
        specify(data[data["a"] == "x"], formula, contrasts=contrasts)


@pytest.mark.parametrize("contrasts", [{}, {"a": "sum", "b": "helmert"}])
@pytest.mark.parametrize("formula", ["y ~ a * b", "y ~ a:b", "y ~ b * a"])
def test_an_empty_cell(data: pd.DataFrame, formula: str, contrasts: dict[str, str]) -> None:
    rows = data[~((data["a"] == "y") & (data["b"] == "two"))]
    with pytest.raises(
        FitError, match=r"^no row has (a 'y' and b 'two'|b 'two' and a 'y'), which '(a:b|b:a)' needs"
    ):
        specify(rows, formula, contrasts=contrasts)
    assert len(specify(rows, "y ~ a + b").design.y) == len(rows)


def test_a_declared_level_without_rows(data: pd.DataFrame) -> None:
    with pytest.raises(FitError, match="no row used has the level 'w' of 'a'"):
        specify(data, "y ~ factor(a, levels = c('w', 'x', 'y', 'z'))")
