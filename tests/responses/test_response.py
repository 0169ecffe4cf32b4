import pytest

from clada_neuro.numerals import decimals, fixed, interval
from clada_neuro.responses.response import response_of, unknown_unit


@pytest.mark.parametrize(
    ("column", "axis", "larger", "smaller"),
    [
        ("n400_uv", "N400 amplitude (µV)", "more positive N400 amplitudes", "more negative N400 amplitudes"),
        ("frontal_uv", "Frontal amplitude (µV)", "more positive frontal amplitudes", "more negative frontal amplitudes"),
        ("rt_ms", "Reading time (ms)", "longer reading times", "shorter reading times"),
        ("rt", "Reading time", "longer reading times", "shorter reading times"),
        ("first_fixation_ms", "First fixation time (ms)", "longer first fixation times", "shorter first fixation times"),
        ("naming_latency_ms", "Naming latency (ms)", "longer naming latencies", "shorter naming latencies"),
        ("rating", "Rating", "higher ratings", "lower ratings"),
    ],
)  # fmt: skip
def test_a_column_says_what_more_of_it_is(column, axis, larger, smaller):
    found = response_of(column)
    assert found.axis == axis
    assert f"{found.toward(1)} {found.plural}" == larger
    assert f"{found.toward(-1)} {found.plural}" == smaller


@pytest.mark.parametrize("column", ["log(rt_ms)", "np.log(rt_ms)", "log_rt_ms"])
def test_a_logarithm_keeps_the_words_and_names_its_unit(column):
    found = response_of(column)
    assert (found.name, found.unit, found.toward(0.1)) == ("reading time", "log ms", "longer")


def test_a_logarithm_of_an_unknown_unit_claims_none():
    assert response_of("log_rt").per(True) == "log units per SD"
    assert response_of("log_rating").name == "log rating"


@pytest.mark.parametrize(
    ("column", "unit", "larger"),
    [("1000/rt_ms", "1/s", "shorter"), ("-1000 / rt_ms", "1/s", "longer"), ("I(1/rt)", "reciprocal units", "shorter")],
)  # fmt: skip
def test_a_reciprocal_turns_the_direction(column, unit, larger):
    found = response_of(column)
    assert (found.unit, found.toward(1)) == (unit, larger)


def test_no_unit_leaves_no_hole():
    assert response_of("rating").per(True) == "per SD"
    assert response_of("rating").quantity(0.5, 0.1) == "0.50"


@pytest.mark.parametrize(
    ("se", "digits"), [(12.0, 2), (0.2, 2), (0.09, 2), (0.0126, 3), (0.0009, 4), (None, 2), (0.0, 2)]
)
def test_decimals_follow_the_standard_error(se, digits):
    assert decimals(se) == digits
    assert se in (None, 0.0) or digits == 2 or 10**-digits <= se / 5 < 10 ** -(digits - 1)


def test_an_interval_has_the_same_decimals_at_both_ends():
    assert interval(0.0064, 0.01, decimals(0.0009)) == "[0.0064, 0.0100]"
    assert interval(-0.42, 0.0017, 2) == "[−0.42, 0.00]"
    assert response_of("log_rt").quantity(0.0126, 0.0031) == "0.0126 log units"


def test_what_would_be_a_row_of_zeros_stands_before_a_power_of_ten():
    digits = decimals(3e-9)
    assert plain(fixed(-2.4e-8, digits)) == "−2.40 × 10⁻⁸"
    assert plain(interval(-2.4e-8, 1e-9, digits)) == "[−2.40, 0.10] × 10⁻⁸"
    assert plain(interval(None, 1e-9, digits)) == "[NA, 0.10] × 10⁻⁸"
    assert plain(fixed(0.000123, decimals(3e-5))) == "1.23 × 10⁻⁴"
    assert plain(interval(1.2e-5, 0.00319, 5)) == "[0.01, 3.19] × 10⁻³"
    assert fixed(0.0003, 4) == "0.0003"
    assert fixed(None, 5) == fixed(float("nan"), 5) == "NA"
    assert fixed(0.0, 5) == "0.00000"
    assert interval(-0.0021, 0.0215, 5) == "[−0.00210, 0.02150]"  # one end needs no power
    assert fixed(1234.5, digits).startswith("1,234.5")  # no small number


def plain(text):
    return text.replace("\u00a0", " ")


def test_what_rounds_to_zero_has_no_sign():
    assert fixed(-0.0004, 2) == "0.00"
    assert fixed(-92070.784, 2) == "−92,070.78"
    assert [fixed(float("inf"), 2), fixed(None, 2)] == ["∞", "NA"]


@pytest.mark.parametrize(
    ("column", "unit"), [("n400_mv", "mv"), ("rt_s", "s"), ("RT_sec", "sec"), ("n400_uv", ""), ("rt_ms", ""), ("pupil_mm", ""), ("s", ""), ("accuracy", "")]
)  # fmt: skip
def test_a_unit_that_is_not_known_is_found(column, unit):
    assert unknown_unit(column) == unit
