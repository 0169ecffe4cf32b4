"""Priors are stated and in the response's unit; Bayes factors equal ratios of marginal likelihoods; draws agree with lme4's model."""

import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import logsumexp

from clada_neuro.errors import FitError
from clada_neuro.stats import mixed
from clada_neuro.stats.bayes import sampler, savage_dickey
from clada_neuro.stats.bayes.priors import Priors, priors_of
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify


def trials(effect: float = 0.6) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    subject = np.repeat(np.arange(10), 12)
    x = rng.normal(size=120)
    y = 1 + effect * x + rng.normal(size=10)[subject] + rng.normal(0, 2, 120)
    frame = pd.DataFrame({"n400_uv": y, "x": x, "subject": subject, "condition": np.tile(["a", "b"], 60)})
    return frame.assign(hit=(y > 1).astype(int), rt_ms=400 + 10 * y, score=y)


def fitted(formula: str, effect: float = 0.6) -> MixedFit:
    return estimate(specify(trials(effect), formula))


def test_priors_are_in_the_unit_of_the_response_and_follow_the_spread_of_a_column() -> None:
    fit = fitted("n400_uv ~ x + condition + (1 + x | subject)")
    found = priors_of(fit)
    assert (found.unit, found.center, found.center_sd, found.effect, found.residual) == ("µV", 0, 10, 5, 20)
    # Two equally frequent conditions are two SDs apart: the effect is the difference between them.
    assert found.coefficients[fit.design.names[2]] == pytest.approx(5)
    assert found.coefficients["x"] == pytest.approx(5 / (2 * trials()["x"].std(ddof=0)))
    assert found.spreads["subject", "(Intercept)"] == 5
    assert "effect (two SDs of a predictor) normal(0, 5)" in found.text()
    assert priors_of(fit, effect=2.0).coefficients["x"] == pytest.approx(found.coefficients["x"] * 2 / 5)
    assert priors_of(fitted("rt_ms ~ x + (1 | subject)")).effect == 100
    score = priors_of(fitted("score ~ x + (1 | subject)"))
    assert score.effect == pytest.approx(trials()["score"].std() / 2)
    assert "units of the response" in score.text()
    with pytest.raises(FitError, match="effect = 0 given, a positive number expected"):
        priors_of(fit, effect=0)


def marginal(
    y: np.ndarray, columns: np.ndarray, groups: np.ndarray, priors: Priors, sds: list[float]
) -> float:
    """Return the log marginal likelihood by quadrature over both SDs; coefficients and random effects are integrated exactly."""
    grid, steps = np.polynomial.legendre.leggauss(40)
    tau, sigma = 2.5 * (grid + 1), 1 + 1.5 * (grid + 1)
    same = (groups[:, None] == groups).astype(float)
    mean = np.full(len(y), priors.center)
    fixed = columns @ np.diag(np.square(sds)) @ columns.T
    cells = []
    for t, wt in zip(tau, steps * 2.5, strict=True):
        values, vectors = np.linalg.eigh(fixed + t**2 * same)
        turned = vectors.T @ (y - mean)
        for s, ws in zip(sigma, steps * 1.5, strict=True):
            spread = values + s**2
            log_likelihood = -0.5 * np.sum(np.log(2 * np.pi * spread) + turned**2 / spread)
            prior = stats.halfnorm.logpdf(t, scale=5) + stats.halfnorm.logpdf(s, scale=20)
            cells.append(log_likelihood + prior + np.log(wt * ws))
    return float(logsumexp(cells))


@pytest.mark.parametrize("effect", [0.0, 0.6])
def test_the_bayes_factor_is_the_ratio_of_marginal_likelihoods(
    monkeypatch: pytest.MonkeyPatch, effect: float
) -> None:
    fit = fitted("n400_uv ~ x + (1 | subject)", effect)
    priors, design = priors_of(fit), fit.design
    x = design.X[:, 1] - design.X[:, 1].mean()
    groups = design.blocks[0].codes
    both = np.column_stack([np.ones(len(x)), x])
    larger = marginal(design.y, both, groups, priors, [10, priors.coefficients["x"]])
    smaller = marginal(design.y, both[:, :1], groups, priors, [10])
    # Draws of the SDs from their posterior on a grid, in place of the sampler.
    spreads, residual = posterior_of_sds(design.y, both, groups, [10, priors.coefficients["x"]])
    monkeypatch.setattr(savage_dickey, "_effective", lambda draws: float(draws.size))
    found = savage_dickey.linear(fit, priors, "x", {("subject", "(Intercept)"): spreads}, residual)
    assert found.log_bf10 == pytest.approx(larger - smaller, abs=max(4 * found.mcse, 0.02))
    assert found.mcse < 0.1


def posterior_of_sds(
    y: np.ndarray, columns: np.ndarray, groups: np.ndarray, sds: list[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw (1, 500) of both SDs from their exact posterior over a fine grid."""
    tau, sigma = np.linspace(0.01, 5, 120), np.linspace(1, 4, 120)
    same = (groups[:, None] == groups).astype(float)
    fixed = columns @ np.diag(np.square(sds)) @ columns.T
    log = np.empty((120, 120))
    for i, t in enumerate(tau):
        values, vectors = np.linalg.eigh(fixed + t**2 * same)
        spread = values[:, None] + sigma**2
        turned = (vectors.T @ y)[:, None]
        log[i] = -0.5 * np.sum(np.log(spread) + turned**2 / spread, axis=0)
        log[i] += stats.halfnorm.logpdf(t, scale=5) + stats.halfnorm.logpdf(sigma, scale=20)
    weights = np.exp(log - log.max()).ravel()
    drawn = np.random.default_rng(0).choice(weights.size, 500, p=weights / weights.sum())
    return tau[drawn // 120][None], sigma[drawn % 120][None]


def test_a_normal_posterior_gives_the_ratio_of_normal_densities() -> None:
    priors = priors_of(fitted("n400_uv ~ x + (1 | subject)"))
    draws = np.random.default_rng(1).normal(0.5, 0.2, (4, 5000))
    found = savage_dickey.normal(priors, "x", draws, draws.size)
    expected = stats.norm.logpdf(0, 0, priors.coefficients["x"]) - stats.norm.logpdf(0, 0.5, 0.2)
    assert found.log_bf10 == pytest.approx(expected, abs=5 * found.mcse)
    assert 0 < found.mcse < 0.1


def test_what_cannot_be_sampled_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = fitted("n400_uv ~ x + (1 | subject)")
    with pytest.raises(FitError, match=r"no term 'xx' in .*did you mean 'x'"):
        fit.bayes("xx")
    with pytest.raises(FitError, match="draws = 0 given, a whole number from 1 on"):
        fit.bayes(draws=0)
    monkeypatch.setitem(sys.modules, "bambi", None)
    with pytest.raises(FitError, match=r"not installed: pip install 'clada-neuro\[bayes\]'"):
        fit.bayes()


@pytest.mark.slow
def test_the_posterior_is_near_the_likelihoods_estimates() -> None:
    pytest.importorskip("bambi", reason="the extra 'bayes' is not installed")
    fit = fitted("n400_uv ~ x + (1 + x | subject)")
    found = fit.bayes("x", draws=1000, tune=500, chains=2)
    ours, theirs = found.coefficients.iloc[1], fit.coefficient("x")
    assert ours["mean"] == pytest.approx(theirs["estimate"], abs=0.5 * theirs["se"])
    assert ours["sd"] == pytest.approx(theirs["se"], rel=0.5)
    assert found.random["mean"].iloc[-1] == pytest.approx(fit.sigma, rel=0.1)
    assert 1 < found.loo["p_loo"] < 20
    assert "R-hat at most 1.0" in found.convergence()
    assert "(1 + x | subject) is sampled without correlations" in found.summary()
    counts = mixed.fit(trials(), "hit ~ x + (1 | subject)", family="binomial")
    assert counts.bayes(draws=400, tune=300, chains=2).bayes_factors[0].log_bf10 > 0


def test_columns_of_the_sampler_are_those_of_the_design() -> None:
    fit = fitted("n400_uv ~ x + condition + (1 + x | subject)")
    frame, formula, family = sampler._columns(fit)
    assert (formula, family) == ("y ~ 1 + x1 + x2 + (1|g0) + (0 + z0_1|g0)", "gaussian")
    assert np.array_equal(frame[["x1", "x2"]], fit.design.X[:, 1:])
    assert sampler.uncorrelated(fit) == ["(1 + x | subject)"]
