"""Mixed models over time against the package's single fits and hand algebra, and what chance gives."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

import clada_neuro as cn
from clada_neuro.erp.maps.channel import (
    AMPLITUDE,
    BASELINE,
    ChannelTask,
    Electrode,
    deviates,
    fit_electrode,
    with_errors,
)
from clada_neuro.erp.maps.inference import compared
from clada_neuro.erp.maps.null import TRIALS, RowWeights, signs
from clada_neuro.errors import FitError

FORMULA = "x + (1 + x | subject) + (1 | item) + (1 | stimulus)"


def trials(n_subjects: int = 8, n_items: int = 10) -> pd.DataFrame:
    subject, stimulus = (part.ravel() for part in np.indices((n_subjects, 2 * n_items)))
    x = np.random.default_rng(1).normal(size=2 * n_items)[stimulus]
    labels = pd.DataFrame({"subject": subject, "item": stimulus // 2, "stimulus": stimulus})
    return labels.map(lambda number: f"n{number}").assign(x=x)


def smooth(rng: np.random.Generator, n: int, n_times: int) -> np.ndarray:
    walk = rng.normal(size=(n, n_times)).cumsum(axis=1)
    return walk / np.sqrt(np.arange(1, n_times + 1))


def electrode(table: pd.DataFrame, seed: int, n_times: int = 10, effect: float = 0.0) -> Electrode:
    """Return voltages whose parts change over time; late ones have no item variance."""
    rng = np.random.default_rng(seed)
    late = np.linspace(1, 0, n_times).round()
    part = {
        name: smooth(rng, table[name].nunique(), n_times)[pd.factorize(table[name])[0]]
        for name in ("subject", "item", "stimulus")
    }
    slope = smooth(rng, table["subject"].nunique(), n_times)[pd.factorize(table["subject"])[0]]
    x = table["x"].to_numpy()[:, None]
    y = 2 * part["subject"] + (effect + 0.5 * slope) * x + late * part["item"] + part["stimulus"]
    return Electrode("Cz", y + 4 * smooth(rng, len(table), n_times), rng.normal(size=len(table)))


def task(table: pd.DataFrame, n_draws: int = 99, formula: str = FORMULA) -> ChannelTask:
    return ChannelTask(table, formula, True, n_draws, 0)


def test_twenty_points_are_those_of_single_fits():
    table = trials()
    for seed in (1, 2):
        given = electrode(table, seed)
        maps = fit_electrode(given, task(table))
        for moment in range(10):
            rows = table.assign(**{AMPLITUDE: given.amplitudes[:, moment], BASELINE: given.baseline})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                alone = cn.fit(rows, f"{AMPLITUDE} ~ {FORMULA} + {BASELINE}", standardize=True)
            expected = alone.coefficient("x")
            assert maps.b[0, moment] == pytest.approx(expected["estimate"], abs=1e-3 * expected["se"])
            assert maps.se[0, moment] == pytest.approx(expected["se"], rel=1e-3)
            assert maps.df[0, moment] == pytest.approx(expected["df"], rel=2e-2)
            assert maps.sds[-1, moment] == pytest.approx(alone.sigma, rel=1e-3)


def test_weights_give_coefficients_and_standard_errors():
    table = trials()
    given = electrode(table, 3, n_times=2)
    model, fits, _ = with_errors(given, task(table))
    found = RowWeights(model.design)
    for member, y in zip(fits, given.amplitudes.T, strict=True):
        weights = found.of(member)
        np.testing.assert_allclose(weights.T @ y, member.beta, rtol=1e-6, atol=1e-8)
        covariance = member.sigma**2 * np.eye(len(y))
        for block, own in zip(model.design.blocks, member.covariances, strict=True):
            same = block.codes[:, None] == block.codes
            covariance += same * (block.values @ own @ block.values.T)
        np.testing.assert_allclose(np.sqrt(np.diag(weights.T @ covariance @ weights)), member.se, rtol=1e-6)


def test_draws_under_the_null_are_as_large_as_standard_errors_say():
    table = trials(12, 20)
    maps = fit_electrode(electrode(table, 4, effect=3.0), task(table, 1000))
    assert np.abs(maps.b / maps.se).max() > 4  # the planted effect takes no part in the draws
    assert maps.null.shape == (1000, 1, 10)
    np.testing.assert_allclose(maps.null.std(axis=0), 1, atol=0.25)
    np.testing.assert_allclose(maps.null.mean(axis=0), 0, atol=0.15)
    neighbours = np.corrcoef(maps.null[:, 0].T)
    assert np.diag(neighbours, 1).min() > 0.5  # moments hang together as they do in the data


def test_every_electrode_gets_the_same_signs():
    table = trials()
    design = (
        task(table)
        .model(np.random.default_rng(0).normal(size=len(table)), np.arange(len(table)) % 7.0)
        .design
    )
    first, again = signs(design, 5, 3), signs(design, 5, 3)
    assert set(first) == {"subject", "item", "stimulus", TRIALS}
    assert all((first[group] == again[group]).all() for group in first)
    assert not (first["subject"] == signs(design, 5, 4)["subject"]).all()
    assert set(np.unique(first["item"])) == {-1, 1}


def test_deviates_are_as_improbable_as_t():
    t, df = np.array([-2.0, 0.0, 3.5, 90.0]), np.array([5.0, 9.0, 30.0, 40.0])
    np.testing.assert_allclose(stats.norm.sf(deviates(t, df)[:3]), stats.t.sf(t, df)[:3], rtol=1e-9)
    assert np.isfinite(deviates(t, df)).all()
    assert deviates(np.array([1e6]), np.array([1e4]))[0] > 30


def test_a_map_is_compared_with_the_largest_that_chance_gives():
    z = np.array([[0.0, 3.0, 2.5, 0.0], [0.0, 2.2, 0.0, -2.1], [0.0, 0.0, 0.0, 0.0]])
    null = np.zeros((9, 3, 4), dtype=np.float32)
    null[0, 0, 0] = 2.6  # one draw lies between two points of the map
    null[1, 2, 1:3] = -2.3  # and one has a cluster of two
    neighbours = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]])
    found = compared(z, null, sparse.csr_matrix(neighbours))
    assert found.p[0, 1] == pytest.approx(1 / 10)
    assert found.p[0, 2] == pytest.approx(2 / 10)
    assert found.p[2, 2] == 1
    np.testing.assert_allclose(found.masses, [7.7, -2.1])
    assert found.clusters.tolist() == [[-1, 0, 0, -1], [-1, 0, -1, 1], [-1, -1, -1, -1]]
    np.testing.assert_allclose(found.cluster_p, [1 / 10, 3 / 10])


def test_an_electrode_that_does_not_vary_is_named():
    table = trials()
    flat = Electrode("Oz", np.zeros((len(table), 3)), np.zeros(len(table)))
    with pytest.raises(FitError, match="electrode Oz has one value"):
        fit_electrode(flat, task(table))
