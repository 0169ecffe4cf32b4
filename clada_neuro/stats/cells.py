"""What the cells of factors in the rows used cannot carry: one level only, codes that say too little, cells without rows."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from formulaic import ModelSpec
from formulaic.parser.types import Term

from clada_neuro.errors import FitError
from clada_neuro.stats.factors import labels
from clada_neuro.stats.formula import names_in


def check_factors(spec: ModelSpec, frame: pd.DataFrame) -> None:
    """Raise `FitError` for a factor with one level, a level without rows, or codes that do not tell its levels apart."""
    for factor, state in spec.factor_contrasts.items():
        column, levels = _column(factor), list(map(str, state.levels))
        found = set(labels(frame[column]))
        if len(found) == 1:
            raise FitError(
                f"'{column}' has one level in the rows used ('{next(iter(found))}'); leave it out of the formula"
            )
        empty = [level for level in levels if level not in found]
        if empty and found < set(levels):
            raise FitError(
                f"no row used has the level '{empty[0]}' of '{column}'; leave it out of its levels"
            )
        with np.errstate(all="ignore"):
            codes = np.asarray(state.get_coding_matrix(reduced_rank=True), dtype=float)
        if not np.isfinite(codes).all():
            raise FitError(
                f"the codes of '{column}' for {len(levels)} levels overflow; choose other contrasts"
            )
        if np.linalg.matrix_rank(np.column_stack([np.ones(len(codes)), codes])) < len(levels):
            raise FitError(
                f"the codes of '{column}' do not tell its {len(levels)} levels ({', '.join(levels)}) apart; "
                f"{len(levels) - 1} columns that are independent of each other and of a constant are needed"
            )


def empty_cell(spec: ModelSpec, frame: pd.DataFrame) -> str:
    """Return ``no row has condition 'high' and group 'a', which 'condition:group' needs``; empty where every cell has rows."""
    for term in spec.formula:
        columns = [_column(factor) for factor in term.factors if factor in spec.factor_contrasts]
        if len(columns) > 1 and (missing := _missing(frame, columns)):
            cell = " and ".join(f"{name} '{level}'" for name, level in zip(columns, missing, strict=True))
            return f"no row has {cell}, which '{':'.join(columns)}' needs"
    return ""


def _missing(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[str, ...]:
    by_column = [labels(frame[name]) for name in columns]
    found = set(zip(*by_column, strict=True))
    return next((cell for cell in product(*(sorted(set(one)) for one in by_column)) if cell not in found), ())


def _column(factor: object) -> str:
    return next(iter(names_in([Term([factor])])))
