"""What is printed about contrasts is read from the codes that were used."""

from pathlib import Path

import pandas as pd
import pytest

from clada_neuro.stats.analysis_file import read_analysis
from clada_neuro.stats.coding import codings
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rows = [(y, cond, two) for y in range(4) for cond in ("high", "low", "none") for two in (1, 2)]
    frame = pd.DataFrame(rows, columns=["y", "cond", "two"])
    return frame.assign(x=[(7 * k) % 5 for k in range(len(frame))])


@pytest.mark.parametrize(
    "term, coded",
    [
        ("cond", "treatment (reference high)"),
        ("C(cond, contr.treatment(base='low'))", "treatment (reference low)"),
        ("C(cond, contr.treatment(3, 2))", "treatment (reference low)"),
        ("relevel(cond, ref = 'none')", "treatment (reference none)"),
        ("C(cond, contr.SAS)", "treatment (reference none)"),
        ("C(cond, contr.sum)", "sum"),
        ("C(cond, Sum)", "sum"),
        ("C(cond, contr.helmert)", "helmert"),
        ("ordered(cond)", "polynomial"),
        ("C(cond, contr.sdif)", "successive differences"),
        ("C(cond, cbind(c(-1, 0.5, 0.5), c(0, -0.5, 0.5)))", "own codes"),
        ("0 + cond", "one indicator a level"),
        ("x:cond", "one indicator a level"),
        ("factor(two)", "treatment (reference 1)"),
        ("C(two, sum)", "sum (1 1, 2 -1)"),
        ("C(two, contr.helmert)", "helmert (1 -1, 2 1)"),
        ("C(two, c(0.25, -0.75))", "own codes (1 0.25, 2 -0.75)"),
    ],
)
def test_every_coding_is_named(data: pd.DataFrame, term: str, coded: str) -> None:
    (found,) = codings(specify(data, f"y ~ {term}").design.spec).values()
    assert str(found) == coded


def test_a_fit_prints_them_by_column(data: pd.DataFrame) -> None:
    found = estimate(
        specify(data, "y ~ C(cond, Sum) * x", contrasts={"cond": "helmert"}), engine="statsmodels"
    )
    assert "contrasts: cond sum;" in found.summary()
    named = specify(data, "y ~ factor(cond) * x", contrasts={"cond": "helmert"})
    assert estimate(named, engine="statsmodels").to_dict()["contrasts"] == {"cond": "helmert"}
    assert named.design.names == (
        "(Intercept)",
        "cond[H.low]",
        "cond[H.none]",
        "x",
        "cond[H.low]:x",
        "cond[H.none]:x",
    )


def test_numbers_as_a_factor_keep_their_order_and_leave_other_terms_numbers() -> None:
    data = pd.DataFrame({"y": [1.0, 3, 2, 5, 4, 6, 1, 2, 0], "dose": [10, 2, 1, 10, 2, 1, 10, 2, 1]})
    model = specify(data, "y ~ factor(dose)", standardize=True)
    assert model.design.names == ("(Intercept)", "C(dose)[T.2]", "C(dose)[T.10]")
    assert model.numeric_predictors() == []
    slope = specify(data, "y ~ dose + I(dose^2)").design
    assert slope.names == ("(Intercept)", "dose", "I(dose ** 2)")


def test_the_coding_matrix_stands_in_the_output(data: pd.DataFrame) -> None:
    found = estimate(
        specify(data, "y ~ cond + factor(two)", contrasts={"cond": "helmert"}), engine="statsmodels"
    )
    assert found.contrasts == {"cond": "helmert", "two": "treatment (reference 1)"}
    assert found.to_dict()["codes"]["cond"] == {
        "levels": ["high", "low", "none"],
        "codes": [[-1.0, -1.0], [1.0, -1.0], [0.0, 2.0]],
    }
    lines = [line.split() for line in found.summary().splitlines()]
    assert ["codes", "of", "cond:"] in lines
    assert ["low", "1", "-1"] in lines


def test_codings_come_from_an_analysis_file(data: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "analysis.toml"
    path.write_text(
        'title = "t"\n[[model]]\nname = "m"\nformula = "y ~ cond + two"\ndf = "kenward-roger"\n'
        "contrasts = { cond = 'treatment(low)', two = { 1 = -0.5, 2 = 0.5 } }\n"
    )
    (model,) = read_analysis(path).models
    assert model.df == "kenward-roger"
    design = specify(data, model.formula, contrasts=model.contrasts).design
    assert design.names == ("(Intercept)", "cond[T.high]", "cond[T.none]", "two[1]")
    assert sorted(set(design.X[:, 3])) == [-0.5, 0.5]


@pytest.mark.parametrize(
    "contrast, said",
    [
        (
            {"high": [-0.5, 0], "low": [0.2, -1], "none": [0.5, 1]},
            "codes of 'cond' (high -0.5, low 0.2, none 0.5) sum to 0.2, not 0",
        ),
        ({"high": [-1, 0], "low": [0.5, -1], "none": [0.5, 1]}, ""),
        ({"high": [0, 0], "low": [1, 0], "none": [1, 1]}, ""),
        ("helmert", ""),
        ("treatment(low)", ""),
    ],
)
def test_own_codes_that_do_not_sum_to_zero_are_told(data: pd.DataFrame, contrast: object, said: str) -> None:
    notes = specify(data, "y ~ cond + x + (1 | two)", contrasts={"cond": contrast}).notes
    assert len(notes) == bool(said)
    assert "".join(notes).startswith(said)
    assert not said or notes[0].endswith("hold where its codes are 0, not at the mean of its levels")
