"""Intervals of R² hold the R² of the population, come out the same again, and reach the report."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.artifacts import read_json
from clada_neuro.reporting.prose import findings
from clada_neuro.reporting.results import read_results
from clada_neuro.stats.mixed import fit
from clada_neuro.stats.r2_intervals import r2_intervals
from clada_neuro.stats.specification import ModelSpecification
from clada_neuro.stats.stage import fit_models

FORMULA = "y ~ x + (1|subject) + (1|item)"
# Fixed 0.5² · Var(x) = 0.25; random 0.36 + 0.16; residual 1: R²m = .141, R²c = .435.
MARGINAL, CONDITIONAL = 0.25 / 1.77, 0.77 / 1.77


def crossed(seed: int, n_subjects: int = 20, n_items: int = 16) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    subject, item = (part.ravel() for part in np.mgrid[:n_subjects, :n_items])
    x = rng.normal(size=len(subject))
    y = 0.5 * x + rng.normal(0, 0.6, n_subjects)[subject] + rng.normal(0, 0.4, n_items)[item]
    table = pd.DataFrame({"subject": subject, "item": item, "x": x, "y": y + rng.normal(size=len(x))})
    return table.astype({"subject": str, "item": str})


def test_the_interval_holds_the_estimate_and_repeats():
    fitted = fit(crossed(1), FORMULA)
    found = r2_intervals(fitted, 60, seed=3)
    shares = fitted.r2()
    for kind, share in (("marginal", shares.marginal), ("conditional", shares.conditional)):
        assert 0 < found[kind].low < share < found[kind].high < 1
        assert (found[kind].n, found[kind].n_failed) == (60, 0)
    assert r2_intervals(fitted, 60, seed=3) == found
    assert r2_intervals(fitted, 60, seed=4) != found


def test_intervals_hold_the_populations_values_about_as_often_as_they_say():
    """Twenty studies; fewer than 15 hits would come by chance once in three thousand times at 95 %."""
    hits = {"marginal": 0, "conditional": 0}
    for seed in range(20):
        found = r2_intervals(fit(crossed(100 + seed), FORMULA), 40, seed=seed)
        hits["marginal"] += found["marginal"].low < MARGINAL < found["marginal"].high
        hits["conditional"] += found["conditional"].low < CONDITIONAL < found["conditional"].high
    assert min(hits.values()) >= 15


@pytest.mark.parametrize("replicates", [0, 20])
def test_the_stage_draws_them_when_asked_and_the_report_says_them(tmp_path, replicates):
    model = ModelSpecification("M", FORMULA, directions={"x": "positive"})
    fit_models(crossed(1).assign(n400_uv=0.0), (model,), tmp_path / "fits.json", "abc", replicates=replicates)
    (entry,) = read_json(tmp_path / "fits.json")
    assert ("r2_intervals" in entry) == bool(replicates)
    ((_, sentences),) = findings(read_results(tmp_path))
    assert ("95% CI" in sentences[-1]) == bool(replicates)


def test_the_runs_seed_reaches_them(tmp_path):
    model = ModelSpecification("M", FORMULA)
    trials = crossed(1)
    path = tmp_path / "fits.json"
    found = {seed: fit_models(trials, (model,), path, "abc", replicates=10, seed=seed)[0] for seed in (0, 5)}
    scaled = trials.assign(x=(trials["x"] - trials["x"].mean()) / trials["x"].std())
    for seed, entry in found.items():
        expected = r2_intervals(fit(scaled, FORMULA), 10, seed=seed)["marginal"]
        assert entry["r2_intervals"]["marginal"]["low"] == pytest.approx(expected.low)
    assert found[0]["r2_intervals"] != found[5]["r2_intervals"]
