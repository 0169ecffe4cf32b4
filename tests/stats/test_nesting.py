"""A larger model never ends below one that it contains, and nothing is tested against a local optimum in silence."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clada_neuro.stats.engines import mixedlm
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.nesting import settled
from clada_neuro.stats.partition import partition
from clada_neuro.stats.synergy import synergy

RANDOM = "(1 | subject) + (1 | item) + (1 | stimulus)"
BASELINE = "a + b + I(a ** 2) + I(b ** 2)"
# ML log-likelihoods of lme4 1.1-31 (bobyqa) for the data below.
LME4 = {BASELINE: -103.4281152883, f"{BASELINE} + a:b": -103.4239162223}


@pytest.fixture(scope="module")
def overlapping() -> pd.DataFrame:
    """63 trials of 8 subjects, 5 items and 10 stimuli: items or stimuli can hold the same variance."""
    rng = np.random.default_rng(917)
    subjects, items = int(rng.integers(4, 9)), int(rng.integers(4, 13))
    subject, item = (part.ravel().repeat(2) for part in np.mgrid[:subjects, :items])
    rng.integers(3)
    stimulus = item * 2 + np.tile([0, 1], subjects * items)
    a, b = (rng.normal(size=2 * items)[stimulus] for _ in "ab")
    sizes = [0, 0.2, 0.5, 1.0]
    y = np.zeros(len(subject))
    for codes, count in ((subject, subjects), (item, items), (stimulus, 2 * items)):
        y += rng.normal(0, rng.choice(sizes), count)[codes]
    y += rng.choice([0, 0.3]) * a + rng.normal(0, 1, len(y))
    data = pd.DataFrame({"subject": subject, "item": item, "stimulus": stimulus, "a": a, "b": b, "y": y})
    return data[rng.random(len(data)) < rng.choice([0.6, 0.8, 1.0])]


@pytest.fixture
def two_starts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the start that finds this data set's optimum, as if it were a harder one."""
    monkeypatch.setattr(mixedlm, "_exchanged", lambda prepared, theta: None)


def _fit(data: pd.DataFrame, fixed: str) -> MixedFit:
    return estimate(specify(data, f"y ~ {fixed} + {RANDOM}", name=fixed, standardize=True), reml=False)


def test_a_fit_without_variance_looks_where_that_variance_is_large(overlapping: pd.DataFrame) -> None:
    for fixed, loglik in LME4.items():
        assert _fit(overlapping, fixed).loglik == pytest.approx(loglik, abs=1e-5)


@pytest.mark.usefixtures("two_starts_only")
def test_a_larger_model_that_ends_lower_is_fitted_again_and_said(overlapping: pd.DataFrame) -> None:
    smaller, larger = (_fit(overlapping, fixed) for fixed in LME4)
    assert larger.loglik < smaller.loglik - 0.5
    again = settled(smaller, larger)
    assert again.loglik == pytest.approx(LME4[larger.name], abs=1e-5)
    assert not any("singular" in line for line in again.warnings)
    test = smaller.anova(larger)
    assert test.chi2 == pytest.approx(2 * (LME4[larger.name] - LME4[BASELINE]), abs=1e-4)
    assert "log units below" in str(test)
    assert settled(smaller, again) is again


@pytest.mark.usefixtures("two_starts_only")
def test_synergy_and_commonality_use_the_higher_optimum(overlapping: pd.DataFrame) -> None:
    found = synergy(overlapping, "y", ("a", "b"), random=RANDOM, item=None)
    assert found.full.loglik == pytest.approx(LME4[f"{BASELINE} + a:b"], abs=1e-5)
    assert any("log units below" in line for line in found.warnings)
    sets = {"squares": BASELINE, "product": "a:b"}
    parts = partition(overlapping, "y", sets, RANDOM, standardize=True)
    assert parts.marginal[frozenset(sets)] == pytest.approx(found.full.r2().marginal, abs=1e-6)


def test_an_engine_without_starts_says_that_the_larger_model_fits_worse(overlapping: pd.DataFrame) -> None:
    smaller, larger = (
        estimate(specify(overlapping, f"y ~ {fixed} + (1 | item)"), reml=False, engine="statsmodels")
        for fixed in ("a", "a + b")
    )
    worse = replace(larger, estimate=replace(larger.estimate, loglik=smaller.loglik - 0.2))
    test = smaller.anova(worse)
    assert (test.chi2, test.p) == (0, 1)
    assert "fits worse by 0.2000 log units" in str(test)


def test_a_restart_begins_at_the_given_variances(paired: pd.DataFrame) -> None:
    """Correlated slopes on any scale: the profile likelihood at the start is that of the fit it came from."""
    fit = estimate(
        specify(paired, "n400 ~ surprisal + (1 + surprisal | subject) + (1 | stimulus)"), reml=False
    )
    prepared = mixedlm.prepare(fit.design, False)
    start = mixedlm._theta(prepared, [c / fit.sigma**2 for c in fit.estimate.covariances])
    deviance = prepared.optimizer._evaluate_core(start).deviance
    assert prepared.scaled.loglik(-deviance / 2, False) == pytest.approx(fit.loglik, abs=1e-8)
