"""Tables have the columns, rows and numbers of R's broom.mixed, whose output stands here."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.mixed import estimate, fit
from clada_neuro.stats.model import specify
from clada_neuro.stats.tidy import r_terms

DATA = pd.read_csv(Path(__file__).parents[1] / "reference" / "counts_full.csv")
COLUMNS = [
    "effect",
    "group",
    "term",
    "estimate",
    "std.error",
    "statistic",
    "df",
    "p.value",
    "conf.low",
    "conf.high",
]


def test_a_linear_fit() -> None:
    # lmer(surprisal ~ group + (1 + trial | subject)), trial = scale(seq_len(nrow(d))); lmerTest, broom.mixed 0.2.9.4
    trial = pd.Series(np.arange(1.0, len(DATA) + 1))
    data = DATA.assign(trial=(trial - trial.mean()) / trial.std())
    fit = estimate(specify(data, "surprisal ~ group + (1 + trial | subject)"))
    table = fit.tidy(names="broom")
    assert list(table) == COLUMNS
    assert table["term"].tolist()[1:] == [
        "groupL2",
        "sd__(Intercept)",
        "sd__trial",
        "cor__(Intercept).trial",
        "sd__Observation",
    ]
    assert table["group"].tolist()[2:] == ["subject"] * 3 + ["Residual"]
    assert table["effect"].tolist() == ["fixed"] * 2 + ["ran_pars"] * 4
    first = table.iloc[0][COLUMNS[3:]].astype(float).tolist()
    assert first == pytest.approx(
        [8.102597, 0.1423263, 56.92972, 862, 2.769e-294, 7.8232506, 8.3819439], rel=1e-3
    )
    assert table["estimate"].iloc[-1] == pytest.approx(2.958197, rel=1e-5)
    row = fit.glance()
    assert list(row) == ["nobs", "sigma", "logLik", "AIC", "BIC", "REMLcrit", "df.residual"]
    expected = [864, 2.958197, -2164.101, 4340.203, 4368.772, 4328.203, 858]
    assert row.iloc[0].tolist() == pytest.approx(expected, rel=1e-6)
    assert fit.refit(reml=False).glance()["deviance"][0] == pytest.approx(4324.077, abs=1e-3)
    assert list(fit.tidy("own"))[4:] == ["se", "statistic", "df", "p", "ci_low", "ci_high"]
    with pytest.raises(FitError, match=r"names 'brom' given .*did you mean 'broom'"):
        fit.tidy("brom")


def test_a_generalised_fit() -> None:
    # glmer(accurate ~ surprisal + (1 | subject), family = binomial)
    answers = fit(DATA, "accurate ~ surprisal + (1 | subject)", family="binomial")
    table = answers.tidy()
    assert list(table) == [name for name in COLUMNS if name != "df"]
    expected = [-0.1762401, 0.02830419, -6.226645, 4.765281e-10, -0.2317153, -0.1207649]
    assert table.iloc[1][COLUMNS[3:6] + COLUMNS[7:]].astype(float).tolist() == pytest.approx(
        expected,
        rel=3e-3,
        abs=1e-9,  # glmer's default tolerance leaves the third digit open
    )
    assert table["term"].iloc[-1] == "sd__(Intercept)"
    assert table["estimate"].iloc[-1] == pytest.approx(0.7271156, rel=1e-3)
    expected = [864, 1, -522.3433, 1050.687, 1064.971, 988.6572, 861]
    assert answers.glance().iloc[0].tolist() == pytest.approx(expected, rel=1e-5)
    counts = fit(DATA, "regressions ~ surprisal + (1 | subject)", family="poisson")
    events, mean = DATA["regressions"].to_numpy(float), counts.fitted()
    by_hand = 2 * sum(y * np.log(y / m) - (y - m) if y else m for y, m in zip(events, mean, strict=True))
    assert counts.glance()["deviance"][0] == pytest.approx(by_hand)


def test_terms_are_named_as_r_names_them() -> None:
    names = ["x", "a[T.high]", "b[S.p]", "b[S.q]", "a[T.high]:b[S.q]", "c[.L]", "b[S.q]"]
    assert r_terms(names) == ["x", "ahigh", "b1", "b2", "ahigh:b2", "c.L", "b2"]
