"""Contrasts of marginal means hold their size and their intervals their coverage, with few subjects and unequal cells."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify

RUNS = 400


def _trials(rng: np.random.Generator) -> pd.DataFrame:
    """Return 8 subjects of two groups with 12 items in three conditions, a quarter of the trials lost; no effect."""
    s, i = np.repeat(np.arange(8), 12), np.tile(np.arange(12), 8)
    condition = (s + i) % 3
    slope = rng.normal(size=(8, 3))
    y = (
        rng.normal(size=8)[s]
        + 0.7 * slope[s, condition]
        + 0.5 * rng.normal(size=12)[i]
        + rng.normal(0, 2, len(s))
    )
    frame = pd.DataFrame(
        {"y": y, "subject": s, "item": i, "condition": np.array(["a", "b", "c"])[condition], "group": s % 2}
    )
    frame = frame.assign(group=np.where(frame["group"] == 1, "x", "z"))
    return frame[rng.random(len(frame)) > 0.15 * (1 + (condition == 1))]


@pytest.mark.slow
@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_size_and_coverage(df: str) -> None:
    rng = np.random.default_rng(5)
    within, between, family, covered = [], [], [], []
    for _ in range(RUNS):
        formula = "y ~ condition + group + (1 | subject) + (1 | subject:condition) + (1 | item)"
        fit = estimate(specify(_trials(rng), formula), df=df)
        means = fit.emmeans("condition")
        within.append(means.pairs("none")["p"][0])
        between.append(fit.emmeans("group").pairs("none")["p"][0])
        family.append(means.pairs("tukey")["p"].min())
        covered.append(means["ci_low"][0] <= 0 <= means["ci_high"][0])
    # Two standard errors of 400 runs are .022.
    for p in (within, between, family):
        assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.08
    assert 0.92 <= np.mean(covered) <= 0.98
