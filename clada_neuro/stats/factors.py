"""Factors as R codes them: their levels in R's order, reference levels by name or position, codes given as numbers."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from formulaic.transforms import C as formulaic_factor
from formulaic.transforms.contrasts import (
    DiffContrasts,
    HelmertContrasts,
    PolyContrasts,
    SASContrasts,
    SumContrasts,
    TreatmentContrasts,
)
from pandas.api import types

from clada_neuro.errors import FitError


def labels(values: pd.Series) -> pd.Series:
    """Return values as text, whole numbers without a decimal point, so that 1 and 1.0 are one level."""
    if types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype(str)


def as_factor(values: pd.Series) -> pd.Series:
    """Return a column as a factor: levels of numbers in numeric order, of text in the order of code points."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.rename_categories([str(level) for level in values.cat.categories])
    text = labels(values)
    if not types.is_numeric_dtype(values) or types.is_bool_dtype(values):
        return text.astype(object)
    order = labels(pd.Series(np.sort(values.dropna().unique())))
    return text.astype(pd.CategoricalDtype(list(order)))


def C(data: Any, contrasts: Any = None, *, levels: Sequence[Hashable] | None = None) -> Any:
    """Mark a column as a factor, as R's ``C(factor(x, levels = …), contr.…)`` does."""
    column = as_factor(pd.Series(data))
    if levels is not None:
        levels = [str(level) for level in levels]
        unknown = sorted(set(column.astype(str)) - set(levels))
        if unknown:
            raise FitError(
                f"the level '{unknown[0]}'{_of(data)} is not among the levels {', '.join(map(str, levels))}"
            )
    if isinstance(contrasts, list):
        contrasts = Codes(np.atleast_2d(np.array(contrasts, dtype=float)).T)
    return formulaic_factor(column, contrasts, levels=levels)


def _of(data: Any) -> str:
    name = getattr(data, "name", None)
    return f" of '{name}'" if name else ""


@dataclass
class Treatment(TreatmentContrasts):
    """Treatment coding whose reference is a level's name or, as a number, its position from 1 as in R."""

    base: Any = 1

    @TreatmentContrasts.override  # type: ignore[attr-defined]
    def _find_base_index(self, levels: Sequence[Hashable]) -> int:
        if isinstance(self.base, str) and self.base in levels:
            return levels.index(self.base)
        if isinstance(self.base, int) and 1 <= self.base <= len(levels):
            return self.base - 1
        raise FitError(f"the reference level {self.base!r} is none of {', '.join(map(str, levels))}")

    @TreatmentContrasts.override  # type: ignore[attr-defined]
    def get_drop_field(self, levels: Sequence[Hashable], reduced_rank: bool = True) -> Hashable:
        """Return the level left out where levels are indicators."""
        return None if reduced_rank else levels[self._find_base_index(levels)]


@dataclass
class Codes(SumContrasts):
    """Codes written as numbers: one row a level, one column less than levels."""

    FACTOR_FORMAT_REDUCED = "{name}[{field}]"

    matrix: Any = None

    @SumContrasts.override  # type: ignore[attr-defined]
    def _get_coding_matrix(
        self, levels: Sequence[Hashable], reduced_rank: bool = True, sparse: bool = False
    ) -> np.ndarray:
        n = len(levels)
        if not reduced_rank:
            return np.eye(n)
        if self.matrix.shape != (n, n - 1):
            given = " x ".join(map(str, self.matrix.shape))
            raise FitError(
                f"{given} codes for the {n} levels {', '.join(map(str, levels))}; {n} x {n - 1} expected: "
                "C(x, c(-0.5, 0.5)) for two levels, C(x, cbind(c(…), c(…))) for three"
            )
        return np.asarray(self.matrix)

    @SumContrasts.override  # type: ignore[attr-defined]
    def get_coding_column_names(
        self, levels: Sequence[Hashable], reduced_rank: bool = True
    ) -> Sequence[Hashable]:
        """Return the numbers of the columns, or the levels where they are indicators."""
        return list(range(1, len(levels))) if reduced_rank else levels


contr = SimpleNamespace(
    treatment=Treatment, sum=SumContrasts, helmert=HelmertContrasts, poly=PolyContrasts, diff=DiffContrasts,
    SAS=SASContrasts,
)  # fmt: skip
