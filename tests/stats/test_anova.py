"""F tests of terms against lmerTest (Satterthwaite) and pbkrtest (Kenward-Roger) in 64 designs: F 1e-3, df2 1e-2.

With poly(x, 2), lmerTest takes the condition to be held by its product with a matrix, which it is not with its columns; there
the tests are another hypothesis, and only the product is compared. Where a model has one term, lmerTest spans its test by other
functions, on which Satterthwaite's df2 depends a little: 1e-3 of it.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.anova import anova
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify

sys.path.insert(0, str(Path(__file__).parent / "marginal"))
from test_marginal_reference import DESIGNS, designs, fit_of


def _parts(name: str) -> str:
    """Return a term's name as R writes it, its parts in the order of the alphabet."""
    name = name.replace("factor(list)", "list").replace(" ** ", "^").replace(", degree=2", ", 2")
    return ":".join(sorted(name.split(":")))


@designs("anova")
def test_terms(number: int) -> None:
    for key, expected in DESIGNS[number]["anova"].items():
        kind, _, method = key.partition("_")
        fit = fit_of(number, "kenward-roger" if method else "satterthwaite")
        found = anova(fit, int(kind[-1]))
        columns = {name: np.atleast_1d(expected[name]) for name in ("F", "df1", "df2", "p")}
        table = pd.DataFrame(columns, index=np.atleast_1d(expected["term"]))
        ours = found.set_index(found["term"].map(_parts))
        for name, row in table.iterrows():
            if "poly" in DESIGNS[number]["formula"] and ":" not in str(name):
                continue
            mine = ours.loc[_parts(str(name))]
            assert mine["df1"] == row["df1"], (key, name)
            assert mine["F"] == pytest.approx(row["F"], rel=1e-3, abs=1e-6), (key, name)
            assert mine["df2"] == pytest.approx(
                row["df2"], rel=1e-3 if len(table) == 1 else 1e-4, abs=1e-2
            ), (key, name)
            assert mine["p"] == pytest.approx(row["p"], abs=1e-4), (key, name)


def test_the_coding_does_not_matter(paired: pd.DataFrame) -> None:
    formula = "n400 ~ condition * lab + length + (1 | subject) + (1 | item)"
    tables = [
        anova(estimate(specify(paired, formula, contrasts=contrasts)))
        for contrasts in (
            {},
            {"condition": "sum", "lab": "helmert"},
            {"lab": {f"lab{k}": [k, k**2, k**3] for k in range(4)}},
        )
    ]
    assert tables[0]["term"].tolist() == ["condition", "lab", "length", "condition:lab"]
    assert tables[0]["df1"].tolist() == [1, 3, 1, 3]
    for table in tables[1:]:
        assert np.allclose(table[["F", "df2", "p"]], tables[0][["F", "df2", "p"]], rtol=1e-4)


def test_one_function_is_its_t_test(paired: pd.DataFrame) -> None:
    fit = estimate(specify(paired, "n400 ~ surprisal + length + (1 | subject) + (1 | item)"))
    for number, term in enumerate(("surprisal", "length")):
        row, coefficient = anova(fit).iloc[number], fit.coefficient(term)
        assert row["F"] == pytest.approx(coefficient["t"] ** 2)
        assert (row["df2"], row["p"]) == pytest.approx((coefficient["df"], coefficient["p"]))


def test_what_cannot_be_tested(paired: pd.DataFrame) -> None:
    fit: MixedFit = estimate(specify(paired, "n400 ~ condition:surprisal + (1 | subject)"))
    with pytest.raises(FitError, match="type 1 given, 2 or 3 expected"):
        anova(fit, 1)
    assert anova(fit, 2)["df1"].tolist() == [2]


def test_a_fit_tests_its_terms_or_compares_itself(paired: pd.DataFrame) -> None:
    models = ["1", "surprisal", "surprisal * condition"]
    one, two, three = (
        estimate(specify(paired, f"n400 ~ {m} + (1 | subject)", name=m), reml=False) for m in models
    )
    assert two.anova(type=2)["term"].tolist() == ["surprisal"]
    assert one.anova(two).df == 1
    several = one.anova(two, three)
    assert several["name"].tolist() == models
    assert several["p"].iloc[1] == pytest.approx(one.anova(two).p)


def test_a_likelihood_ratio_by_parametric_bootstrap() -> None:
    trials = pd.read_csv(Path(__file__).parents[1] / "reference" / "factorial_few.csv")
    fixed = ["condition + group", "group"]
    large, small = (
        estimate(specify(trials, f"n400_uv ~ {side} + (1 | subject) + (1 | item)"), reml=False)
        for side in fixed
    )
    found = large.anova(small, bootstrap=30, seed=1)
    assert found.n_bootstrap == 30
    assert found.p_bootstrap == large.anova(small, bootstrap=30, seed=1).p_bootstrap
    assert found.p_bootstrap != large.anova(small, bootstrap=30, seed=2).p_bootstrap
    assert "parametric bootstrap of 30: p = " in str(found)
    assert large.anova(small).p_bootstrap is None
    assert found.p_bootstrap == pytest.approx(found.p, abs=0.2)


@pytest.mark.slow
def test_the_bootstrap_p_is_pbkrtests() -> None:
    trials = pd.read_csv(Path(__file__).parents[1] / "reference" / "factorial_few.csv")
    large, small = (
        estimate(specify(trials, f"n400_uv ~ {side} + (1 | subject) + (1 | item)"), reml=False)
        for side in ("condition + group", "group")
    )
    found = large.anova(small, bootstrap=2000)
    assert found.chi2 == pytest.approx(3.2212, abs=1e-3)
    # PBmodcomp (pbkrtest 0.5.2, 2000 draws): .2234; two standard errors of both are .026.
    assert found.p_bootstrap == pytest.approx(0.2234, abs=0.035)
