"""Formulas are split as lme4 reads them."""

import numpy as np
import pandas as pd
import pytest
from formulaic.parser.types.formula_parser import FormulaParser
from hypothesis import given
from hypothesis import strategies as st

from clada_neuro.errors import FitError
from clada_neuro.stats import formula as module
from clada_neuro.stats import mixed
from clada_neuro.stats.contrasts import canonical
from clada_neuro.stats.formula import RandomTerm, names_of, parse, plain_names, with_contrasts


@pytest.mark.parametrize(
    "text, fixed, random",
    [
        ("y ~ x + (1|s)", "x", [("1", "s")]),
        ("y~x*z+(1+x|s)+(1|i)", "x*z", [("1+x", "s"), ("1", "i")]),
        ("y ~ (1 | s)", "1", [("1", "s")]),
        ("y ~ 1 + (0 + x | s)", "1", [("0 + x", "s")]),
        ("y ~ x + (1 + x || s)", "x", [("1", "s"), ("0 + x", "s")]),
        ("y ~ x + (x * z || s)", "x", [("1", "s"), ("0 + x", "s"), ("0 + z", "s"), ("0 + x:z", "s")]),
        ("y ~ (`a b` || s)", "1", [("1", "s"), ("0 + `a b`", "s")]),
        ("y ~ x + (1 | lab/s)", "x", [("1", "lab"), ("1", "lab:s")]),
        ("y ~ x + (1 | s:i)", "x", [("1", "s:i")]),
        ("y ~ (1 | s) + a * (b + c)", "a * (b + c)", [("1", "s")]),
        ("log(y) ~ scale(log(x)) + I(x^2) + (1 | s)", "scale(log(x)) + I(x ** 2)", [("1", "s")]),
    ],
)
def test_parts(text: str, fixed: str, random: list[tuple[str, str]]) -> None:
    found = parse(text)
    assert found.fixed == fixed
    assert [(term.columns, term.group) for term in found.random] == random


def test_variables_are_columns_not_functions() -> None:
    found = parse("log(y) ~ scale(a) + C(b, contr.sum):poly(c, 2) + I(d ** 2) + np.exp(e) + (1 + f | g/h)")
    assert sorted(found.variables()) == ["a", "b", "c", "d", "e", "f", "g", "h", "y"]
    assert plain_names("a + log(b) + I(c ** 2) + d:e") == ["a", "d", "e"]


@pytest.mark.parametrize(
    "text, reason",
    [
        ("y x", "not a formula"),
        ("~ x", "not a formula"),
        ("y ~", "not a formula"),
        ("y ~ x + 1 | s", "parentheses"),
        ("y ~ x + (1 | s", "parentheses"),
        ("y ~ x) + (1 | s)", "parentheses"),
        ("y ~ x + (1 | s | t)", "random term"),
        ("y ~ x + ( | s)", "random term"),
        ("y ~ x - (1 | s)", "joined with"),
        ("y ~ x * (1 | s)", "joined with"),
        ("y ~ x + + * z + (1 | s)", "cannot read"),
        ("y ~ x ~ z + (1 | s)", "more than one part; write one ~"),
        ("y ~ x ^ (-1) + (1 | s)", "cannot read"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, reason: str) -> None:
    with pytest.raises(FitError, match=reason) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_contrasts_reach_interactions_and_leave_other_terms() -> None:
    assert with_contrasts("c * x", canonical({"c": "sum"})) == "1 + C(c, contr.sum) + x + C(c, contr.sum):x"
    assert with_contrasts("0 + x", canonical({"c": "helmert"})) == "0 + x"
    assert with_contrasts("c", canonical({"c": "treatment"})) == "1 + C(c, contr.treatment)"


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True), st.booleans())
def test_whitespace_and_order_of_terms_do_not_matter(names: list[str], first: bool) -> None:
    fixed = " + ".join(names)
    sides = f"(1|s) + {fixed}" if first else f"{fixed}+( 1 |  s )"
    found = parse(f"y ~ {sides}")
    assert found.fixed == fixed
    assert found.random == (RandomTerm("1", ("s",)),)


@pytest.mark.parametrize("size", [200, 400, 800, 3000])
def test_endless_expressions_are_read_or_refused(size: int) -> None:
    try:
        assert set(parse(f"y ~ I({' + '.join(['x'] * size)})").variables()) == {"x", "y"}
    except FitError as error:
        assert "recursion" in str(error) or "too deep" in str(error)  # noqa: PT017


def test_what_a_side_holds_is_found_out_once(monkeypatch):
    read, real = [], module.Formula
    monkeypatch.setattr(module, "Formula", lambda side: read.append(side) or real(side))
    module._terms.cache_clear()
    assert [names_of("aa * bb") for _ in range(3)] == [["aa", "bb", "aa", "bb"]] * 3
    assert plain_names("aa * bb") == ["aa", "bb"]
    assert read == ["aa * bb"]


def test_a_fit_reads_each_side_of_its_formula_once(monkeypatch):
    read, get_terms = [], FormulaParser.get_terms

    def counted(self, formula, **given):
        read.append(formula)
        return get_terms(self, formula, **given)

    monkeypatch.setattr(FormulaParser, "get_terms", counted)
    rng = np.random.default_rng(0)
    groups = {"person": np.arange(200) % 10, "word": np.arange(200) // 10}
    data = pd.DataFrame({**groups, **{name: rng.normal(size=200) for name in ("once", "twice", "answer")}})
    mixed.fitted(data, "answer ~ once * twice + (1 + once | person) + (1 | word)", standardize=True)
    assert sorted(read) == sorted(set(read))
    assert "once * twice" in read
