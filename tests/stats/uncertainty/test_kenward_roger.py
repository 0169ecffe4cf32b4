"""Kenward and Roger's method beyond the 64 designs of the reference: weights, exact cases, what it cannot do."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.mixed import MixedFit, estimate, fit
from clada_neuro.stats.model import specify
from clada_neuro.stats.uncertainty import kenward_roger


def _both(data: pd.DataFrame, formula: str, **how: str) -> tuple[MixedFit, MixedFit]:
    model = specify(data, formula, **how)
    return estimate(model), estimate(model, df="kenward-roger")


def test_a_balanced_comparison_of_groups_is_a_t_test_of_means() -> None:
    rng = np.random.default_rng(1)
    subject = np.repeat(np.arange(10), 6)
    data = pd.DataFrame({"subject": subject, "group": np.where(subject % 2 == 0, "a", "b")})
    data["y"] = rng.normal(size=10)[subject] + rng.normal(size=60)
    _, kr = _both(data, "y ~ group + (1 | subject)")
    found = kr.coefficient("group[T.b]")
    means = data.groupby(["group", "subject"])["y"].mean()
    one, other = means["a"], means["b"]
    se = np.sqrt((one.var() + other.var()) / 2 * (1 / 5 + 1 / 5))
    assert found["df"] == pytest.approx(8, abs=1e-6)
    assert found["se"] == pytest.approx(se, rel=1e-5)
    assert kr.emmeans("group").pairs()["df"][0] == pytest.approx(8, abs=1e-6)


def test_weights_act_as_repeated_rows_do_not(paired: pd.DataFrame) -> None:
    weighted = paired.assign(w=2.0)
    formula = "n400 ~ surprisal + (1 | subject) + (1 | item)"
    _, plain = _both(paired, formula)
    _, doubled = _both(weighted, formula, weights="w")
    # One weight for all rows rescales sigma and nothing else.
    for name in ("se", "df"):
        assert np.allclose(plain.coefficients[name], doubled.coefficients[name], rtol=1e-4)


def test_what_it_cannot_do(paired: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    formula = "n400 ~ surprisal + (1 | subject) + (1 | item) + (1 | stimulus)"
    with pytest.raises(FitError, match="rests on REML, and the fit is by maximum likelihood"):
        fit(paired, formula, reml=False, df="kenward-roger")
    with pytest.raises(FitError, match="rests on REML, and the fit is by least squares"):
        fit(paired, "n400 ~ surprisal", engine="statsmodels", df="kenward-roger")
    with pytest.raises(FitError, match="did you mean 'kenward-roger'"):
        fit(paired, formula, df="kenward-rogers")
    monkeypatch.setattr(kenward_roger, "MOST_EFFECTS", 50)
    with pytest.raises(FitError, match="106 x 106 numbers for these random effects, 50 each way at most"):
        estimate(specify(paired, formula), df="kenward-roger").coefficients  # noqa: B018


def test_standard_errors_are_never_smaller(paired: pd.DataFrame) -> None:
    plain, kr = _both(paired, "n400 ~ surprisal * condition + (1 | subject) + (1 | item) + (1 | stimulus)")
    assert (kr.coefficients["se"] >= plain.coefficients["se"] * (1 - 1e-9)).all()
    assert kr.refit(reml=False).df_method == "satterthwaite"
