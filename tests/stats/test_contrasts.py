"""One grammar for contrasts: by option and in the formula the same columns, names and messages."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.contrasts import canonical
from clada_neuro.stats.design import Design
from clada_neuro.stats.model import specify


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rows = [(y, cond, two) for y in range(4) for cond in ("high", "low", "none") for two in (1, 2)]
    return pd.DataFrame(rows, columns=["y", "cond", "two"])


def _design(data: pd.DataFrame, **contrasts: Any) -> Design:
    return specify(data, "y ~ cond", contrasts=contrasts).design


@pytest.mark.parametrize(
    "given, in_formula",
    [
        ("treatment", "contr.treatment"),
        ("treatment(low)", "contr.treatment(base = 'low')"),
        ("Treatment('low')", "contr.treatment(base = 'low')"),
        ("treatment(reference = low)", "contr.treatment(base = 'low')"),
        ("contr.treatment(3, 2)", "contr.treatment(base = 'low')"),
        ("sum", "contr.sum"),
        ("contr.sum", "Sum"),
        ("helmert", "contr.helmert"),
        ("successive", "MASS::contr.sdif"),
        ("sdif", "Diff"),
        ("polynomial", "contr.poly"),
        ("cbind(c(-1, 0.5, 0.5), c(0, -0.5, 0.5))", "cbind(c(-1, 0.5, 0.5), c(0, -0.5, 0.5))"),
        ([[-1, 0], [0.5, -0.5], [0.5, 0.5]], "cbind(c(-1, 0.5, 0.5), c(0, -0.5, 0.5))"),
    ],
)
def test_an_option_is_what_stands_in_the_formula(data: pd.DataFrame, given: Any, in_formula: str) -> None:
    by_option = _design(data, cond=given)
    written = specify(data, f"y ~ C(cond, {in_formula})").design
    assert np.array_equal(by_option.X, written.X)
    assert [name.split("[")[0] for name in by_option.names[1:]] == ["cond", "cond"]
    assert [name.split("[")[-1] for name in by_option.names] == [
        name.split("[")[-1] for name in written.names
    ]


def test_codes_by_level_do_not_depend_on_their_order(data: pd.DataFrame) -> None:
    one = _design(data, cond={"none": [0, 1], "high": [0, 0], "low": [1, 0]})
    other = _design(data, cond={"high": [0, 0], "low": [1, 0], "none": [0, 1]})
    assert np.array_equal(one.X, other.X)
    assert np.array_equal(one.X[:, 1:], _design(data, cond="treatment").X[:, 1:])


def test_what_is_canonical_stays(data: pd.DataFrame) -> None:
    for given in ("treatment(low)", "sum", {"high": [0, 0], "low": [1, 0], "none": [0, 1]}, [1, 2, 3]):
        once = canonical({"cond": given})
        assert canonical(once) == once or "levels" in once["cond"]
        assert (
            np.array_equal(_design(data, **once).X, _design(data, cond=given).X)
            if given != [1, 2, 3]
            else True
        )


@pytest.mark.parametrize(
    "given, message",
    [
        ("summ", "contrasts of 'cond': contrasts 'summ' are not offered; there are treatment"),
        ("treatment(lo)", "reference level 'lo' .* high, low, none"),
        (
            "Treatment(1)",
            "contrasts of 'cond': which level Treatment\\(1\\) means is not clear; write treatment\\('1'\\)",
        ),
        ("3", "contrasts of 'cond': contrasts '3'"),
        (3, "contrasts 3 of 'cond'"),
        ("sum(", "contrasts of 'cond'"),
        ([[1, 1], [0, 0], [-1, -1]], "codes of 'cond' do not tell its 3 levels"),
        ([1, 0, -1], "3 x 1 codes for the 3 levels"),
        ({"high": 1, "low": "a", "none": 0}, "codes .* of 'cond'"),
        ({"high": [0, 1], "low": [1, 0]}, "the level 'none' of 'cond' is not among the levels high, low"),
    ],
)
def test_what_is_not_offered_is_named_with_its_column(data: pd.DataFrame, given: Any, message: str) -> None:
    with pytest.raises(FitError, match=message):
        _design(data, cond=given)


@pytest.mark.parametrize("contrast", ["treatment(low)", "Treatment(low)", "contr.treatment('low')", "treatment(base = low)"])  # fmt: skip
def test_a_reference_level_in_a_formula_is_never_lost(data: pd.DataFrame, contrast: str) -> None:
    names = specify(data, f"y ~ C(cond, {contrast})").design.names
    assert [name[-5:] for name in names[1:]] == ["high]", "none]"]


def test_a_number_as_the_reference_level(data: pd.DataFrame) -> None:
    design = specify(data, "y ~ two", contrasts={"two": "treatment('2')"}).design
    assert design.names == ("(Intercept)", "two[T.1]")
