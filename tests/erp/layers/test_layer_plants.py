"""What is planted is found: layers that speak one after another, one layer alone, and nothing where there is nothing."""

import mne
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clada_neuro.erp.channels import find_roi
from clada_neuro.erp.components import N400
from clada_neuro.erp.layers.columns import layer_columns
from clada_neuro.erp.layers.latency import latencies
from clada_neuro.erp.layers.planes import planes
from clada_neuro.erp.layers.tested import ALPHA, ITEMS, SUBJECTS, over_electrodes, over_roi
from clada_neuro.erp.layers.tested import Tested as SignFlips  # pytest takes Test… for tests
from clada_neuro.erp.predictors import with_predictors
from clada_neuro.erp.simulate_layers import simulate_layers

MEASURE = "lens_surprisal_bits"


def analysed(words_by_layer, peaks: dict[int, float], seed: int = 0, n_permutations: int = 100):
    columns = layer_columns(*words_by_layer(seed=seed), MEASURE)
    planted = {columns.names[layer]: peak for layer, peak in peaks.items()}
    epochs = simulate_layers(columns.words, planted, effect_uv=-1.5, n_subjects=10, seed=seed)
    data = with_predictors(epochs, columns.words, list(columns.names.values()))
    found = planes(data, columns.names, tmin=0.1, tmax=0.85)
    channels = find_roi(found.info, N400).channels
    at = [found.info["ch_names"].index(name) for name in channels]
    roi = found.betas[:, :, at].mean(axis=2)
    return found, (roi, found.influence(at)), over_roi(found, channels, n_permutations=n_permutations, seed=1)


@pytest.fixture(scope="module")
def one_layer(words_by_layer):
    return analysed(words_by_layer, {6: 0.4})


def test_early_layers_early_and_late_layers_late(words_by_layer):
    truth = dict(zip((0, 2, 4, 6, 8, 10), (0.25, 0.33, 0.41, 0.49, 0.57, 0.65), strict=True))
    found, roi, tested = analysed(words_by_layer, truth)
    assert tested.has_effect.all()
    measured = latencies(found.layers, found.times, *roi, tested.has_effect, n_bootstrap=300)
    np.testing.assert_allclose(measured.table["peak_s"], list(truth.values()), atol=0.06)
    assert (measured.correlations["rho"] > 0.9).all()
    assert (measured.correlations["p"] < 0.05).all()


def test_one_layer_only(one_layer):
    found, roi, tested = one_layer
    assert list(np.array(found.layers)[tested.has_effect]) == [6]
    # A layer that is by chance like the stimuli's own amplitudes has a cluster over subjects, none over items.
    both = tested.table[tested.table["p_both"] <= ALPHA]
    assert sorted(both["over"]) == [ITEMS, SUBJECTS]
    assert (both["sign"] == -1).all()
    assert ((both["layer_first"] <= 6) & (both["layer_last"] >= 6)).all()
    assert ((both["tmin_s"] >= 0.25) & (both["tmax_s"] <= 0.55)).all()
    measured = latencies(found.layers, found.times, *roi, tested.has_effect, n_bootstrap=100)
    assert measured.correlations.empty
    row = measured.table.set_index("layer").loc[6]
    assert row["peak_s"] == pytest.approx(0.4, abs=0.05)
    assert row["onset_s"] == pytest.approx(
        0.325, abs=0.05
    )  # a Hann course reaches half of its height at half of its width


def test_an_effect_is_one_over_subjects_and_items_at_one_moment():
    p = {SUBJECTS: np.ones((4, 1, 3)), ITEMS: np.ones((4, 1, 3))}
    p[SUBJECTS][:3, 0, 1] = 0.05
    p[ITEMS][1, 0, 1], p[ITEMS][2, 0, 2], p[ITEMS][3, 0, 0] = 0.05, 0.01, 0.01
    nothing = np.empty((4, 1, 3))
    assert SignFlips(pd.DataFrame(), nothing, nothing.astype(int), p).has_effect.tolist() == [
        False,
        True,
        False,
        False,
    ]


def test_the_scalp_of_one_layer(one_layer):
    found, _, _ = one_layer
    tested = over_electrodes(found, n_permutations=100, seed=1)
    first = tested.table.sort_values("p_both").iloc[0]
    assert first["p_both"] <= ALPHA
    assert {"CPz", "Pz", "Cz"} <= set(first["channels"].split())
    assert tested.numbers.shape == tested.t.shape == found.betas.shape[1:]
    strongest = np.unravel_index(np.abs(tested.t).argmax(), tested.t.shape)
    assert found.layers[strongest[0]] == 6


def test_nothing_is_found_where_nothing_is(words_by_layer):
    _, _, tested = analysed(words_by_layer, {}, seed=5)
    assert (tested.table["p_both"] > ALPHA).all()
    assert not tested.has_effect.any()


def test_the_plane_is_tested_as_mne_tests_a_lattice(one_layer):
    _, (roi, _), tested = one_layer
    neighbours = mne.stats.combine_adjacency(*roi.shape[1:])
    forming = stats.t.ppf(0.975, len(roi) - 1)
    t, clusters, p, _ = mne.stats.permutation_cluster_1samp_test(
        roi, threshold=forming, n_permutations=100, adjacency=neighbours, rng=1, verbose="error"
    )
    own = tested.table[tested.table["over"] == SUBJECTS]
    np.testing.assert_allclose(tested.t[:, 0], t)
    assert len(own) == len(clusters)
    np.testing.assert_allclose(own["p"], np.sort(p))
