"""Where in time and over the scalp a coefficient differs from zero over subjects: permutation of signs.

Clusters of neighbouring moments and electrodes (Maris & Oostenveld 2007), or threshold-free cluster enhancement (Smith & Nichols
2009), which gives every moment and electrode a p corrected for all. Both treat items as fixed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import QhullError

from clada_neuro.erp.channels import has_position
from clada_neuro.errors import DataError

Array = NDArray[np.float64]
ITEMS_FIXED = (
    "The cluster permutation treats items as fixed: it generalizes over subjects to these stimuli only. "
    "See the by-item check and the mixed models."
)
CLUSTER_FORMING_P = 0.05
_BIN_SECONDS = 0.01
TFCE = {"start": 0.0, "step": 0.2}


@dataclass(frozen=True, eq=False)
class ClusterTest:
    """The test of one predictor.

    Attributes
    ----------
    table
        One row per cluster, lowest p first: predictor, cluster (number), sign, tmin_s, tmax_s, n_channels, channels, mass
        (sum of t), p. Time limits describe the cluster; they are not tested onsets.
    masks
        The clusters' extent, shape (n_clusters, n_channels, n_times).
    t_values
        t over subjects, shape (n_channels, n_times).
    times
        Seconds of the last axis: centers of bins of about 10 ms, over which coefficients are averaged before the test.
    tfce_p
        p of threshold-free cluster enhancement, corrected over all electrodes and moments, shape (n_channels, n_times);
        None unless asked for.
    """

    table: pd.DataFrame
    masks: NDArray[np.bool_]
    t_values: Array
    times: Array
    tfce_p: Array | None = None


def cluster_test(
    name: str, betas: Sequence[mne.Evoked], tmin: float, *, n_permutations: int, seed: int, tfce: bool = False
) -> ClusterTest:
    """Test one predictor's coefficients against zero.

    Parameters
    ----------
    name
        The predictor.
    betas
        One Evoked per subject, of the same channels and times.
    tmin
        Clusters are searched from this time on, seconds.
    n_permutations, seed
        Sign flips, and what makes them repeatable.
    tfce
        Also by threshold-free cluster enhancement.

    Raises
    ------
    DataError
        With fewer than two subjects, or electrodes without positions.
    """
    if len(betas) < 2:
        raise DataError(f"{len(betas)} subject arrived; a test over subjects needs two or more")
    adjacency = channel_adjacency(betas[0].info)
    times = bins(betas[0], tmin)[0]
    stacked = np.array([bins(beta, tmin)[1].T for beta in betas])
    flips = {"n_permutations": n_permutations, "seed": seed}
    t, found, p = clusters_of(stacked, adjacency, **flips)
    masks = np.array([mask.T for mask in found]).reshape(len(found), *t.T.shape)
    table = _table(name, t.T, masks, p, times, betas[0].ch_names)
    enhanced = enhanced_p(stacked, adjacency, **flips).T if tfce else None
    return ClusterTest(table, masks, t.T, times, enhanced)


def bins(inst: mne.Evoked | mne.BaseEpochs, tmin: float) -> tuple[Array, Array]:
    """Return bin centers from ``tmin`` on and the data averaged in them, shape (…, n_channels, n_bins)."""
    width = max(1, round(_BIN_SECONDS * inst.info["sfreq"]))
    after = inst.times >= tmin - 1e-6
    data, times = inst.get_data()[..., after], inst.times[after]
    whole = len(times) // width * width
    return (
        times[:whole].reshape(-1, width).mean(axis=1),
        data[..., :whole].reshape(*data.shape[:-1], -1, width).mean(axis=-1),
    )


def channel_adjacency(info: mne.Info) -> Any:
    """Return which EEG electrodes are neighbours, from their positions.

    Raises
    ------
    DataError
        Without positions, or when they do not span the scalp.
    """
    if not all(map(has_position, info["chs"])):
        raise DataError(
            "electrodes have no positions, so none are neighbours; set a montage (epochs.set_montage)"
        )
    try:
        adjacency, _ = mne.channels.find_ch_adjacency(info, "eeg")
    except (QhullError, ValueError):  # too few, or all on one line
        raise DataError(
            f"the electrodes that all subjects share ({', '.join(info['ch_names'])}) do not span the scalp, so none are "
            "neighbours"
        ) from None
    return adjacency


def clusters_of(
    samples: Array, adjacency: Any, *, n_permutations: int, seed: int
) -> tuple[Array, list[NDArray[np.bool_]], Array]:
    """Find clusters of points at which samples differ from zero.

    Parameters
    ----------
    samples
        Coefficients of subjects, or scores of items, (n, …).
    adjacency
        Which points are neighbours: of the last axis, or of all; None is a lattice.
    n_permutations, seed
        Sign flips, and what makes them repeatable.

    Returns
    -------
    t, masks, p
        t over samples (…), the clusters' extent in that shape, and their p, lowest first.
    """
    forming = stats.t.ppf(1 - CLUSTER_FORMING_P / 2, len(samples) - 1)
    t, masks, p = _sign_flips(samples, forming, adjacency, "mask", n_permutations, seed)
    order = np.argsort(p, kind="stable")
    return t, [masks[number] for number in order], p[order]


def enhanced_p(samples: Array, adjacency: Any, *, n_permutations: int, seed: int) -> Array:
    """Return p of threshold-free cluster enhancement of every point, corrected for all, (…); parameters as of `clusters_of`."""
    # A mask of each point, MNE's clusters here, would be the square of the map.
    t, _, p = _sign_flips(samples, TFCE, adjacency, "indices", n_permutations, seed)
    return p.reshape(t.shape)


def _sign_flips(
    samples: Array,
    threshold: float | dict[str, float],
    adjacency: Any,
    out_type: str,
    n_permutations: int,
    seed: int,
) -> tuple[Array, list[Any], Array]:
    t, found, p, _ = mne.stats.permutation_cluster_1samp_test(
        samples,
        threshold=threshold,
        n_permutations=n_permutations,
        adjacency=adjacency,
        out_type=out_type,
        rng=seed,
        stat_fun=t_values,
        verbose="error",
    )
    return t, found, p


def t_values(betas: Array) -> Array:
    """Return t over subjects; 0 where all are 0, as at a reference that was kept as a channel."""
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(mne.stats.ttest_1samp_no_p(betas), nan=0.0)


def _table(
    predictor: str, t: Array, masks: NDArray[np.bool_], p: Array, times: Array, channels: list[str]
) -> pd.DataFrame:
    rows = []
    for number, mask in enumerate(masks):
        inside = times[mask.any(axis=0)]
        members = [channel for channel, member in zip(channels, mask.any(axis=1), strict=True) if member]
        mass = float(t[mask].sum())
        rows.append(
            (
                predictor,
                number,
                int(np.sign(mass)),
                inside[0],
                inside[-1],
                len(members),
                " ".join(members),
                mass,
            )
        )
    columns = ["predictor", "cluster", "sign", "tmin_s", "tmax_s", "n_channels", "channels", "mass"]
    return pd.DataFrame(rows, columns=columns).assign(p=p)
