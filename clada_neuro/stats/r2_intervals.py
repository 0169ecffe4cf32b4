"""Intervals of R² by parametric bootstrap: responses drawn from the fit itself, refitted.

Responses that are drawn from a fit vary a little more in their R² than the fit says, so the median of the replicates lies
above the estimate when effects are small. Percentile limits are given as they are, with that median beside them.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from clada_neuro.errors import FitError
from clada_neuro.parts import Jobs
from clada_neuro.stats.bootstrap import Interval, simulate
from clada_neuro.stats.design import Design
from clada_neuro.stats.engines.base import Engine, Prepared
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.generalized.family import require_linear
from clada_neuro.stats.r2 import Moments, moments
from clada_neuro.stats.resample import identity, percentile_interval, replicate

KINDS = ("marginal", "conditional")


@dataclass(frozen=True, eq=False)
class Redrawn:
    """A fit whose response is drawn anew; calling it with a number gives that replicate's R²."""

    design: Design
    reml: bool
    engine: Engine
    start: np.ndarray
    mean: np.ndarray
    covariances: tuple[np.ndarray, ...]
    sigma: float
    seed: int

    def __call__(self, number: int) -> dict[str, float]:
        """Return ``marginal`` and ``conditional``; missing when the model could not be fitted."""
        rng = np.random.default_rng([self.seed, number])
        try:
            y = simulate(self.design, self.mean, self.covariances, self.sigma, rng)
            found = self._prepared.refit(y, self.start)
        except (FitError, np.linalg.LinAlgError):
            return dict.fromkeys(KINDS, float("nan"))
        shares = self._moments.shares(found.beta, found.covariances, found.sigma)
        return {"marginal": shares.marginal, "conditional": shares.conditional}

    def __getstate__(self) -> dict[str, Any]:
        # Native objects do not travel between processes; each one prepares its own.
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}

    @cached_property
    def _prepared(self) -> Prepared:
        return self.engine.prepare(self.design, self.reml, self.start)

    @cached_property
    def _moments(self) -> Moments:
        return moments(self.design)


def r2_intervals(
    fit: Fitted,
    replicates: int = 200,
    *,
    seed: int = 0,
    jobs: Jobs = 1,
    folder: str | Path | None = None,
    progress: bool = False,
) -> dict[str, Interval]:
    """Return 95 % intervals of marginal and conditional R².

    Parameters
    ----------
    fit
        By REML or ML; replicates are fitted likewise, by the same engine.
    replicates, seed, jobs, folder, progress
        As in `clada_neuro.stats.bootstrap.bootstrap`.

    Raises
    ------
    FitError
        When the fit's engine does not refit.
    """
    require_linear("intervals of R²", fit.name, fit.family)
    fit.solver.check_refits(fit.design)  # said once, before the work, instead of a missing value a replicate
    task = Redrawn(
        fit.design,
        fit.reml,
        fit.solver,
        fit.estimate.theta,
        fit.fitted(random=False),
        fit.estimate.covariances,
        fit.sigma,
        seed,
    )
    inputs = identity(fit.model, settings=(fit.reml, fit.engine, seed))
    drawn = replicate(
        task,
        replicates,
        name=f"bootstrap_r2_{inputs}",
        inputs=inputs,
        jobs=jobs,
        folder=folder,
        progress=progress,
    )
    return {
        kind: Interval(*percentile_interval(drawn[kind]), len(drawn), int(drawn[kind].isna().sum()))
        for kind in KINDS
    }
