"""Regressions of each subject's epochs on one measure of one layer at a time, for all layers at once.

With controls C, an electrode's own baseline b and a layer's measure z, the coefficient of z at a moment y is that of y and z
both freed of C and b (Frisch & Waugh 1933; Lovell 1963): the residuals of y are made once for all layers. What a stimulus
adds to that coefficient, z times the residual of y, summed over subjects and an item's stimuli, is the item's score: over items
its mean is zero where the measure has no effect, so that a test of it holds over items as one of coefficients does over subjects.
Its share of the sum of squares of z says how far an item drawn once more, or not at all, would move the coefficient.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.erp.clusters import bins
from clada_neuro.erp.epochs import MICROVOLTS
from clada_neuro.erp.predictors import PredictedEpochs
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import DataError

Array = NDArray[np.float64]
_ROUNDING = 1e-20
_FEWEST_ITEMS = 4


@dataclass(frozen=True, eq=False)
class Planes:
    """What each layer's measure does at every electrode and moment.

    Attributes
    ----------
    layers
        Numbers of the layers.
    times
        Seconds: centers of bins of about 10 ms, over which voltages are averaged before the regressions.
    betas
        µV per SD of the layer's measure, (n_subjects, n_layers, n_channels, n_times).
    scores
        Each item's score, µV, (n_items, n_layers, n_channels, n_times).
    squares
        Each item's part of the measures' sum of squares, (n_items, n_layers, n_channels).
    info
        The channels.
    """

    layers: tuple[int, ...]
    times: Array
    betas: Array
    scores: Array
    squares: Array
    info: mne.Info

    def influence(self, channels: list[int]) -> Array:
        """Return by how much each item, drawn once more, moves the mean coefficients of some channels.

        Returns
        -------
        µV per SD, (n_items, n_layers, n_times), first order (an infinitesimal jackknife over items); sums to zero over items.
        """
        scores, squares = self.scores[:, :, channels], self.squares[:, :, channels, None]
        whole = squares.sum(axis=0)
        mean = scores.sum(axis=0) / whole
        return ((scores - mean * squares) / whole).mean(axis=2)


@quiet
def planes(
    data: PredictedEpochs,
    names: Mapping[int, str],
    controls: tuple[str, ...] = (),
    *,
    covariate: bool = True,
    baseline_window: tuple[float | None, float] = (None, 0.0),
    tmin: float = 0.0,
    tmax: float | None = None,
) -> Planes:
    """Regress each subject's epochs on each layer's measure and the controls.

    Parameters
    ----------
    data
        Epochs whose predictors are ``names`` and ``controls``.
    names
        Each layer's predictor.
    controls
        Predictors that stand in every regression.
    covariate
        Whether an electrode's mean in the baseline window enters its regressions.
    baseline_window
        Seconds; None is the start of the epoch.
    tmin, tmax
        Seconds of the map; None is the end of the epochs.

    Raises
    ------
    DataError
        With fewer than two subjects or four items, too few epochs, or a measure that does not vary apart from the controls.
    """
    if len(data.epochs) < 2:
        raise DataError(f"{len(data.epochs)} subject arrived; a test over subjects needs two or more")
    items = pd.Index(pd.concat([epochs.metadata["item"] for epochs in data.epochs.values()]).unique())
    if len(items) < _FEWEST_ITEMS:
        raise DataError(f"{len(items)} items arrived; a test over items needs {_FEWEST_ITEMS} or more")
    layout, betas = data.layout, []
    scores: Array | float = 0.0
    squares: Array | float = 0.0
    for subject, recording in data.epochs.items():
        epochs = layout.of(f"subject '{subject}'", recording).crop(tmax=tmax)
        times, voltages = bins(epochs, tmin)
        before = None
        if covariate:
            if epochs.tmin >= 0:
                raise DataError(
                    f"subject '{subject}': epochs that start at 0 have no baseline; ask for baseline='none'"
                )
            before = MICROVOLTS * epochs.copy().crop(*baseline_window).get_data().mean(axis=-1)
        z, fixed = (
            epochs.metadata[[f"z_{name}" for name in some]].to_numpy(float)
            for some in (names.values(), controls)
        )
        fit = Regressions.of(f"subject '{subject}'", MICROVOLTS * voltages, z, fixed, before)
        betas.append(fit.betas())
        which = items.get_indexer(epochs.metadata["item"])
        scores = scores + fit.scores(which, len(items))
        squares = squares + fit.squares(which, len(items))
    return Planes(tuple(names), times, np.array(betas), np.asarray(scores), np.asarray(squares), epochs.info)


@dataclass(frozen=True, eq=False)
class Regressions:
    """One subject's regressions, with controls and baseline taken out of measures and voltages.

    Attributes
    ----------
    z
        Measures, (n_epochs, n_layers), free of the controls.
    y
        Voltages, (n_epochs, n_channels, n_times), free of controls and baseline.
    before
        Baseline, (n_epochs, n_channels), free of the controls; zero where an electrode has none.
    onto
        Coefficients of the measures' regressions on the baseline, (n_channels, n_layers).
    """

    z: Array
    y: Array
    before: Array
    onto: Array

    @classmethod
    def of(cls, who: str, y: Array, z: Array, controls: Array, before: Array | None) -> "Regressions":
        """Take controls (n_epochs, n_controls), their mean and the baseline (n_epochs, n_channels) out of all else.

        Raises
        ------
        DataError
            With too few epochs, or a measure that does not vary apart from the controls.
        """
        design = np.column_stack([np.ones(len(y)), controls])
        needed = design.shape[1] + 1 + (before is not None)
        if len(y) <= needed:
            raise DataError(
                f"{who} has {len(y)} epochs for {needed} coefficients; leave the subject out or use fewer controls"
            )
        basis, _ = np.linalg.qr(design)
        free = z - basis @ (basis.T @ z)
        if ((free**2).sum(axis=0) <= 1e-8 * (z**2).sum(axis=0)).any():
            raise DataError(
                f"{who}: a layer's measure does not vary apart from the controls over the words of its {len(y)} epochs; leave "
                "the subject or a control out"
            )
        flat = y.reshape(len(y), -1)
        flat = flat - basis @ (basis.T @ flat)
        left = flat.reshape(y.shape)
        if before is None:
            nothing = np.zeros(y.shape[:2])
            return cls(free, left, nothing, np.zeros((y.shape[1], z.shape[1])))
        own = before - basis @ (basis.T @ before)
        level = (own**2).sum(axis=0)
        # A channel without a level of its own, as the reference: nothing to adjust for.
        has_level = level > _ROUNDING * (y**2).sum(axis=(0, 2))
        own = np.where(has_level, own, 0.0)
        inverse = np.divide(1.0, level, out=np.zeros_like(level), where=has_level)
        slopes = inverse[:, None] * np.einsum("nc,nct->ct", own, left)
        return cls(free, left - own[:, :, None] * slopes, own, inverse[:, None] * (own.T @ free))

    def betas(self) -> Array:
        """Return coefficients, (n_layers, n_channels, n_times)."""
        n_layers, (n, n_channels, n_times) = self.z.shape[1], self.y.shape
        sums = (self.z.T @ self.y.reshape(n, -1)).reshape(n_layers, n_channels, n_times)
        left = (self.z**2).sum(axis=0) - self.onto**2 * (self.before**2).sum(axis=0)[:, None]
        return sums / left.T[:, :, None]

    def scores(self, items: NDArray[np.intp], n_items: int) -> Array:
        """Return each item's score, (n_items, n_layers, n_channels, n_times); ``items``, (n_epochs,), from 0."""
        found = np.zeros((n_items, self.z.shape[1], *self.y.shape[1:]))
        for item in np.unique(items):
            rows = items == item
            y = self.y[rows]
            of_baseline = np.einsum("nc,nct->ct", self.before[rows], y)
            found[item] = np.einsum("nl,nct->lct", self.z[rows], y) - self.onto.T[:, :, None] * of_baseline
        return found

    def squares(self, items: NDArray[np.intp], n_items: int) -> Array:
        """Return each item's sum of squares of the measures free of the baseline, (n_items, n_layers, n_channels)."""
        found = np.zeros((n_items, *self.onto.T.shape))
        for item in np.unique(items):
            rows = items == item
            left = self.z[rows][:, :, None] - self.onto.T * self.before[rows][:, None]
            found[item] = (left**2).sum(axis=0)
        return found
