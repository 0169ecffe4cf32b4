"""Where on the plane of layers and moments an effect differs from zero: over subjects, and over items.

Signs of subjects' coefficients are flipped, which treats items as fixed, and so are signs of items' scores, which treats
subjects as fixed (Clark 1973 on why both are needed). Layers are neighbours of the next ones, as moments and electrodes are.
"""

from dataclasses import dataclass
from typing import Any

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.erp.clusters import channel_adjacency, clusters_of, enhanced_p
from clada_neuro.erp.layers.planes import Planes

Array = NDArray[np.float64]
SUBJECTS, ITEMS, ALPHA = "subjects", "items", 0.05
COLUMNS = (
    "over", "cluster", "sign", "layer_first", "layer_last", "tmin_s", "tmax_s", "n_channels", "channels", "mass", "p",
    "p_both",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tested:
    """Clusters over subjects and over items.

    Attributes
    ----------
    table
        A row a cluster, `COLUMNS`: ``over`` subjects or items; its first and last layer and moment, which describe it and are not
        tested; ``mass``, the sum of t; ``p`` for the whole map; ``p_both``, the larger of it and the smallest p of a cluster of
        the same sign in the other test that shares a point with it, 1 where there is none.
    t
        t over subjects, (n_layers, n_channels, n_times).
    numbers
        The cluster over subjects that a point belongs to, -1 for none, of t's shape.
    tfce_p
        Of each point, by over: p of threshold-free cluster enhancement for the whole map; empty unless asked for.
    """

    table: pd.DataFrame
    t: Array
    numbers: NDArray[np.intp]
    tfce_p: dict[str, Array]

    @property
    def has_effect(self) -> NDArray[np.bool_]:
        """Which layers have, at some moment, p ≤ `ALPHA` by threshold-free enhancement over subjects and over items, (n_layers,)."""
        p = np.maximum(self.tfce_p[SUBJECTS], self.tfce_p[ITEMS])
        return np.asarray((p <= ALPHA).any(axis=(1, 2)))


def over_roi(found: Planes, channels: tuple[str, ...], *, n_permutations: int, seed: int) -> Tested:
    """Test the mean of some electrodes over layers and moments, by clusters and by threshold-free cluster enhancement."""
    at = [found.info["ch_names"].index(name) for name in channels]
    samples = {over: values[:, :, at].mean(axis=2, keepdims=True) for over, values in _both(found).items()}
    return _tested(samples, None, found, ["mean"], n_permutations, seed)


def over_electrodes(found: Planes, *, n_permutations: int, seed: int) -> Tested:
    """Test every electrode over layers and moments, by clusters of the three.

    Raises
    ------
    DataError
        Where electrodes have no positions, or do not span the scalp.
    """
    scalp = channel_adjacency(found.info)
    return _tested(_both(found), scalp, found, found.info["ch_names"], n_permutations, seed)


def _both(found: Planes) -> dict[str, Array]:
    return {SUBJECTS: found.betas, ITEMS: found.scores}


def _tested(
    samples: dict[str, Array], scalp: Any, found: Planes, channels: list[str], n_permutations: int, seed: int
) -> Tested:
    """Test samples (n, n_layers, n_channels, n_times); without neighbours on the scalp a single channel, by TFCE as well."""
    shape = samples[SUBJECTS].shape[1:]
    # Without neighbours of its own a lattice: what combine_adjacency says of layers and moments alone, which MNE labels faster.
    lattice = None if scalp is None else mne.stats.combine_adjacency(shape[0], scalp, shape[2])
    flips = {"n_permutations": n_permutations, "seed": seed}
    t, masks, p, tfce_p = {}, {}, {}, {}
    for over, values in samples.items():
        t[over], masks[over], p[over] = clusters_of(values, lattice, **flips)
        if scalp is None:
            tfce_p[over] = enhanced_p(values, lattice, **flips)
    rows = []
    for over, other in ((SUBJECTS, ITEMS), (ITEMS, SUBJECTS)):
        for number, mask in enumerate(masks[over]):
            mass = float(t[over][mask].sum())
            shared = [
                p[other][k]
                for k, theirs in enumerate(masks[other])
                if (theirs & mask).any() and t[other][theirs].sum() * mass > 0
            ]
            both = max(p[over][number], min(shared, default=1.0))
            rows.append((over, number, *_extent(mask, mass, found, channels), p[over][number], both))
    numbers = np.full(shape, -1, dtype=np.intp)
    for number, mask in enumerate(masks[SUBJECTS]):
        numbers[mask] = number
    return Tested(pd.DataFrame(rows, columns=list(COLUMNS)), t[SUBJECTS], numbers, tfce_p)


def _extent(mask: NDArray[np.bool_], mass: float, found: Planes, channels: list[str]) -> tuple[Any, ...]:
    layers, sites, moments = (np.flatnonzero(mask.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1)))
    names = [channels[site] for site in sites]
    return (
        int(np.sign(mass)),
        found.layers[layers[0]],
        found.layers[layers[-1]],
        found.times[moments[0]],
        found.times[moments[-1]],
        len(names),
        " ".join(names),
        mass,
    )
