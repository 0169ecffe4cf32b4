"""Which predictors vary over stimuli rather than trials, and whether the model says so.

A predictor that has one value in every text carries as many independent values as there are texts. Without a random
intercept at that level its standard error is too small: in simulations of 80 items in two contexts each, a null effect
comes out "significant" in a fifth of the studies. Whether a predictor is of that kind is read off the data, not off
names: it has one value in each level of some column of labels, or few values in each level of a grouping factor of
the model, every one of them repeated over subjects. Of a factor only the former can be told, and slopes over the groups
that the texts belong to (a condition by items) serve it as well as an intercept (Barr et al. 2013).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from pandas.api import types

from clada_neuro.stats.design import Design, group_labels

STIMULUS = "stimulus"
# Fewer labels than this name conditions or lists, not texts.
_MIN_LEVELS = 10
# Without a column of labels, values repeated this often within a grouping factor are taken to belong to texts.
_MIN_REPEATS = 5
# Values that hardly ever occur in two groups need fewer: each word of a story, read by two or three people who remain.
_MIN_REPEATS_ALONE, _ALONE = 2, 1.05


def missing_stimulus_warnings(
    design: Design, data: pd.DataFrame, numeric: Sequence[str], factors: Sequence[str]
) -> tuple[str, ...]:
    """Warn of predictors that are constant within stimuli while no random effect covers them.

    ``data`` holds the rows of ``design``; ``numeric`` and ``factors`` are columns of the fixed part.
    """
    intercepts = [block.codes for block in design.blocks if _has_intercept(block.values)]
    values = {name: pd.factorize(data[name])[0] for name in (*numeric, *factors)}
    open_ones = {
        name: codes
        for name, codes in values.items()
        if not any(_is_constant_within(codes, groups) for groups in intercepts)
    }
    if not open_ones:
        return ()
    labels = dict(_labels(data, (*numeric, *factors)))
    uncovered, columns = [], set()
    for name, codes in open_ones.items():
        unit = _named(codes, labels)
        if name in numeric:
            unit = unit or _by_values(codes, intercepts)
        elif unit is not None and _has_slopes(codes, labels[unit[0]], design):
            continue
        if unit is not None:
            column, count = unit
            columns.add(column)
            kind = "distinct values" if name in numeric else "levels"
            uncovered.append(f"'{name}' ({codes.max() + 1} {kind} over {count} {_noun(column)})")
    if not uncovered:
        return ()
    verb = "varies" if len(uncovered) == 1 else "vary"
    return (
        f"{', '.join(uncovered)} {verb} over stimuli, not over the {len(data)} trials; {_advice(columns)}, "
        "or degrees of freedom and p values are too optimistic",
    )


def _labels(data: pd.DataFrame, predictors: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the columns that could name texts: labels with far fewer levels than there are rows."""
    for name in data:
        column = data[name]
        if name in predictors or types.is_float_dtype(column) or types.is_bool_dtype(column):
            continue
        codes, levels = pd.factorize(group_labels(data, (str(name),)))
        if _MIN_LEVELS <= len(levels) <= len(data) // 2:
            yield str(name), codes


def _named(values: np.ndarray, labels: dict[str, np.ndarray]) -> tuple[str, int] | None:
    """Return the column that names the texts a predictor varies over, and their number."""
    named = {name: codes.max() + 1 for name, codes in labels.items() if _is_constant_within(values, codes)}
    if not named:
        return None
    name = STIMULUS if STIMULUS in named else min(named, key=named.__getitem__)
    return name, named[name]


def _by_values(values: np.ndarray, intercepts: Sequence[np.ndarray]) -> tuple[str, int] | None:
    """Return "" and the number of texts that the values themselves betray."""
    n_values = values.max() + 1
    counts = [len(np.unique(codes * n_values + values)) for codes in intercepts]
    fitting = [
        count
        for count, codes in zip(counts, intercepts, strict=True)
        if _are_of_texts(count, n_values, codes.max() + 1, len(values))
    ]
    return ("", min(fitting)) if fitting else None


def _are_of_texts(count: int, n_values: int, n_groups: int, n_rows: int) -> bool:
    """Return whether values are of the texts of a grouping factor, from how many of them its groups have together.

    Either many rows share each, or fewer do but each value is of one group alone, which values of trials are not.
    """
    alone = count <= _ALONE * n_values and count * _MIN_REPEATS_ALONE <= n_rows
    return alone or (count * _MIN_REPEATS <= n_rows and count / n_groups <= n_values / 2)


def _has_slopes(levels: np.ndarray, texts: np.ndarray, design: Design) -> bool:
    """Return whether a factor has slopes over groups of texts."""
    return any(
        _is_constant_within(block.codes, texts)
        and _is_constant_within(levels, np.unique(block.values, axis=0, return_inverse=True)[1].ravel())
        for block in design.blocks
    )


def _noun(column: str) -> str:
    return "stimuli" if column in ("", STIMULUS) else f"levels of '{column}'"


def _advice(columns: set[str]) -> str:
    terms = " + ".join(f"(1 | {name})" for name in sorted(columns - {""}))
    return (
        f"add {terms}" if terms else f"add a column '{STIMULUS}' that names each text, and (1 | {STIMULUS})"
    )


def _is_constant_within(values: np.ndarray, groups: np.ndarray) -> bool:
    """Return whether ``values`` (codes) are the same in all rows of a group (codes)."""
    _, first = np.unique(groups, return_index=True)
    return bool((values == values[first[groups]]).all())


def _has_intercept(values: np.ndarray) -> bool:
    return bool(((values == values[0]).all(axis=0) & (values[0] != 0)).any())
