import pandas as pd
import pytest

from clada_neuro.records.terms import square
from clada_neuro.reporting.labels import axis, is_measure, words
from clada_neuro.reporting.text import NBSP, cell, column, number, p_value, plural, share, shares, stat


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.9145, "−0.91"),
        (25322.0, "25,322.00"),
        (0.0042, "0.0042"),
        (0.0, "0.00"),
        (None, "NA"),
        (0.00042, f"4.2{NBSP}×{NBSP}10⁻⁴"),
        (2.4e-7, f"2.4{NBSP}×{NBSP}10⁻⁷"),
        (-3.28e-6, f"−3.3{NBSP}×{NBSP}10⁻⁶"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.17, ".170"),
        (-0.004, "−.004"),
        (0.00013, f"0.13{NBSP}×{NBSP}10⁻³"),
        (1.0, "1.00"),
        (None, "NA"),
    ],
)
def test_share_has_no_leading_zero(value, text):
    assert share(value) == text


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, f"<{NBSP}.001"), (0.0123, ".012"), (0.5, ".500"), (1.0, "1.00")]
)
def test_p_value(p, text):
    assert p_value(p) == text


def test_stat_does_not_break_over_lines():
    assert stat("p", p_value(0.0001)) == f"p{NBSP}<{NBSP}.001"
    assert stat("b", number(-1.2)) == f"b{NBSP}={NBSP}−1.20"


def test_cell_of_any_value():
    assert cell(True) == "yes"
    assert cell(pd.NA) == "NA"
    assert cell([300, 500]) == "300, 500"
    assert cell({"n400": [300, 500]}) == "n400: 300, 500"


def test_column_has_equal_decimals():
    assert column(pd.Series([1.5, 2.0])) == ["1.500", "2.000"]
    assert column(pd.Series([1.0, 1234.0])) == ["1", "1,234"]
    assert column(pd.Series([0.02], name="p")) == [".020"]


def test_plural():
    assert [plural(1, "trial"), plural(2, "trial"), plural(3, "stimulus")] == [
        "1 trial",
        "2 trials",
        "3 stimuli",
    ]


def test_names_of_terms():
    assert words("surprisal_bits:sparsity_energy99") == "surprisal × activation sparsity"
    assert words("surprisal_bits_lag1") == "surprisal of the previous word"
    assert words("I(surprisal_bits ** 2)") == "surprisal²"
    assert axis("surprisal_bits_lag2") == "Surprisal of the word 2 before (bits)"
    assert axis("my_column") == "My column"


def test_square_names_its_variable():
    assert square("I(x ** 2)") == "x"
    assert square("x^2") == "x"
    assert square("x") is None
    assert square("I(x ** 3)") is None


def test_measures_are_the_models():
    assert is_measure("surprisal_bits_lag1")
    assert not is_measure("length")


def test_shares_that_are_almost_nothing_are_no_row_of_zeros():
    assert (share(1.9e-7), share(-3e-6), share(2.4e-5), share(0.0)) == (
        "< 10⁻⁵",
        "< 10⁻⁵",
        f"0.24{NBSP}×{NBSP}10⁻⁴",
        ".000",
    )
    assert stat("part R²", share(1.9e-7)).replace("\N{NO-BREAK SPACE}", " ") == "part R² < 10⁻⁵"


def test_an_interval_of_shares_has_the_decimals_of_its_width():
    assert shares(0.00000024, 0.0041) == "[.0000, .0041]"
    assert shares(0.017, 0.0523) == "[.017, .052]"
    assert shares(1e-7, 4e-6) == "[< 10⁻⁵, < 10⁻⁵]"
    assert shares(0.0000097, 0.00319, 5) == f"[0.01, 3.19]{NBSP}×{NBSP}10⁻³"
    assert shares(None, 0.2) == "[NA, .200]"
