"""Weights of contrasts among the levels of a factor, by name, as emmeans has them."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from clada_neuro.errors import FitError, did_you_mean

Weights = dict[str, np.ndarray]
Custom = Mapping[str, Sequence[float] | Mapping[str, float]]
_DEGREES = ("linear", "quadratic", "cubic", "quartic")
_MOST_DEGREES = 6
METHODS = ("pairwise", "control", "consecutive", "polynomial", "effects")


def weights_of(
    method: str | Custom,
    levels: Sequence[str],
    reference: str | None = None,
    what: str = "means",
    sign: str = "-",
) -> Weights:
    """Return the weights (n_levels,) of each contrast by its name.

    Parameters
    ----------
    method
        ``pairwise`` (each minus each later one), ``control`` (each other minus the reference), ``consecutive`` (each
        minus the one before), ``polynomial`` (trends over equally spaced levels, in whole numbers), ``effects`` (each
        minus the mean of all), or weights by name: one number a level, or ``{level: number}``.
    reference
        Level that ``control`` compares with; the first without.
    what
        What the levels belong to, for messages.
    sign
        Between the two of a difference; ``/`` where it will be a ratio.

    Raises
    ------
    FitError
        For an unknown method or level, and custom weights that do not sum to zero.
    """
    n, unit = len(levels), np.eye(len(levels))
    if not isinstance(method, str):
        return {name: _custom(name, given, levels, what) for name, given in method.items()}
    if method not in METHODS:
        raise FitError(
            f"contrasts '{method}' given{did_you_mean(method, list(METHODS))}; there are {', '.join(METHODS)}, or "
            "weights by name such as {'a - b': {'a': 1, 'b': -1}}"
        )
    if n < 2:
        raise FitError(f"{what} has one level, '{levels[0]}'; nothing can be compared")
    if reference is not None and reference not in levels:
        raise FitError(
            f"{what} has no level '{reference}'{did_you_mean(reference, list(levels))}; there are {', '.join(levels)}"
        )
    if method == "pairwise":
        return {f"{levels[i]} {sign} {levels[j]}": unit[i] - unit[j] for i, j in combinations(range(n), 2)}
    if method == "control":
        base = 0 if reference is None else list(levels).index(reference)
        return {f"{levels[i]} {sign} {levels[base]}": unit[i] - unit[base] for i in range(n) if i != base}
    if method == "consecutive":
        return {f"{levels[i + 1]} {sign} {levels[i]}": unit[i + 1] - unit[i] for i in range(n - 1)}
    if method == "effects":
        return {f"{levels[i]} effect": unit[i] - 1 / n for i in range(n)}
    return {
        _DEGREES[degree] if degree < len(_DEGREES) else f"degree {degree + 1}": column
        for degree, column in enumerate(_polynomials(n).T)
    }


def _custom(
    name: str, given: Sequence[float] | Mapping[str, float], levels: Sequence[str], what: str
) -> np.ndarray:
    if isinstance(given, Mapping):
        unknown = next((str(level) for level in given if str(level) not in levels), None)
        if unknown is not None:
            raise FitError(
                f"contrast '{name}': {what} has no level '{unknown}'{did_you_mean(unknown, list(levels))}; "
                f"there are {', '.join(levels)}"
            )
        by_level = {str(level): weight for level, weight in given.items()}
        given = [by_level.get(level, 0.0) for level in levels]
    weights = np.asarray(given, dtype=float)
    if weights.shape != (len(levels),):
        raise FitError(
            f"contrast '{name}': {weights.size} weights given for the {len(levels)} levels of {what} ({', '.join(levels)})"
        )
    if abs(weights.sum()) > 1e-8 * np.abs(weights).sum() or not weights.any():
        raise FitError(
            f"contrast '{name}' of {what}: its weights sum to {weights.sum():g}, 0 expected, or it compares nothing"
        )
    return weights


def _polynomials(n: int) -> np.ndarray:
    """Return orthogonal polynomials over 1 … n, one column a degree, scaled to small whole numbers."""
    powers = np.vander(np.arange(n) - (n - 1) / 2, min(n, _MOST_DEGREES + 1), increasing=True)
    q, r = np.linalg.qr(powers)
    columns = (q * np.sign(np.diag(r)))[:, 1:]
    return np.column_stack([_whole(column) for column in columns.T])


def _whole(column: np.ndarray) -> np.ndarray:
    column = column / column[column > 0.01].min()
    while (off := np.abs(column - np.round(column)).max()) > 0.05:
        column = column / off
    return np.round(column)
