"""Bootstraps of the difference in marginal R² between two nested models.

*Parametric*: responses drawn from the larger model. *Null*: drawn from the smaller one with its full random part,
which calibrates p. *Cluster*: subjects and items drawn with replacement; it is conservative, because items add
their own sampling to that of subjects. An interval of a difference in R² is no test: R² hardly ever falls when a term
is added, so the interval hardly ever reaches below zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.parts import Jobs
from clada_neuro.stats.design import Block, Design
from clada_neuro.stats.engines.base import Engine, Prepared, Quick
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.r2 import Moments, moments
from clada_neuro.stats.resample import identity, percentile_interval, replicate

PARAMETRIC, NULL, CLUSTER = "parametric", "null", "cluster"
_FAILED = {"delta_r2": float("nan"), "chi2": float("nan")}


@dataclass(frozen=True)
class Interval:
    """A 95 % percentile interval over ``n`` replicates, of which ``n_failed`` could not be fitted."""

    low: float
    median: float
    high: float
    n: int
    n_failed: int


@dataclass(frozen=True)
class Intervals:
    """Bootstrap results; parts that were not asked for are None.

    ``null_p`` = (1 + replicates with a likelihood ratio at least as large) / (1 + replicates).
    """

    parametric: Interval | None
    cluster: Interval | None
    null_p: float | None
    n_null: int
    seed: int


@dataclass(frozen=True, eq=False)
class Pair:
    """Two nested ML fits and how their data are redrawn; calling it with a number gives that replicate."""

    kind: str
    smaller: Design
    larger: Design
    starts: tuple[np.ndarray, np.ndarray]
    mean: np.ndarray
    covariances: tuple[np.ndarray, ...]
    sigma: float
    seed: int
    engine: Engine
    clusters: tuple[str, str] | None = None

    def __call__(self, number: int) -> dict[str, float]:
        """Return ``delta_r2`` and ``chi2`` of one replicate; missing when a model could not be fitted."""
        rng = np.random.default_rng([self.seed, (PARAMETRIC, NULL, CLUSTER).index(self.kind), number])
        try:
            if self.kind == CLUSTER:
                return self._cluster(rng)
            y = simulate(self.larger, self.mean, self.covariances, self.sigma, rng)
            return _difference(self._refit(self._prepared, y), self._moments)
        except (FitError, np.linalg.LinAlgError):
            return dict(_FAILED)

    def __getstate__(self) -> dict[str, Any]:
        # Native objects do not travel between processes; each one prepares its own.
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}

    @cached_property
    def _prepared(self) -> tuple[Prepared, Prepared]:
        return self._prepare(self.smaller, self.starts[0]), self._prepare(self.larger, self.starts[1])

    def _prepare(self, design: Design, near: np.ndarray | None = None) -> Prepared:
        return self.engine.prepare(design, False, near)

    @cached_property
    def _moments(self) -> tuple[Moments, Moments]:
        return moments(self.smaller), moments(self.larger)

    def _cluster(self, rng: np.random.Generator) -> dict[str, float]:
        assert self.clusters is not None
        rows, copies = draw_clusters(self.larger, self.clusters, rng)
        designs = [_redrawn(design, rows, copies, self.clusters) for design in (self.smaller, self.larger)]
        models = (self._prepare(designs[0]), self._prepare(designs[1]))
        return _difference(self._refit(models), [moments(design) for design in designs])

    def _refit(self, models: tuple[Prepared, Prepared], y: np.ndarray | None = None) -> tuple[Quick, Quick]:
        """Fit both, the larger one from the smaller one's optimum, so that it cannot end below."""
        small = models[0].refit(y, self.starts[0])
        same = small.theta.shape == self.starts[1].shape
        return small, models[1].refit(y, small.theta if same else self.starts[1])


def bootstrap(
    smaller: Fitted,
    larger: Fitted,
    *,
    replicates: int = 200,
    cluster_replicates: int = 0,
    clusters: tuple[str, str] = ("subject", "item"),
    seed: int = 0,
    jobs: Jobs = 1,
    folder: str | Path | None = None,
    progress: bool = False,
) -> Intervals:
    """Bootstrap the difference in R² of two ML fits of the same rows (see the module's text).

    Raises
    ------
    FitError
        When the fits are by REML or their engine does not refit, or the cluster bootstrap's groups are not in the
        random part.
    """
    larger.solver.check_refits(
        larger.design
    )  # said once, before the work, instead of a missing value a replicate
    if smaller.reml or larger.reml:
        raise FitError("bootstraps compare ML fits; pass reml=False")
    counts = {PARAMETRIC: replicates, NULL: replicates, CLUSTER: cluster_replicates}
    tables = {}
    for kind, count in counts.items():
        if count:
            task = _pair(kind, smaller, larger, clusters, seed)
            tables[kind] = replicate(
                task, count, name=f"bootstrap_{kind}", inputs=_inputs(task, smaller, larger), jobs=jobs,
                folder=folder, progress=progress,
            )  # fmt: skip
    intervals = {
        kind: _interval(tables[kind]["delta_r2"]) for kind in (PARAMETRIC, CLUSTER) if kind in tables
    }
    null_p, n_null = None, 0
    if NULL in tables:
        null_p, n_null = _null_p(tables[NULL]["chi2"], smaller, larger)
    return Intervals(intervals.get(PARAMETRIC), intervals.get(CLUSTER), null_p, n_null, seed)


def likelihood_ratio_p(
    smaller: Fitted, larger: Fitted, replicates: int, *, seed: int = 0, jobs: Jobs = 1
) -> tuple[float, int]:
    """Return the p value of a likelihood ratio among those of responses drawn from the smaller model, and their number.

    This is pbkrtest's ``PBmodcomp``: right in small samples and for variances at their boundary, where chi-square is not.

    Raises
    ------
    FitError
        When the fits are by REML or their engine does not refit.
    """
    larger.solver.check_refits(larger.design)
    if smaller.reml or larger.reml:
        raise FitError("bootstraps compare ML fits; pass reml=False")
    task = _pair(NULL, smaller, larger, ("", ""), seed)
    drawn = replicate(
        task,
        replicates,
        name="bootstrap_null",
        inputs=_inputs(task, smaller, larger),
        jobs=jobs,
        folder=None,
        progress=False,
    )
    return _null_p(drawn["chi2"], smaller, larger)


def _null_p(chi2: pd.Series, smaller: Fitted, larger: Fitted) -> tuple[float, int]:
    drawn, observed = chi2.dropna(), max(2 * (larger.loglik - smaller.loglik), 0.0)
    return float((1 + (drawn >= observed).sum()) / (1 + len(drawn))), len(drawn)


def simulate(
    design: Design,
    mean: np.ndarray,
    covariances: Sequence[np.ndarray],
    sigma: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw a response (n,): fixed part plus new random effects of every block plus residual."""
    y = mean.copy()
    for block, covariance in zip(design.blocks, covariances, strict=True):
        values, vectors = np.linalg.eigh(covariance)
        factor = vectors * np.sqrt(np.maximum(values, 0))
        effects = rng.standard_normal((len(block.levels), len(factor))) @ factor.T
        y += np.einsum("ij,ij->i", block.values, effects[block.codes])
    weights = 1.0 if design.weights is None else design.weights
    return y + rng.standard_normal(len(y)) * sigma / np.sqrt(weights)


def draw_clusters(
    design: Design, clusters: tuple[str, str], rng: np.random.Generator
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Draw the levels of two crossed factors with replacement.

    Returns the rows (a row appears once for each pair of drawn copies of its levels) and, for each factor, the
    number of the copy that each of these rows belongs to.
    """
    codes = [_block(design, name).codes for name in clusters]
    draws = []
    for name in clusters:
        size = len(_block(design, name).levels)
        draws.append(rng.integers(size, size=size))
    first, second = (_copies(draw) for draw in draws)
    rows: list[int] = []
    copies: tuple[list[int], list[int]] = ([], [])
    for row, (one, two) in enumerate(zip(*codes, strict=True)):
        for i in first.get(one, ()):
            for j in second.get(two, ()):
                rows.append(row)
                copies[0].append(i)
                copies[1].append(j)
    return np.array(rows), (np.array(copies[0]), np.array(copies[1]))


def _copies(draw: np.ndarray) -> dict[int, list[int]]:
    copies: dict[int, list[int]] = {}
    for position, level in enumerate(draw):
        copies.setdefault(int(level), []).append(position)
    return copies


def _redrawn(
    design: Design, rows: np.ndarray, copies: tuple[np.ndarray, np.ndarray], clusters: tuple[str, str]
) -> Design:
    """Return the design of the drawn rows; a level drawn twice is two levels, and so is what is nested in it."""
    drawn = [_block(design, name).codes[rows] for name in clusters]
    blocks = []
    for block in design.blocks:
        codes = block.codes[rows]
        of = [copy for copy, outer in zip(copies, drawn, strict=True) if _is_nested(codes, outer)]
        _, codes = np.unique(np.stack([codes, *of]), axis=1, return_inverse=True)
        levels = tuple(map(str, range(codes.max() + 1)))
        blocks.append(replace(block, values=block.values[rows], codes=codes, levels=levels))
    weights = None if design.weights is None else design.weights[rows]
    return replace(
        design, y=design.y[rows], X=design.X[rows], blocks=tuple(blocks), weights=weights, rows=rows
    )


def _is_nested(inner: np.ndarray, outer: np.ndarray) -> bool:
    """Return whether every level of ``inner`` occurs with one level of ``outer`` only."""
    return len(np.unique(inner)) == len(np.unique(np.stack([inner, outer]), axis=1).T)


def _block(design: Design, group: str) -> Block:
    for block in design.blocks:
        if block.group == group:
            return block
    known = ", ".join(block.group for block in design.blocks)
    raise FitError(f"the cluster bootstrap draws levels of '{group}', but the random part has {known}")


def _pair(kind: str, smaller: Fitted, larger: Fitted, clusters: tuple[str, str], seed: int) -> Pair:
    source = smaller if kind == NULL else larger
    if kind == CLUSTER:
        for name in clusters:
            _block(larger.design, name)
    return Pair(
        kind,
        smaller.design,
        larger.design,
        (smaller.estimate.theta, larger.estimate.theta),
        source.fitted(random=False),
        source.estimate.covariances,
        source.sigma,
        seed,
        larger.solver,
        clusters if kind == CLUSTER else None,
    )


def _difference(fits: Sequence[Quick], of: Sequence[Moments]) -> dict[str, float]:
    small, large = (m.shares(f.beta, f.covariances, f.sigma).marginal for f, m in zip(fits, of, strict=True))
    return {"delta_r2": large - small, "chi2": max(2 * (fits[1].loglik - fits[0].loglik), 0.0)}


def _interval(values: Any) -> Interval:
    low, median, high = percentile_interval(values)
    return Interval(low, median, high, len(values), int(values.isna().sum()))


def _inputs(task: Pair, smaller: Fitted, larger: Fitted) -> str:
    """Return a hash of the data and both models, not of their fits: another number of threads moves the last bits."""
    return identity(
        smaller.model, larger.model, settings=(task.kind, task.engine.name, task.seed, task.clusters)
    )
