"""Every argument of every public name refuses what it cannot be, in one line that says what is expected."""

import pickle
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
import pytest

import clada_neuro as cn
from clada_neuro.arguments import _fits, _words, checked
from clada_neuro.errors import ArgumentError
from clada_neuro.stats.mixed import FitWarning

ARGUMENTS = [
    (name, argument, get_type_hints(getattr(cn, name))[argument])
    for name in cn.__all__
    for argument in signature(getattr(cn, name)).parameters
]


class Wrong:
    """Of no kind that any argument can be."""


@pytest.mark.parametrize(("name", "argument", "hint"), ARGUMENTS, ids=[f"{n}-{a}" for n, a, _ in ARGUMENTS])
def test_no_argument_takes_anything_at_all(name, argument, hint):
    required = [p.name for p in signature(getattr(cn, name)).parameters.values() if p.default is p.empty]
    given = dict.fromkeys(required, Wrong()) | {argument: Wrong()}
    with pytest.raises(ArgumentError, match=rf"^{name}\(\): \w+ = a Wrong given, .+ expected$"):
        getattr(cn, name)(**given)
    assert not _fits(Wrong(), hint)
    assert "<" not in _words(hint)  # in words, not as Python writes types


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: cn.trace(3), "trace(): stimuli = 3 (int) given, a data frame, text or a path expected"),
        (lambda: cn.trace("demo", policy="clada"), "trace(): policy = 'clada' (text) given, a policy (clada_neuro.policy) or None"),
        (lambda: cn.fit("t.csv", "y ~ x"), "fit(): data = 't.csv' (text) given, a data frame expected"),
        (lambda: cn.fit(pd.DataFrame(), formulas="y ~ x"), "fit() has no argument 'formulas' (did you mean 'formula'?)"),
        (lambda: cn.fit(pd.DataFrame()), "fit(): missing a required argument: 'formula'; it needs data, formula"),
        (lambda: cn.align(pd.DataFrame(), pd.DataFrame(), columns={"subject": 3}), "columns = {'subject': 3} (dict) given, a mapping from text to text"),
        (lambda: cn.generate("smollm2", "w3"), "language_model = 'smollm2' (text) given, a model (clada_neuro.load_model)"),
        (lambda: cn.attach("smollm2", "clada"), "attach(): model = 'smollm2' (text) given"),
        (lambda: cn.policy("smollm2"), "policy(): language_model = 'smollm2' (text) given"),
        (lambda: cn.calibrate("smollm2", ["a"], "x"), "calibrate(): language_model = 'smollm2' (text) given"),
        (lambda: cn.run("demo", jobs="2"), "run(): jobs = '2' (text) given, a whole number or None expected"),
        (lambda: cn.run("demo", sparsity=True), "run(): sparsity = True given, a number expected"),
        (lambda: cn.run("demo", window_ms={"n400": (300, "500")}), "a mapping from text to 2 values (a number, a number) or None"),
        (lambda: cn.run("demo", response=["rt_ms", 3]), "response = ['rt_ms', 3] (list) given, text, a list of text or None"),
        (lambda: cn.synergy(pd.DataFrame(), "y", ("a",)), "predictors = ('a',) (tuple) given, 2 values (text, text)"),
        (lambda: cn.report("out", fits=[3]), "a list of what clada_neuro.fit or clada_neuro.synergy returned"),
        (lambda: cn.read_stimuli(["a"]), "source = ['a'] (list) given, text, a path or a data frame"),
        (lambda: cn.load_model(3), "load_model(): name = 3 (int) given, text or a path"),
    ],
)  # fmt: skip
def test_what_arrived_and_what_was_expected_stand_in_one_line(call, told):
    with pytest.raises(ArgumentError) as error:
        call()
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, TypeError)


def test_what_counts_as_the_kind_is_taken():
    @checked
    def f(
        a: float, b: list[str], c: str | Path | None = None, *, d: int = 0, e: Mapping[str, Any] | None = None
    ) -> tuple:
        return a, b, c, d, e

    assert f(1, ("x",)) == (1, ("x",), None, 0, None)
    assert f(1, ["x"], e={"x": "sum"})[4] == {"x": "sum"}
    assert f(np.float32(2), pd.Index(["x"]), Path("x"), d=np.int64(3))[3] == 3
    assert f(np.int64(1), np.array(["x"]), "x")[2] == "x"
    for given in ((1, "x"), ("1", ["x"]), (True, ["x"]), (1, [1])):
        with pytest.raises(ArgumentError):
            f(*given)


def test_a_public_name_is_documented_as_its_function():
    from clada_neuro.stats.mixed import fit

    assert cn.fit.__doc__ == fit.__doc__
    assert signature(cn.fit) == signature(fit)


@pytest.mark.parametrize("name", cn.__all__)
def test_a_public_name_can_be_sent_to_another_process(name):
    assert pickle.loads(pickle.dumps(getattr(cn, name))) is getattr(cn, name)


def test_warnings_of_a_fit_name_the_users_line():
    rows = pd.DataFrame({"g": list("aabbccdd") * 4, "x": range(32), "y": [at * at % 7 for at in range(32)]})
    with pytest.warns(FitWarning) as found:
        cn.fit(rows, "y ~ x + (1 | g)")
    assert found[0].filename == __file__
