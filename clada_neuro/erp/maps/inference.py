"""Which of many electrodes and moments a coefficient differs from zero at: corrected by the largest value that chance gives."""

from dataclasses import dataclass

import mne
import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats
from scipy.sparse import csgraph

Array = NDArray[np.float64]
CLUSTER_FORMING_P = 0.05


@dataclass(frozen=True, eq=False)
class MapTests:
    """Tests of one coefficient's map.

    Attributes
    ----------
    p
        (n_channels, n_times): of the largest |z| anywhere, corrected over the whole map.
    clusters
        (n_channels, n_times): number of the cluster from 0, largest mass first; −1 outside.
    masses, cluster_p
        One value per cluster: sum of z, and p corrected over the map.
    """

    p: Array
    clusters: NDArray[np.intp]
    masses: Array
    cluster_p: Array


def compared(z: Array, null: NDArray[np.float32], adjacency: sparse.spmatrix) -> MapTests:
    """Compare a map with its draws under the null.

    Parameters
    ----------
    z
        (n_channels, n_times), normal deviates.
    null
        (n_draws, n_channels, n_times), the same of draws.
    adjacency
        Of channels; neighbouring moments are neighbours as well.
    """
    largest = np.abs(null).max(axis=(1, 2))
    lattice = mne.stats.combine_adjacency(adjacency, z.shape[1]).tocsr()
    numbers, masses = _clusters(z, lattice)
    heaviest = np.array([np.abs(_clusters(draw, lattice)[1]).max(initial=0.0) for draw in null])
    return MapTests(_share(np.abs(z), largest), numbers, masses, _share(np.abs(masses), heaviest))


def _share(values: Array, draws: Array) -> Array:
    """Return the share of draws that reach each value, the observed one counted among them."""
    below = np.searchsorted(np.sort(draws), values, side="left")
    return np.asarray((1 + len(draws) - below) / (1 + len(draws)))


def _clusters(z: Array, lattice: sparse.csr_matrix) -> tuple[NDArray[np.intp], Array]:
    """Return the clusters of neighbouring points of one sign beyond the threshold, and the sum of z in each."""
    threshold = stats.norm.isf(CLUSTER_FORMING_P / 2)
    flat = z.ravel()
    labels = np.full(flat.size, -1)
    count = 0
    for inside in (flat > threshold, flat < -threshold):
        points = np.flatnonzero(inside)
        if len(points):
            n, own = csgraph.connected_components(lattice[points][:, points], directed=False)
            labels[points] = own + count
            count += n
    masses: Array = np.zeros(count)
    np.add.at(masses, labels[labels >= 0], flat[labels >= 0])
    order = np.argsort(-np.abs(masses), kind="stable")
    rank = np.append(np.argsort(order), -1)
    return rank[labels].reshape(z.shape), masses[order]
