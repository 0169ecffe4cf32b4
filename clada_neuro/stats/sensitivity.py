"""Does a result hang on a few trials, or on one subject, item or laboratory?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.parts import Jobs
from clada_neuro.stats.design import Design, group_labels
from clada_neuro.stats.engines.base import Engine
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.generalized.family import require_linear
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.names import check_used
from clada_neuro.stats.resample import identity, replicate

CUTOFF_SD = 3.0


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity:
    """A fit without extreme trials beside the fit with all of them.

    ``table`` has one row a term: estimate, se and p with and without, and `shift`, the change in standard errors.
    """

    cutoff: float
    n_left_out: int
    n_obs: int
    fit: MixedFit
    table: pd.DataFrame

    def __repr__(self) -> str:
        share = 100 * self.n_left_out / self.n_obs
        return (
            f"without the {self.n_left_out} trials ({share:.2f} %) further than {self.cutoff:.3g} from the mean:\n"
            + self.table.to_string(index=False, float_format="{:.4f}".format)
        )


def without_extremes(fit: MixedFit, cutoff: float | None = None) -> Sensitivity:
    """Refit without trials whose response is further than ``cutoff`` (in its own unit) from the mean.

    Without a cut-off, three standard deviations of the response are used; the value is stated in the result.
    """
    y = fit.design.y
    cutoff = float(CUTOFF_SD * y.std(ddof=1)) if cutoff is None else cutoff
    kept = np.abs(y - y.mean()) <= cutoff
    again = refit_rows(fit, kept)
    both = fit.coefficients.merge(again.coefficients, on="term", suffixes=("", "_without"))
    both["shift"] = (both["estimate_without"] - both["estimate"]) / both["se"]
    columns = ["term", "estimate", "se", "p", "estimate_without", "se_without", "p_without", "shift"]
    return Sensitivity(cutoff, int((~kept).sum()), len(y), again, both[columns])


def refit_rows(fit: MixedFit, kept: np.ndarray) -> MixedFit:
    """Fit the same model, on the same scale, to some of its rows."""
    model = fit.model
    data = model.data[kept]
    again = specify(data, fit.formula, name=model.name, contrasts=model.contrasts, weights=model.weights)
    return estimate(replace(again, standardized=model.standardized), reml=fit.reml, engine=fit.engine)


@dataclass(frozen=True, eq=False)
class LeaveOut:
    """Fit a design without the rows of one level; calling it with a level's number gives the coefficients."""

    design: Design
    codes: np.ndarray
    start: np.ndarray
    engine: Engine

    def __call__(self, level: int) -> dict[str, float]:
        """Return ``{term: estimate}`` without that level; missing where the model cannot be fitted."""
        try:
            part = subset(self.design, self.codes != level)
            beta = self.engine.prepare(part, False).refit(start=self.start).beta
        except (FitError, np.linalg.LinAlgError):
            beta = np.full(len(self.design.names), np.nan)
        return dict(zip(self.design.names, beta.tolist(), strict=True))


def influence(
    fit: Fitted,
    factor: str,
    terms: Sequence[str] | None = None,
    *,
    jobs: Jobs = 1,
    folder: str | Path | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Leave out one level of a column (subject, item, laboratory) at a time.

    Returns
    -------
    One row a level and term: level, n_obs (its rows), term, estimate without it, shift (in standard errors of the
    full fit); largest absolute shift first.

    Raises
    ------
    FitError
        When the column is not in the data, or the fit's engine does not refit.
    """
    if factor not in fit.model.data:
        raise FitError(f"no column '{factor}' to leave levels out of; choose a grouping column of the trials")
    require_linear("fits without single levels", fit.name, fit.family)
    fit.solver.check_refits(fit.design)  # said once, before the work, instead of a missing value a level
    ml = fit.refit(reml=False)
    chosen = list(ml.design.names) if terms is None else list(terms)
    check_used("influence on the coefficient", chosen, ml.design.names, ml.formula)
    codes, levels = pd.factorize(group_labels(fit.model.data, (factor,)).to_numpy(dtype=object), sort=True)
    task = LeaveOut(ml.design, codes, ml.estimate.theta, ml.solver)
    inputs = identity(ml.model, settings=(factor, list(levels), codes.tolist(), ml.engine))
    table = replicate(
        task,
        len(levels),
        name=f"influence_{factor}",
        inputs=inputs,
        jobs=jobs,
        folder=folder,
        progress=progress,
    )
    table = table.assign(level=levels, n_obs=np.bincount(codes))
    long = table.melt(id_vars=["level", "n_obs"], value_vars=chosen, var_name="term", value_name="estimate")
    full = (
        ml.coefficients.set_index("term") if terms is None else ml.coefficients.set_index("term").loc[chosen]
    )
    long["shift"] = (long["estimate"] - long["term"].map(full["estimate"])) / long["term"].map(full["se"])
    return long.sort_values("shift", key=np.abs, ascending=False, ignore_index=True)


def subset(design: Design, kept: np.ndarray) -> Design:
    """Return a design with some of its rows; levels without rows go."""
    blocks = []
    for block in design.blocks:
        used, codes = np.unique(block.codes[kept], return_inverse=True)
        levels = tuple(block.levels[level] for level in used)
        blocks.append(replace(block, values=block.values[kept], codes=codes, levels=levels))
    weights = None if design.weights is None else design.weights[kept]
    return replace(
        design,
        y=design.y[kept],
        X=design.X[kept],
        blocks=tuple(blocks),
        weights=weights,
        rows=design.rows[kept],
        smooths=tuple(replace(smooth, functions=smooth.functions[kept]) for smooth in design.smooths),
    )
