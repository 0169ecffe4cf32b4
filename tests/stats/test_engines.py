"""The engines agree where they can fit the same model, and refuse the rest."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st

from clada_neuro.errors import FitError
from clada_neuro.stats.bootstrap import bootstrap
from clada_neuro.stats.crossval import cross_validate
from clada_neuro.stats.engines.base import engine_of, orthonormal
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.r2_intervals import r2_intervals
from clada_neuro.stats.sensitivity import influence

CROSSED = "n400 ~ surprisal + length + (1 | subject) + (1 | stimulus)"


def _agree(one: MixedFit, other: MixedFit, tolerance: float) -> None:
    for column in ("estimate", "se"):
        values = one.coefficients[column].to_numpy()
        assert other.coefficients[column].to_numpy() == pytest.approx(values, rel=tolerance)
    assert other.loglik == pytest.approx(one.loglik, abs=1e-3)
    assert other.random["sdcor"].to_numpy() == pytest.approx(
        one.random["sdcor"].to_numpy(), rel=10 * tolerance
    )
    assert other.sigma == pytest.approx(one.sigma, rel=tolerance)
    for group, table in one.ranef().items():
        assert other.ranef()[group].to_numpy() == pytest.approx(table.to_numpy(), abs=0.02)


@pytest.mark.parametrize("reml", [True, False])
def test_statsmodels_is_a_second_witness(paired: pd.DataFrame, reml: bool) -> None:
    model = specify(paired, CROSSED)
    second = estimate(model, reml=reml, engine="statsmodels")
    _agree(estimate(model, reml=reml), second, 2e-3)
    assert np.isinf(second.coefficients["df"]).all()
    assert "z = " in second.apa("surprisal")


@pytest.mark.parametrize(
    "formula, reason",
    [("n400 ~ surprisal + (1 + surprisal | subject)", "cannot correlate")],
)
def test_statsmodels_refuses_correlated_slopes(paired: pd.DataFrame, formula: str, reason: str) -> None:
    with pytest.raises(FitError, match=reason):
        estimate(specify(paired, formula), engine="statsmodels")


def test_statsmodels_refuses_many_rows(paired: pd.DataFrame) -> None:
    with pytest.raises(FitError, match="at most 3000"):
        estimate(specify(pd.concat([paired] * 4), CROSSED), engine="statsmodels")


def test_least_squares(paired: pd.DataFrame) -> None:
    ours = estimate(specify(paired, "n400 ~ surprisal * condition"), engine="statsmodels")
    theirs = smf.ols("n400 ~ surprisal * condition", paired).fit()
    table = ours.coefficients.set_index("term").rename(index={"(Intercept)": "Intercept"})
    table = table.loc[theirs.params.index]
    assert table["estimate"].to_numpy() == pytest.approx(theirs.params.to_numpy())
    assert table["p"].to_numpy() == pytest.approx(theirs.pvalues.to_numpy())
    ml = ours.refit(reml=False)
    assert ml.loglik == pytest.approx(theirs.llf)
    # Nakagawa's residual variance is SSR / (n - p), the plain R²'s SSR / (n - 1) of the same sum.
    assert ours.r2().marginal == pytest.approx(theirs.rsquared, abs=2e-3)
    with pytest.raises(FitError, match="statsmodels"):
        estimate(specify(paired, "n400 ~ surprisal"), engine="mixedlm")


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
@pytest.mark.parametrize("reml", [True, False])
def test_lme4_live(paired: pd.DataFrame, reml: bool) -> None:
    model = specify(paired, "n400 ~ surprisal + (1 + surprisal | subject) + (1 | stimulus)")
    one, other = estimate(model, reml=reml), estimate(model, reml=reml, engine="lme4")
    _agree(one, other, 1e-4)
    assert other.coefficients["df"].to_numpy() == pytest.approx(one.coefficients["df"].to_numpy(), rel=1e-2)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
@pytest.mark.parametrize("seed", range(8))
def test_never_below_lme4_where_variances_vanish(seed: int) -> None:
    rng = np.random.default_rng(seed)
    subjects, items = int(rng.integers(8, 25)), int(rng.integers(10, 40))
    grid = pd.MultiIndex.from_product([range(subjects), range(items)], names=["subject", "item"])
    data = pd.DataFrame(index=grid).reset_index()
    x = rng.normal(size=(items, 2))[data["item"]]
    effects = (rng.normal(size=(subjects, 3)) * rng.choice([0, 0, 0.3, 1.0], 3))[data["subject"]]
    y = (
        effects[:, 0]
        + (0.5 + effects[:, 1]) * x[:, 0]
        + effects[:, 2] * x[:, 1]
        + rng.normal(0, 2, len(data))
    )
    data = data.assign(a=1000 * x[:, 0] + 100, b=x[:, 1], y=y).sample(frac=0.8, random_state=seed)
    model = specify(data, "y ~ a * b + (1 + a + b | subject) + (1 | item)")
    reml = bool(seed % 2)
    ours, theirs = (estimate(model, reml=reml, engine=engine) for engine in ("mixedlm", "lme4"))
    assert ours.loglik >= theirs.loglik - 1e-4


def test_lme4_without_r_says_so(paired: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(FitError, match="no Rscript"):
        estimate(specify(paired, CROSSED), engine="lme4")


def test_least_squares_is_refitted_by_whoever_asks(paired: pd.DataFrame) -> None:
    fit = estimate(specify(paired, "n400 ~ surprisal + length"), engine="statsmodels")
    without = smf.ols("n400 ~ surprisal + length", paired[paired["lab"] != "lab2"]).fit().params["surprisal"]
    found = influence(fit, "lab", ["surprisal"]).set_index("level")["estimate"]
    assert found["lab2"] == pytest.approx(without)
    share = fit.r2().marginal
    interval = r2_intervals(fit, 30, seed=1)["marginal"]
    assert (interval.low < share < interval.high, interval.n_failed) == (True, 0)
    smaller = estimate(specify(paired, "n400 ~ length"), reml=False, engine="statsmodels")
    assert cross_validate(smaller, fit.refit(reml=False), folds=5).delta_loglik_per_trial > 0.01


def test_an_engine_that_does_not_refit_is_named(paired: pd.DataFrame) -> None:
    fit = replace(estimate(specify(paired, CROSSED), reml=False), solver=engine_of("lme4"))
    for resampled in (
        lambda: influence(fit, "subject"),
        lambda: r2_intervals(fit, 5),
        lambda: cross_validate(fit, fit),
        lambda: bootstrap(fit, fit, replicates=2),
    ):
        with pytest.raises(FitError, match=r"engine 'lme4' does not refit.*'mixedlm'"):
            resampled()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-6, 1e6), st.floats(-1e4, 1e4))
def test_orthonormal_columns_span_the_same_space(seed: int, scale: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    columns = np.column_stack([np.ones(40), scale * (rng.normal(size=40) + offset), rng.normal(size=40)])
    q, r = orthonormal(columns)
    assert q.T @ q / 40 == pytest.approx(np.eye(3), abs=1e-9)
    assert q @ r == pytest.approx(columns, rel=1e-9, abs=1e-6 * scale)
    assert (np.diag(r) > 0).all()
