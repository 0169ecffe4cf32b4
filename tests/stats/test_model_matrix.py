"""Formulas as R users write them give R's model matrix."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.design import columns_for
from clada_neuro.stats.model import specify
from clada_neuro.stats.names import check_models
from clada_neuro.stats.specification import ModelSpecification

REFERENCE = Path(__file__).parents[1] / "reference"
MATRICES = json.loads((REFERENCE / "model_matrix_reference.json").read_text())["matrices"]


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    found = pd.read_csv(REFERENCE / "model_matrix.csv")
    return found.assign(y=np.arange(len(found)) % 7.0, subject=np.arange(len(found)) % 3)


@pytest.mark.parametrize("case", MATRICES, ids=lambda case: case["side"])
def test_the_columns_are_those_of_r(data: pd.DataFrame, case: dict) -> None:
    found = specify(data, f"y ~ {case['side']}").design
    assert pytest.approx(np.array(case["columns"]).T, abs=1e-12) == found.X
    # Other rows get the knots, centers and levels of the fit.
    assert columns_for(found.spec, data.tail(5)) == pytest.approx(found.X[-5:], abs=1e-12)


@pytest.mark.parametrize(
    "ours, theirs",
    [
        ("C(cond, Sum)", "C(cond, contr.sum)"),
        ('C(cond, Treatment("control"))', 'relevel(cond, ref="control")'),
        ('C(cond, contr.treatment(base="control"))', 'relevel(cond, ref="control")'),
        ("np.log(rt)", "log(rt)"),
        ("splines::ns(x, 3L)", "ns(x, 3)"),
        ("center(x)", "scale(x, scale = FALSE)"),
        ("C(factor(cond, levels = c('control', 'Expt', 'baseline')), sum)", "C(cond, levels=['control', 'Expt', 'baseline'], contrasts=Sum)"),
    ],
)  # fmt: skip
def test_other_spellings_mean_the_same(data: pd.DataFrame, ours: str, theirs: str) -> None:
    one, other = (specify(data, f"y ~ {side}").design for side in (ours, theirs))
    assert pytest.approx(other.X) == one.X


def test_responses_may_be_transformed_and_have_an_offset(data: pd.DataFrame) -> None:
    assert specify(data, "-1000/rt ~ x").design.y == pytest.approx(-1000 / data["rt"])
    assert specify(data, "log(`word length`) ~ x").design.y == pytest.approx(np.log(data["word length"]))
    shifted = specify(data, "y ~ x + offset(log(rt)) + (1 | subject)")
    assert shifted.design.y == pytest.approx(data["y"] - np.log(data["rt"]))
    assert shifted.design.names == ("(Intercept)", "x")


def test_beyond_its_knots_a_natural_spline_is_a_line(data: pd.DataFrame) -> None:
    spec = specify(data, "y ~ ns(x, 3)").design.spec
    beyond = columns_for(spec, pd.DataFrame({"x": [5.0, 6.0, 7.0, -4.0, -5.0, -6.0]}))
    assert np.diff(beyond[:3], n=2, axis=0) == pytest.approx(0, abs=1e-12)
    assert np.diff(beyond[3:], n=2, axis=0) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "formula, reason",
    [
        ("y ~ log(s(x))", r"s\(\) in the formula .* is not offered; write a smooth as a term of its own"),
        ("y ~ lag(x)", "a column with the earlier value"),
        ("y ~ interaction(cond, two)", "write a:b"),
        ("y ~ mgcv(x)", "a formula may call C, I, abs"),
        ("y ~ scale(x, ddof = 0)", r"'ddof' of scale\(\).*takes the column, center, scale"),
        ("y ~ log(x, 2, 3)", r"number 3 of log\(\)"),
        ("y ~ C(cond, contr.none)", "'contr.none' are not offered; there are treatment"),
        ("y ~ relevel(cond)", "write relevel"),
        ("y ~ relevel(cond, ref = 'absent')", "'absent' is none of Expt, baseline, control"),
        ("y ~ C(cond, contr.treatment(base = 4))", "4 is none of"),
        (
            "y ~ C(cond, c(-0.5, 0.5))",
            r"2 x 1 codes for the 3 levels Expt, baseline, control; 3 x 2 expected",
        ),
        (
            "y ~ factor(cond, levels = c('Expt', 'control'))",
            "the level 'baseline' of 'cond' is not among the levels",
        ),
        ("y ~ factor(cond, labels = c('a', 'b', 'c'))", "'labels' of factor"),
        ("y ~ I(cond %in% c('a', 'b'))", "'%in%' inside a function"),
        ("y ~ as.numeric(cond)", "as.numeric"),
        ("y ~ . - x", "name the predictors"),
        ("y ~ x * offset(rt)", "an offset cannot interact"),
        ("y ~ scale(class)", "'class' cannot stand inside a function"),
        ("y ~ scale()", "names no column"),
        ("y ~ x + (1 | cond + two)", "cannot group by"),
        ("y ~ `word length` + word_length", "too much alike"),
        ("cbind(y, x) ~ cond", "more than one response"),
    ],
)
def test_what_is_not_offered_says_what_is(data: pd.DataFrame, formula: str, reason: str) -> None:
    with pytest.raises(FitError, match=reason) as caught:
        specify(data.assign(word_length=1.0), formula)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "written, name",
    [
        ("I(x^2)", "I(x ** 2)"),
        ("I(x ** 2)", "I(x ** 2)"),
        ("scale(cloze.prob)", "scale(cloze.prob)"),
        ("scale(x, scale=FALSE):cloze.prob", "scale(x, scale=False):cloze.prob"),
        ("as.numeric(num)", "as.numeric(num)"),
        ("`word length`", "word length"),
        ("C(cond, Sum)[S.Expt]", "C(cond, contr.sum)[S.Expt]"),
        ("cond[T.5^2 words(of any)]", "cond[T.5^2 words(of any)]"),
    ],
)
def test_directions_may_name_terms_as_the_formula_does(written: str, name: str) -> None:
    columns = "x + cond + num + cloze.prob + `word length`"
    model = ModelSpecification("m", f"y ~ {columns}", directions={written: "positive"})
    assert model.directions == {name: "positive"}
    check_models([model])
    with pytest.raises(FitError, match=r"direction of .* given"):
        check_models([replace(model, formula="y ~ cloze")])
