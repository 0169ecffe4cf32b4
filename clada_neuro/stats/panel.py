"""Panel regressions on tokens: sequences are the units, tokens and layers repeat within them.

The sequence bootstrap draws whole sequences with replacement (one drawn twice counts as two), refits, and takes
percentiles. Residuals of neighboring tokens are correlated; their lag-1 autocorrelation is reported, and the
bootstrap, unlike the model's own standard errors, does not assume it away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.parts import Jobs
from clada_neuro.stats.bootstrap import Interval
from clada_neuro.stats.compare import adjust
from clada_neuro.stats.contrasts import Contrasts
from clada_neuro.stats.design import Design
from clada_neuro.stats.formula import refuse_smooths
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.output import to_dict
from clada_neuro.stats.resample import identity, percentile_interval, replicate

R2 = "r2_marginal"


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel regression with bootstrap intervals of its coefficients and of marginal R².

    ``autocorrelation`` is the mean over sequences of the residuals' lag-1 correlation.
    """

    fit: MixedFit
    sequence: str
    n_sequences: int
    intervals: Mapping[str, Interval]
    autocorrelation: float

    def table(self) -> pd.DataFrame:
        """Return the coefficients with the bootstrap's limits beside the model's own."""
        table = self.fit.coefficients
        limits = [self.intervals.get(term) for term in table["term"]]
        return table.assign(
            boot_low=[np.nan if i is None else i.low for i in limits],
            boot_high=[np.nan if i is None else i.high for i in limits],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fit's entry with the bootstrap added."""
        return {
            **to_dict(self.fit),
            "sequence": self.sequence,
            "n_sequences": self.n_sequences,
            "bootstrap": {name: vars(interval) for name, interval in self.intervals.items()},
            "residual_autocorrelation_lag1": self.autocorrelation,
        }


def panel_fit(
    data: pd.DataFrame,
    formula: str,
    *,
    sequence: str = "sequence",
    order: str = "position",
    name: str | None = None,
    standardize: bool | Sequence[str] = True,
    contrasts: Contrasts | None = None,
    engine: str = "mixedlm",
    bootstrap: int = 0,
    seed: int = 0,
    jobs: Jobs = 1,
    folder: str | Path | None = None,
    progress: bool = False,
) -> Panel:
    """Fit a regression on tokens and bootstrap it over sequences.

    Parameters
    ----------
    data
        One row a token (or a token and layer), with the columns of the formula, ``sequence`` and ``order``.
    formula
        For instance ``adjustment_prev ~ surprisal_bits * entropy_bits + log_prefix + (1 | sequence)``; without a
        random term use ``engine="statsmodels"`` for least squares.
    bootstrap
        Replicates of the sequence bootstrap. Each refits by least squares, whose estimates are consistent whatever
        the dependence within a sequence; 0 leaves it out.

    Raises
    ------
    FitError
        When a column is missing or the model cannot be fitted.
    """
    for column in (sequence, order):
        if column not in data:
            raise FitError(
                f"panel regressions need the column '{column}'; there are {', '.join(data.columns)}"
            )
    model = specify(data, formula, name=name, standardize=standardize, contrasts=contrasts)
    refuse_smooths(model.formula, "panel models")
    fit = estimate(model, engine=engine)
    codes, labels = pd.factorize(model.data[sequence])
    intervals: dict[str, Interval] = {}
    if bootstrap:
        task = SequenceDraw(model.design, codes, seed)
        table = replicate(
            task, bootstrap, name="bootstrap_sequence", jobs=jobs, folder=folder, progress=progress,
            inputs=identity(model, settings=(seed, codes.tolist())),
        )  # fmt: skip
        intervals = {str(column): _interval(table[column]) for column in table}
    residuals = pd.DataFrame({"sequence": codes, "order": model.data[order].to_numpy(), "r": fit.residuals()})
    return Panel(fit, sequence, len(labels), intervals, autocorrelation(residuals))


@dataclass(frozen=True, eq=False)
class SequenceDraw:
    """Least squares on sequences drawn with replacement; calling it with a number gives that replicate.

    Sums over rows of one sequence are kept, so that a replicate weighs them instead of copying rows.
    """

    design: Design
    codes: np.ndarray
    seed: int

    def __call__(self, number: int) -> dict[str, float]:
        """Return ``{term: estimate}`` and the share of variance that the fixed part explains."""
        n = len(self._sizes)
        draws = np.random.default_rng([self.seed, number]).integers(n, size=n)
        counts = np.bincount(draws, minlength=n).astype(float)
        rows = counts @ self._sizes
        gram, cross, square, columns = (np.tensordot(counts, part, 1) for part in self._sums)
        try:
            beta = np.linalg.solve(gram, cross)
        except np.linalg.LinAlgError:
            return dict.fromkeys([*self.design.names, R2], np.nan)
        residual = (square - 2 * beta @ cross + beta @ gram @ beta) / (rows - len(beta))
        explained = (beta @ gram @ beta - (beta @ columns) ** 2 / rows) / (rows - 1)
        return {
            **dict(zip(self.design.names, beta.tolist(), strict=True)),
            R2: explained / (explained + residual),
        }

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}

    @cached_property
    def _sizes(self) -> np.ndarray:
        return np.bincount(self.codes).astype(float)

    @cached_property
    def _sums(self) -> tuple[np.ndarray, ...]:
        X, y, n = self.design.X, self.design.y, len(self._sizes)
        order = np.argsort(self.codes, kind="stable")
        parts = np.split(order, np.cumsum(self._sizes)[:-1].astype(int))
        gram = np.stack([X[part].T @ X[part] for part in parts])
        cross = np.stack([X[part].T @ y[part] for part in parts])
        columns = np.stack([X[part].sum(axis=0) for part in parts])
        square = np.bincount(self.codes, weights=y**2, minlength=n)
        return gram, cross, square, columns


def autocorrelation(residuals: pd.DataFrame) -> float:
    """Return the mean over sequences of the lag-1 correlation of residuals in order.

    ``residuals`` has columns sequence, order, r. Rows that share an order (layers of a token) are averaged first.
    """
    mean = residuals.groupby(["sequence", "order"], sort=True)["r"].mean()
    each = [values.to_numpy() for _, values in mean.groupby(level=0) if len(values) > 2]
    lagged = [np.corrcoef(values[:-1], values[1:])[0, 1] for values in each]
    known = [value for value in lagged if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def layer_curve(
    data: pd.DataFrame,
    formula: str,
    terms: Sequence[str],
    *,
    layer: str = "layer",
    standardize: bool | Sequence[str] = True,
    engine: str = "mixedlm",
) -> pd.DataFrame:
    """Fit one model a layer, and adjust p over all layers and terms (Benjamini-Hochberg).

    Returns
    -------
    One row a layer and term: layer, term, estimate, se, df, t, p, ci_low, ci_high, r2_marginal, n_obs, p_bh,
    family_size.

    Raises
    ------
    FitError
        Naming the layer whose model cannot be fitted.
    """
    if layer not in data:
        raise FitError(f"a curve over layers needs the column '{layer}'; there are {', '.join(data.columns)}")
    rows = []
    for number, part in data.groupby(layer, sort=True):
        try:
            fit = estimate(specify(part, formula, standardize=standardize), engine=engine)
        except FitError as error:
            raise FitError(f"layer {number}: {error}") from error
        shared = {"r2_marginal": fit.r2().marginal, "n_obs": fit.n_obs}
        rows += [{"layer": number, "term": term, **fit.coefficient(term), **shared} for term in terms]
    return adjust(pd.DataFrame(rows))


def shuffled(data: pd.DataFrame, columns: Sequence[str], sequence: str, seed: int = 0) -> pd.DataFrame:
    """Return ``data`` with ``columns`` permuted together over the rows of each sequence: a null for their effects."""
    rng = np.random.default_rng(seed)
    positions = np.arange(len(data))
    for rows in data.groupby(sequence, sort=False).indices.values():
        positions[rows] = rng.permutation(rows)
    moved = data[list(columns)].iloc[positions].set_axis(data.index)
    return data.assign(**{column: moved[column] for column in columns})


def r2_by_level(fits: Mapping[str, MixedFit]) -> pd.DataFrame:
    """Return marginal and conditional R² of fits at several levels of aggregation, one row a level."""
    rows = [(level, fit.n_obs, fit.r2().marginal, fit.r2().conditional) for level, fit in fits.items()]
    return pd.DataFrame(rows, columns=["level", "n_obs", "r2_marginal", "r2_conditional"])


def _interval(values: pd.Series) -> Interval:
    low, median, high = percentile_interval(values)
    return Interval(low, median, high, len(values), int(values.isna().sum()))
