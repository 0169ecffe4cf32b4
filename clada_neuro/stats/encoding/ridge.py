"""Ridge regression on principal components, dimension and penalty chosen inside folds, for many responses at once.

Features are z-scored by the rows that are fitted, which are decomposed once: X = U S V'. With the first k components and a
penalty a (in units of their mean squared singular value) the prediction of new rows Z is Z V_k diag(s / (s^2 + a)) U_k' y. All
dimensions, penalties and responses share the decomposition, and each response has its own choice. Inside an outer fold the
other folds are the inner ones; the fit without two folds serves either of them as the outer one.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import linalg

DIMENSIONS = (4, 16, 64, 256)
PENALTIES = tuple(10.0**power for power in range(-3, 4))
_NOTHING = 1e-10  # of the largest squared singular value


@dataclass(frozen=True, eq=False)
class RidgePredictions:
    """Predictions (n, responses) of rows by fits without their fold, and the mean squared errors inside, (folds, responses)."""

    predictions: np.ndarray
    inner_mse: np.ndarray


@dataclass(frozen=True, eq=False)
class _Decomposed:
    """Rows that are fitted, (n, features), as ``left`` diag(s) ``axes``'; ``s2`` are squared singular values."""

    mean: np.ndarray
    scale: np.ndarray
    left: np.ndarray
    s2: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> "_Decomposed":
        mean, sd = x.mean(axis=0), x.std(axis=0)
        scale = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
        z = (x - mean) * scale
        wide = z.shape[1] > len(z)
        values, vectors = linalg.eigh(z @ z.T if wide else z.T @ z)
        kept = np.flatnonzero(values > _NOTHING * max(values[-1], 1e-300))[::-1][: max(DIMENSIONS)]
        s2, vectors = values[kept], vectors[:, kept]
        s = np.sqrt(s2)
        axes = z.T @ vectors / s if wide else vectors
        return cls(mean, scale, vectors if wide else z @ vectors / s, s2, axes)

    def fitted(self, y: np.ndarray) -> "_FittedRidge":
        level = y.mean(axis=0)
        return _FittedRidge(self, self.left.T @ (y - level), level)


@dataclass(frozen=True, eq=False)
class _FittedRidge:
    """Responses on decomposed rows: ``shares`` are U'y."""

    rows: _Decomposed
    shares: np.ndarray
    level: np.ndarray

    def predictions(
        self, x: np.ndarray, dimension: int, penalty: float, which: slice | np.ndarray
    ) -> np.ndarray:
        """Return the predictions, (rows, responses), of some responses."""
        s2 = self.rows.s2[:dimension]
        if not len(s2):
            return np.broadcast_to(self.level[which], (len(x), len(self.level[which]))).copy()
        weights = np.sqrt(s2) / (s2 + penalty * s2.mean())
        scores = ((x - self.rows.mean) * self.rows.scale) @ self.rows.axes[:, :dimension]
        return scores @ (weights[:, None] * self.shares[:dimension][:, which]) + self.level[which]


class FoldedRidge:
    """Rows decomposed without each fold, and without each two, for any number of responses.

    Parameters
    ----------
    x : numpy.ndarray, shape (n, features)
    fold_of : numpy.ndarray of int, shape (n,)
        From 0; at least three folds.
    """

    def __init__(self, x: np.ndarray, fold_of: np.ndarray) -> None:
        folds = range(int(fold_of.max()) + 1)
        self._x, self._fold_of = x, fold_of
        self._outer = [_Decomposed.of(x[fold_of != fold]) for fold in folds]
        self._inner = {
            (one, other): _Decomposed.of(x[(fold_of != one) & (fold_of != other)])
            for one, other in combinations(folds, 2)
        }

    def held_out(self, y: np.ndarray) -> RidgePredictions:
        """Predict each row of ``y``, (n, responses), without its fold."""
        x, fold_of, n_folds = self._x, self._fold_of, len(self._outer)
        grid = [(dimension, penalty) for dimension in DIMENSIONS for penalty in PENALTIES]
        errors = np.zeros((n_folds, len(grid), y.shape[1]))
        for (one, other), decomposed in self._inner.items():
            fitted = decomposed.fitted(y[(fold_of != one) & (fold_of != other)])
            for outer, inner in ((one, other), (other, one)):
                rows = fold_of == inner
                for place, (dimension, penalty) in enumerate(grid):
                    left = y[rows] - fitted.predictions(x[rows], dimension, penalty, slice(None))
                    errors[outer, place] += (left**2).sum(axis=0)
        predictions = np.empty_like(y)
        inside_mse = np.empty((n_folds, y.shape[1]))
        for fold, decomposed in enumerate(self._outer):
            rows = fold_of == fold
            chosen = errors[fold].argmin(axis=0)
            inside_mse[fold] = errors[fold].min(axis=0) / (~rows).sum()
            fitted = decomposed.fitted(y[~rows])
            for place in np.unique(chosen):
                which = np.flatnonzero(chosen == place)
                dimension, penalty = grid[place]
                predictions[np.ix_(rows, which)] = fitted.predictions(x[rows], dimension, penalty, which)
        return RidgePredictions(predictions, inside_mse)


def correlations(predictions: np.ndarray, y: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """Return the correlation of predictions and responses within each fold, (folds, responses); 0 of constant predictions.

    Over all rows together it would fall below zero without an effect: a fold with high responses lowers what the others predict.
    """
    found = []
    for fold in range(int(fold_of.max()) + 1):
        rows = fold_of == fold
        a, b = (values[rows] - values[rows].mean(axis=0) for values in (predictions, y))
        size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
        varied = size > 1e-12 * (1 + (b**2).sum(axis=0))
        found.append(np.divide((a * b).sum(axis=0), size, out=np.zeros(len(size)), where=varied))
    return np.stack(found)
