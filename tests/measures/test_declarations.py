"""What is declared of a measure is what tables, both implementations and the page of measures hold."""

import importlib.util
from pathlib import Path

import pytest

from clada_neuro import tables
from clada_neuro.measures.activity import ACTIVITY
from clada_neuro.measures.measure import in_order
from clada_neuro.measures.tokens import TOKENS
from clada_neuro.measures.words import WORDS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_measures_is_the_declarations():
    specification = importlib.util.spec_from_file_location("make_measures", DOCS / "make_measures.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert (DOCS / "measures.md").read_text(encoding="utf-8") == module.page(), "python docs/make_measures.py"


def test_every_declared_measure_is_a_column_in_its_order():
    names = [one.name for one in TOKENS]
    assert [name for name in tables.TOKENS.names() if name in names] == names
    assert [name for name in tables.LAYERS.names() if name in {one.name for one in ACTIVITY}] == [
        one.name for one in ACTIVITY
    ]
    assert {one.name for one in WORDS} <= set(tables.WORDS.names())
    assert len({one.name for one in (*TOKENS, *WORDS)}) == len(TOKENS) + len(WORDS)


def test_a_measure_that_was_forgotten_or_never_declared_fails_with_its_name():
    assert in_order({"b": 2, "a": 1}, ("a", "b")) == [1, 2]
    with pytest.raises(LookupError, match=r"declared and not computed: \['b'\]"):
        in_order({"a": 1}, ("a", "b"))
    with pytest.raises(LookupError, match=r"computed and not declared: \['c'\]"):
        in_order({"a": 1, "b": 2, "c": 3}, ("a", "b"))
