"""Latencies of courses whose onset and peak are known, over subjects and items, and the rank correlation by scipy."""

import numpy as np
import pytest
from scipy import stats

from clada_neuro.erp.layers.latency import latencies, onset_and_peak

TIMES = np.arange(0.005, 1.0, 0.01)
LAYERS = tuple(range(8))
STILL = np.zeros((2, 8, len(TIMES)))  # items that move nothing


def bump(peak: float) -> np.ndarray:
    return np.exp(-(((TIMES - peak) / 0.06) ** 2) / 2)


def test_the_onset_is_at_half_of_the_peak_between_two_moments():
    triangle = np.maximum(0, 1 - np.abs(TIMES - 0.405) / 0.2)
    onset, peak = onset_and_peak(TIMES, triangle)
    assert peak == pytest.approx(0.405)
    assert onset == pytest.approx(0.305)


def test_an_effect_from_the_start_begins_there():
    onset, peak = onset_and_peak(TIMES, np.linspace(1, 0, len(TIMES)))
    assert onset == peak == TIMES[0]


def test_a_gaussian_reaches_half_where_it_should():
    onset, _ = onset_and_peak(TIMES, bump(0.405))
    assert onset == pytest.approx(0.405 - 0.06 * np.sqrt(2 * np.log(2)), abs=0.001)


def test_later_layers_that_are_later_are_found_and_their_intervals_hold_the_truth():
    rng = np.random.default_rng(3)
    truth = 0.25 + 0.05 * np.arange(8)
    betas = np.array([-2 * bump(peak) for peak in truth]) + 0.3 * rng.standard_normal((15, 8, len(TIMES)))
    found = latencies(LAYERS, TIMES, betas, STILL, np.ones(8, dtype=bool), n_bootstrap=400)
    table, (peak_row,) = found.table, found.correlations.query("latency == 'peak'").to_dict("records")
    assert (table["peak_uv"] < -1.5).all()
    inside = (table["peak_s_low"] <= truth + 0.01) & (truth - 0.01 <= table["peak_s_high"])
    assert inside.sum() >= 7  # of eight 95 % intervals
    assert peak_row["rho"] == pytest.approx(stats.spearmanr(LAYERS, table["peak_s"]).statistic)
    assert peak_row["rho"] > 0.95
    assert peak_row["rho_low"] > 0.8
    assert peak_row["p"] < 0.01


def test_layers_without_an_effect_are_in_the_table_and_not_in_the_correlation():
    rng = np.random.default_rng(4)
    betas = rng.standard_normal((10, 8, len(TIMES)))
    none = latencies(LAYERS, TIMES, betas, STILL, np.arange(8) < 4, n_bootstrap=50)
    assert len(none.table) == 8
    assert none.correlations.empty
    some = latencies(LAYERS, TIMES, betas, STILL, np.arange(8) < 5, n_bootstrap=50)
    assert list(some.correlations["n_layers"]) == [5, 5]


def test_items_that_move_all_subjects_alike_make_no_order_of_layers():
    """What each layer shares with all subjects, because their words are the same, is no finding of subjects."""
    at_once, trials = bump(0.4), 0.02
    by_subjects, by_both = [], []
    for seed in range(40):
        rng = np.random.default_rng([5, seed])
        items = (
            rng.standard_normal((20, 8, 1)) * bump(0.3) * 0.05
        )  # each layer has its own part in an early map
        items -= items.mean(axis=0)
        of_words = rng.standard_normal((8, 1)) * bump(0.3) * 0.05 * np.sqrt(20)
        betas = at_once + of_words + trials * rng.standard_normal((12, 8, len(TIMES)))
        for influence, p in ((STILL, by_subjects), (items, by_both)):
            found = latencies(LAYERS, TIMES, betas, influence, np.ones(8, dtype=bool), n_bootstrap=199)
            p.append(found.correlations.set_index("latency").at["onset", "p"])
    assert np.mean(np.array(by_subjects) <= 0.05) > 0.2
    assert np.mean(np.array(by_both) <= 0.05) <= 0.1
