"""Regression ERPs: how the EEG at each moment and electrode changes with properties of the word.

Each subject's epochs are regressed on z-scored predictors (`mne.stats.linear_regression`), together with the
electrode's own pre-stimulus baseline (Alday 2019). The subjects' coefficients are then tested against zero by
cluster permutation over time and electrodes (Maris & Oostenveld 2007).

The permutation treats items as fixed: what it finds holds for these stimuli. `by_item` is the complement.
"""

from dataclasses import dataclass
from typing import Literal

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.erp.clusters import ITEMS_FIXED, bins, cluster_test
from clada_neuro.erp.predictors import PredictedEpochs
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import DataError

Array = NDArray[np.float64]
_REASONS = 3  # that are shown; all stand in the table of lost epochs
_ROUNDING = 1e-20


@dataclass(frozen=True)
class Rerp:
    """Regression ERPs of all subjects.

    Attributes
    ----------
    betas
        For each predictor, and ``intercept``, one Evoked per subject: volts per SD of the predictor. As groups
        for `evoked.waveforms`, `evoked.topographies` and `evoked.grand_averages` they give µV per SD.
    clusters
        One row per cluster, lowest p first: predictor, cluster (number), sign, tmin_s, tmax_s, n_channels, channels, mass
        (sum of t), p. Time limits describe the cluster; they are not tested onsets.
    masks
        For each predictor the clusters' extent, shape (n_clusters, n_channels, n_times).
    t_values
        For each predictor t over subjects, shape (n_channels, n_times).
    times
        Seconds of the last axis of ``masks`` and ``t_values``: centers of bins of about 10 ms, over which the
        coefficients are averaged before the test.
    tmin
        Where the search for clusters began, seconds.
    notes
        What a reader must know.
    """

    betas: dict[str, list[mne.Evoked]]
    clusters: pd.DataFrame
    masks: dict[str, NDArray[np.bool_]]
    t_values: dict[str, Array]
    times: Array
    tmin: float
    notes: list[str]


@quiet
def rerp(
    data: PredictedEpochs,
    *,
    baseline: Literal["covariate", "none"] = "covariate",
    baseline_window: tuple[float | None, float] = (None, 0.0),
    tmin: float = 0.0,
    n_permutations: int = 1000,
    seed: int = 0,
) -> Rerp:
    """Regress the EEG on the predictors and test the coefficients over subjects.

    Parameters
    ----------
    data
        Epochs with predictors (`predictors.with_predictors`).
    baseline
        ``covariate``: each electrode's mean in the baseline window enters its regression; ``none``: it does not, as
        with epochs whose baseline was subtracted before.
    baseline_window
        Seconds; None is the start of the epoch.
    tmin
        The clusters are searched from this time on, seconds.
    n_permutations, seed
        Sign flips of the permutation test, and what makes them repeatable.

    Raises
    ------
    DataError
        With fewer than two subjects, fewer epochs than coefficients, or electrodes without positions.
    """
    if len(data.epochs) < 2:
        raise DataError(f"{len(data.epochs)} subject arrived; a test over subjects needs two or more")
    if not data.predictors:
        raise DataError("no predictor arrived; give one or more that vary over the words")
    names = ["intercept", *data.predictors]
    betas: dict[str, list[mne.Evoked]] = {name: [] for name in names}
    layout = data.layout
    for subject, epochs in data.epochs.items():
        alike = layout.of(f"subject '{subject}'", epochs)
        for name, beta in subject_betas(subject, alike, data.predictors, baseline, baseline_window).items():
            betas[name].append(beta)
    found = {
        name: cluster_test(name, betas[name], tmin, n_permutations=n_permutations, seed=seed)
        for name in data.predictors
    }
    masks = {name: test.masks for name, test in found.items()}
    t_values = {name: test.t_values for name, test in found.items()}
    times = bins(betas["intercept"][0], tmin)[0]
    clusters = pd.concat([test.table for test in found.values()], ignore_index=True)
    return Rerp(
        betas, clusters, masks, t_values, times, tmin, [ITEMS_FIXED, *layout.notes, *_lost_note(data)]
    )


@quiet
def subject_betas(
    subject: str,
    epochs: mne.BaseEpochs,
    predictors: tuple[str, ...],
    baseline: str,
    baseline_window: tuple[float | None, float] = (None, 0.0),
) -> dict[str, mne.Evoked]:
    """Return one subject's coefficients: volts per SD at each electrode and time."""
    names = ["intercept", *predictors]
    n_coefficients = len(names) + (baseline == "covariate")
    if len(epochs) <= n_coefficients:
        raise DataError(
            f"subject '{subject}' has {len(epochs)} epochs for {n_coefficients} coefficients; leave the subject "
            "out or use fewer predictors"
        )
    picked = epochs.copy().load_data().pick("eeg", exclude=[])
    z = picked.metadata[[f"z_{name}" for name in predictors]].to_numpy(float)
    design = np.column_stack([np.ones(len(z)), z])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise DataError(
            f"subject '{subject}': {', '.join(predictors)} do not vary apart from each other over the words of its "
            f"{len(z)} epochs; leave a predictor or the subject out"
        )
    fits = mne.stats.linear_regression(picked, design, names=names)
    betas = {name: fits[name].beta for name in names}
    if baseline == "covariate" and epochs.baseline is None:
        if epochs.tmin >= 0:
            raise DataError(
                f"subject '{subject}': epochs that start at 0 have no baseline; ask for baseline='none'"
            )
        before = picked.copy().crop(*baseline_window).get_data().mean(axis=-1)
        shifts = _baseline_shifts(design, before, picked.get_data())
        for beta, shift in zip(betas.values(), shifts, strict=True):
            beta.data -= shift
    for name, beta in betas.items():
        beta.comment, beta.nave = name, len(z)
    return betas


def _baseline_shifts(design: Array, before: Array, data: Array) -> Array:
    """Return by how much each coefficient falls when an electrode's baseline joins its own regression.

    The omitted-variable formula, exact: b_short − b_long = a·g, where a regresses the baseline on the design and
    g is the baseline's coefficient in the long regression.

    Parameters
    ----------
    design
        (n_epochs, n_coefficients); ``before`` (n_epochs, n_channels); ``data`` (n_epochs, n_channels, n_times).

    Returns
    -------
    array of shape (n_coefficients, n_channels, n_times)
    """
    centered = before - before.mean(axis=0)
    a, *_ = np.linalg.lstsq(design, centered)
    residual = centered - design @ a
    left = (residual**2).sum(axis=0)
    # A channel without a level of its own, as the reference or one whose baseline was subtracted: nothing to adjust for.
    level = left > _ROUNDING * (data**2).sum(axis=(0, 2))
    inverse = np.divide(1.0, left, out=np.zeros_like(left), where=level)
    g = np.einsum("nc,nct->ct", residual, data) * inverse[:, None]
    return a[:, :, None] * g


def _lost_note(data: PredictedEpochs) -> list[str]:
    counts = data.lost["reason"].value_counts()
    shown, others = counts.head(_REASONS), counts.iloc[_REASONS:]
    rest = [f"{others.sum()} epochs left out for {len(others)} more reasons"] if len(others) else []
    return [*(f"{n} epochs left out: {reason}" for reason, n in shown.items()), *rest]
