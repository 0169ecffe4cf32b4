"""How much to shrink responses: the ridge penalty that predicts held-out stretches of time best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clada_neuro.erp.overlap.columns import Columns
from clada_neuro.erp.overlap.solve import factorized
from clada_neuro.errors import DataError, FitError

Array = NDArray[np.float64]
# In units of a column's squared length: from next to nothing to a tenth of every response.
_PENALTIES = np.logspace(-5, 1, 13)


@dataclass(frozen=True, eq=False)
class Fold:
    """Stretches of time: X'X (n_columns, n_columns), X'y (n_columns, n_channels), y'y (n_channels,)."""

    gram: Array
    projected: Array
    squares: Array


def choose_penalty(folds: Sequence[Fold], columns: Columns) -> float:
    """Return the penalty with the least squared error in folds left out of the fit, channels weighted alike.

    Raises
    ------
    DataError
        With fewer than two folds.
    """
    if len(folds) < 2:
        raise DataError(
            "too short to hold out stretches of time, by which a penalty is chosen; leave ridge out"
        )
    gram = np.sum([fold.gram for fold in folds], axis=0)
    projected = np.sum([fold.projected for fold in folds], axis=0)
    power = np.sum([fold.squares for fold in folds], axis=0)
    errors = np.zeros(len(_PENALTIES))
    for held in folds:
        for number, penalty in enumerate(_PENALTIES):
            errors[number] += _error(
                held, gram - held.gram, projected - held.projected, power, columns, penalty
            )
    return float(_PENALTIES[errors.argmin()])


def _error(
    held: Fold, gram: Array, projected: Array, power: Array, columns: Columns, penalty: float
) -> float:
    """Return the held-out squared error relative to each channel's power, infinite where there is no solution."""
    try:
        found = factorized(gram, columns, penalty).solve(projected)
    except FitError:
        return float("inf")
    error = (
        held.squares - 2 * (found * held.projected).sum(axis=0) + (found * (held.gram @ found)).sum(axis=0)
    )
    return float(np.mean(np.divide(error, power, out=np.zeros_like(error), where=power > 0)))
