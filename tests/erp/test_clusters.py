"""Sign flips over subjects: what the tests of waveforms, electrodes and layers share."""

import tracemalloc

import mne
import numpy as np
import pytest
from scipy import sparse, stats

from clada_neuro.erp.clusters import TFCE, clusters_of, enhanced_p

FLIPS = {"n_permutations": 20, "seed": 4}


@pytest.fixture(scope="module")
def samples():
    """Ten subjects, 12 moments, 5 electrodes in a row."""
    return np.random.default_rng(0).normal(0.4, 1, (10, 12, 5))


ROW = sparse.coo_matrix(np.eye(5, k=1) + np.eye(5, k=-1) + np.eye(5))


def test_neighbours_of_electrodes_are_those_of_mne_over_space_and_time(samples):
    t, masks, p = clusters_of(samples, ROW, **FLIPS)
    reference = {"adjacency": ROW, "n_permutations": 20, "rng": 4, "verbose": "error"}
    expected = mne.stats.spatio_temporal_cluster_1samp_test(
        samples, threshold=stats.t.ppf(0.975, 9), out_type="mask", **reference
    )
    order = np.argsort(expected[2], kind="stable")
    np.testing.assert_allclose(t, stats.ttest_1samp(samples, 0).statistic)
    np.testing.assert_array_equal(masks, np.array(expected[1])[order])
    np.testing.assert_array_equal(p, expected[2][order])
    enhanced = mne.stats.spatio_temporal_cluster_1samp_test(samples, threshold=TFCE, **reference)
    np.testing.assert_array_equal(enhanced_p(samples, ROW, **FLIPS).ravel(), enhanced[2])


def test_where_nothing_is_there_is_no_cluster():
    t, masks, p = clusters_of(np.zeros((5, 4, 3)), None, **FLIPS)
    assert (t == 0).all()
    assert (list(masks), len(p)) == ([], 0)


def test_enhancement_holds_no_mask_of_every_point():
    """One of 4,000 points each would be 16 MB here, gigabytes where layers, electrodes and moments are enhanced."""
    wide = np.random.default_rng(1).normal(0, 1, (6, 80, 50))
    tracemalloc.start()
    p = enhanced_p(wide, None, n_permutations=4, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert p.shape == (80, 50)
    assert peak < 0.5 * 4000**2
