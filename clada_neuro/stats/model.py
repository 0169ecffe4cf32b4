"""A model before it is fitted: formula, rows, z-scores, contrasts and the arrays they give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from pandas.api import types

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.aliased import nearly_aliased, without_aliases
from clada_neuro.stats.coding import off_zero
from clada_neuro.stats.contrasts import Contrasts, canonical
from clada_neuro.stats.design import Design, build, check_columns, complete_rows
from clada_neuro.stats.formula import ModelFormula, coded_names, names_of, parse, plain_names


@dataclass(frozen=True, eq=False)
class Model:
    """What is to be fitted, and to which rows.

    ``data`` holds the rows used with z-scored columns in place; ``standardized`` gives their mean and SD; ``notes``
    say what of the formula was left out; ``missing`` counts the rows without a value, by column.
    """

    name: str
    formula: ModelFormula
    data: pd.DataFrame
    design: Design
    standardized: Mapping[str, tuple[float, float]]
    contrasts: Mapping[str, str]
    weights: str | None
    notes: tuple[str, ...] = ()
    missing: Mapping[str, int] = field(default_factory=dict)

    def numeric_predictors(self) -> list[str]:
        """Return the numeric columns that the fixed part uses."""
        coded = {*coded_names(self.formula.fixed), *self.contrasts}
        return [name for name in _numeric(self.data, names_of(self.formula.fixed)) if name not in coded]

    def smoothed(self) -> list[str]:
        """Return the numeric columns that have smooths."""
        return list(dict.fromkeys(name for term in self.formula.smooths for name in term.variables))

    def factor_predictors(self) -> list[str]:
        """Return the columns that the fixed part uses as factors."""
        numeric = self.numeric_predictors()
        return [name for name in dict.fromkeys(names_of(self.formula.fixed)) if name not in numeric]


def specify(
    data: pd.DataFrame,
    formula: str,
    *,
    name: str | None = None,
    standardize: bool | Sequence[str] = False,
    contrasts: Contrasts | None = None,
    weights: str | None = None,
) -> Model:
    """Bring a formula and a data frame together; the arguments are those of `mixed.fit`.

    Raises
    ------
    FitError
        When the formula does not suit the data.
    """
    parsed, coded = parse(formula), canonical(contrasts)
    scales = _scales(data, parsed, standardize, coded, weights)
    scaled = apply_scales(data, scales)
    design = build(scaled, parsed, contrasts=coded, weights=weights)
    kept, notes = without_aliases(parsed.random, design.blocks)
    if notes:
        parsed = parse(parsed.with_random(kept))
        design = build(scaled, parsed, contrasts=coded, weights=weights)
    notes += (*nearly_aliased(parsed.random, design.blocks), *off_zero(design.spec))
    used = scaled.iloc[design.rows]
    gaps = data[[*dict.fromkeys(parsed.variables()), *([weights] if weights else [])]].isna().sum()
    missing = {str(column): int(count) for column, count in gaps[gaps > 0].items()}
    return Model(name or formula, parsed, used, design, scales, coded, weights, notes, missing)


def apply_scales(data: pd.DataFrame, scales: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """Return ``data`` with the named columns replaced by (value - mean) / sd."""
    return data.assign(
        **{name: (data[name].astype(float) - mean) / sd for name, (mean, sd) in scales.items()}
    )


def _numeric(data: pd.DataFrame, names: Sequence[str]) -> list[str]:
    return [
        n
        for n in dict.fromkeys(names)
        if types.is_numeric_dtype(data[n]) and not types.is_bool_dtype(data[n])
    ]


def _scales(
    data: pd.DataFrame,
    formula: ModelFormula,
    standardize: bool | Sequence[str],
    contrasts: Mapping[str, str],
    weights: str | None,
) -> dict[str, tuple[float, float]]:
    if standardize is False:
        return {}
    columns = [*formula.variables(), *([weights] if weights else [])]
    check_columns(data, columns)
    used = data.iloc[complete_rows(data, columns)]
    # A slope's column is scaled as a fixed one is, so that models with and without the fixed effect are nested.
    sides = [formula.fixed, *(term.columns for term in formula.random)]
    coded = {*contrasts, *(name for side in sides for name in coded_names(side))}
    plain = [name for side in sides for name in plain_names(side) if name not in coded]
    names = _numeric(used, plain) if standardize is True else list(standardize)
    check_columns(data, names)
    for name in names:
        if name not in columns:
            raise FitError(
                f"'{name}' is to be z-scored but is not in '{formula.text}'{did_you_mean(name, columns)}"
            )
    return {name: _mean_sd(used[name]) for name in names}


def _mean_sd(values: pd.Series) -> tuple[float, float]:
    if not types.is_numeric_dtype(values):
        raise FitError(f"'{values.name}' cannot be z-scored: it holds {values.dtype}, not numbers")
    values = values.astype(float)
    if not values.std() > 0:
        raise FitError(f"'{values.name}' cannot be z-scored: it has one value in all {len(values)} rows")
    return float(values.mean()), float(values.std())
