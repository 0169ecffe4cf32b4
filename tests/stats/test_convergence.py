"""The optimum is checked by gradient and Hessian, with lme4's tolerances; groups that hardly differ are named."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clada_neuro.stats.engines import mixedlm
from clada_neuro.stats.engines.convergence import GRADIENT, judge
from clada_neuro.stats.engines.satterthwaite import derivatives
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify

OWNERS = ["(1 | item)", "(1 | stimulus)"]


def test_a_steep_end_is_no_optimum() -> None:
    hessian = np.diag([4.0, 9.0])
    assert judge(np.array([0.001, 0.001]), hessian, OWNERS) == (True, ())
    reached, (line,) = judge(np.array([0.0, 0.3]), hessian, OWNERS)
    assert not reached
    assert line.startswith("not converged: the gradient of the deviance is 0.1 at the end")


def test_the_smaller_of_plain_and_scaled_gradient_counts() -> None:
    # lme4's rule: a gradient of 0.1 in a direction of curvature 1e4 is 0.001 standard errors away.
    assert judge(np.array([0.1, 0.0]), np.diag([1e4, 1.0]), OWNERS)[0]
    assert not judge(np.array([0.1, 0.0]), np.diag([1e2, 1.0]), OWNERS)[0]


def test_a_saddle_is_no_optimum() -> None:
    reached, (line,) = judge(np.zeros(2), np.diag([-1.0, 1.0]), OWNERS)
    assert not reached
    assert "1 negative eigenvalue;" in line


def test_a_flat_direction_names_its_terms() -> None:
    flat = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-9]])
    reached, (line,) = judge(np.zeros(2), flat, OWNERS)
    assert reached
    assert line == (
        "nearly unidentifiable: the deviance is flat in the variances of (1 | item) and (1 | stimulus); leave one term out"
    )
    _, (line,) = judge(np.zeros(2), np.array([[1.0, 0.98], [0.98, 1.0]]), OWNERS)
    assert "(1 | item) and (1 | stimulus) are hardly told apart" in line
    assert "correlate at -0.98" in line


def test_derivatives_are_those_of_the_deviance(small: pd.DataFrame) -> None:
    design = specify(small, "n400 ~ surprisal + (1 + surprisal | subject) + (1 | item)").design
    prepared = mixedlm.prepare(design, True)
    theta = np.array([0.3, 0.05, 0.1, 0.2])
    gradient, hessian = derivatives(prepared.optimizer, theta)
    deviance, _ = prepared.optimizer._optimization_functions("L-BFGS-B", True)
    for k, unit in enumerate(1e-4 * np.eye(4)):
        assert gradient[k] == pytest.approx(
            (deviance(theta + unit) - deviance(theta - unit)) / 2e-4, rel=1e-4, abs=1e-3
        )
        second = (deviance(theta + unit) - 2 * deviance(theta) + deviance(theta - unit)) / 1e-8
        assert hessian[k, k] == pytest.approx(second, rel=1e-2, abs=1.0)


def test_a_fit_that_stopped_early_says_so(small: pd.DataFrame) -> None:
    design = specify(small, "n400 ~ surprisal + (1 | subject) + (1 | item)").design
    prepared = mixedlm.prepare(design, True)
    best, _ = mixedlm._two_starts(prepared)
    whole = mixedlm._estimate(prepared, best, ())
    assert whole.converged
    assert whole.warnings == ()
    early = mixedlm._estimate(prepared, replace(best, theta=best.theta * 1.05), ())
    assert not early.converged
    assert f"{GRADIENT} allowed" in early.warnings[0]


def test_groups_that_differ_in_few_are_named() -> None:
    rng = np.random.default_rng(0)
    items = np.r_[np.arange(60), np.arange(2)]
    subject, stimulus = np.repeat(np.arange(12), 62), np.tile(np.arange(62), 12)
    data = pd.DataFrame({"subject": subject, "stimulus": stimulus, "item": items[stimulus]})
    data["y"] = rng.normal(size=12)[subject] + rng.normal(size=62)[stimulus] + rng.normal(size=len(data))
    found = estimate(specify(data, "y ~ 1 + (1 | subject) + (1 | item) + (1 | stimulus)"))
    assert (
        "(1 | item) and (1 | stimulus) divide the rows alike but for 2 of 62 groups, so their variances are hardly told "
        "apart; leave (1 | item) out"
    ) in found.warnings
    half = data[data["stimulus"] < 61].assign(item=lambda rows: rows["stimulus"] // 2)
    assert not [
        line
        for line in estimate(specify(half, "y ~ 1 + (1 | item) + (1 | stimulus)")).warnings
        if "alike" in line
    ]
