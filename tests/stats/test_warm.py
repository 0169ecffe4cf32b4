"""Refits near a known optimum give what the careful descent gives, with a fraction of its evaluations."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.stats.bootstrap import simulate
from clada_neuro.stats.engines import mixedlm, warm
from clada_neuro.stats.engines.theta import factors
from clada_neuro.stats.model import specify

SLOPES = "(1 + x | subject) + (1 | item) + (1 | stimulus)"
THREE = "(1 + x + z | subject) + (1 | item)"


def crossed(sd: float, seed: int = 3) -> pd.DataFrame:
    """24 subjects read 40 items in one of two versions; ``sd`` is the subjects'."""
    rng = np.random.default_rng(seed)
    subject, item = np.repeat(np.arange(24), 40), np.tile(np.arange(40), 24)
    stimulus = item * 2 + rng.integers(0, 2, len(item))
    x, z = rng.normal(size=(2, 80))
    own = rng.normal(size=(24, 2)) * [sd, sd / 2]
    effects = own[subject, 0] + own[subject, 1] * x[stimulus] + rng.normal(size=40)[item] * sd / 2
    effects += rng.normal(size=80)[stimulus] * sd / 3
    y = -0.3 * x[stimulus] + effects + rng.normal(size=len(item)) * 4
    labels = {"subject": subject, "item": item, "stimulus": stimulus}
    return pd.DataFrame({"y": y, "x": x[stimulus], "z": z[stimulus], **labels}).astype(
        dict.fromkeys(labels, str)
    )


def prepared(
    random: str, sd: float, reml: bool
) -> tuple[mixedlm.MixedlmDesign, mixedlm.MixedlmDesign, np.ndarray]:
    """The same design with and without its own optimum, and that optimum."""
    design = specify(crossed(sd), f"y ~ x + {random}").design
    plain = mixedlm.prepare(design, reml)
    theta = plain.refit(start=plain.optimizer.get_start_theta()).theta
    return plain, mixedlm.prepare(design, reml, theta), theta


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("sd", [0.3, 1.0, 2.0])  # from singular to clearly not
@pytest.mark.parametrize("random", ["(1 | subject) + (1 | item)", SLOPES, THREE])
def test_the_known_curvature_moves_no_result(random: str, sd: float, reml: bool) -> None:
    plain, near, theta = prepared(random, sd, reml)
    own = near.refit(start=theta)
    mean = near.design.X @ own.beta
    for seed in range(6):
        y = simulate(near.design, mean, own.covariances, own.sigma, np.random.default_rng(seed))
        one, other = plain.refit(y, theta), near.refit(y, theta)
        assert other.loglik == pytest.approx(one.loglik, abs=1e-6)
        assert other.beta == pytest.approx(one.beta, abs=1e-4 * one.sigma)
        for a, b in zip(one.covariances, other.covariances, strict=True):
            assert b == pytest.approx(a, abs=2e-3 * one.sigma**2)
        diagonals = [np.diag(factor) for factor in factors(near.design, other.theta)]
        assert min(map(np.min, diagonals)) >= 0


def test_it_takes_half_the_evaluations_or_fewer() -> None:
    _, near, theta = prepared("(1 | subject) + (1 | item)", 2.0, False)
    inverse = warm.curvature(near.optimizer, theta)
    own = near.refit(start=theta)
    careful, steps = 0, 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        y = simulate(near.design, near.design.X @ own.beta, own.covariances, own.sigma, rng)
        optimizer = near.optimizer.with_response(near.scaled.response(y, near.design.X))
        careful += mixedlm._descend(optimizer, theta, mixedlm.QUICK).function_evals
        steps += 1 + warm.descend_near(optimizer, theta, inverse).n_iter
    assert steps <= careful / 2


def test_a_flat_direction_leaves_refits_to_the_careful_descent() -> None:
    _, near, theta = prepared(SLOPES, 0.3, False)
    assert warm.curvature(near.optimizer, theta) is None
