"""One electrode's mixed models, at every moment: the unit of work that goes to a process or a worker."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from clada_neuro.erp.maps.null import RowWeights, contributions, signs
from clada_neuro.errors import FitError
from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.engines.series import Member, series
from clada_neuro.stats.model import Model, specify

Array = NDArray[np.float64]
AMPLITUDE, BASELINE = "amplitude_uv", "baseline_uv"
FARTHEST = 37.0  # normal deviates beyond which their probability has no number


@dataclass(frozen=True, eq=False)
class ChannelTask:
    """What is fitted at every electrode.

    Attributes
    ----------
    trials
        One row per epoch: labels and predictors.
    formula
        The right-hand side, in lme4's notation; numeric predictors outside functions are z-scored.
    baseline
        Whether each electrode's own baseline is a covariate.
    n_draws, seed
        Of the null (see `null`).
    """

    trials: pd.DataFrame
    formula: str
    baseline: bool
    n_draws: int
    seed: int

    def model(self, amplitude: Array, baseline: Array | None) -> Model:
        """Return the model of one electrode, with its amplitude at one moment as the response."""
        columns = {AMPLITUDE: amplitude} | ({BASELINE: baseline} if self.baseline else {})
        right = self.formula + (f" + {BASELINE}" if self.baseline else "")
        return specify(self.trials.assign(**columns), f"{AMPLITUDE} ~ {right}", standardize=True)


@dataclass(frozen=True, eq=False)
class Electrode:
    """One electrode's data: ``name``, ``amplitudes`` (n_epochs, n_times) and ``baseline`` (n_epochs,), µV."""

    name: str
    amplitudes: Array
    baseline: Array


@dataclass(frozen=True, eq=False)
class ElectrodeMaps:
    """One electrode's fits over time.

    Attributes
    ----------
    b, se, df
        (n_terms, n_times): µV per unit of the term (per SD where z-scored), standard error, Satterthwaite's degrees of freedom.
    null
        (n_draws, n_terms, n_times): draws of b over its standard error under the null, normal deviates.
    sds
        (n_components, n_times): standard deviations of the random effects and, last, of the residual, µV.
    singular
        (n_times,): whether a variance is zero.
    """

    b: Array
    se: Array
    df: Array
    null: NDArray[np.float32]
    sds: Array
    singular: NDArray[np.bool_]


def terms_of(model: Model) -> list[int]:
    """Return the positions of the coefficients that are mapped: all but the intercept and the baseline."""
    return [j for j, name in enumerate(model.design.names) if name not in (INTERCEPT, BASELINE)]


def components_of(model: Model) -> list[str]:
    """Return the names of the random effects' standard deviations, as ``subject: surprisal_bits``, and ``residual``."""
    return [f"{block.group}: {name}" for block in model.design.blocks for name in block.names] + ["residual"]


def fit_electrode(electrode: Electrode, task: ChannelTask) -> ElectrodeMaps:
    """Fit one electrode's mixed models, and draw their coefficients under the null.

    Raises
    ------
    FitError
        For a model that the data do not allow, and an electrode that does not vary.
    """
    model, fits, errors = with_errors(electrode, task)
    terms = terms_of(model)
    drawn = signs(model.design, task.n_draws, task.seed)
    shape = (task.n_draws, len(fits), len(terms))
    null = sum(drawn[group] @ errors[group] for group in drawn)
    sds = [[*(sd for c in member.covariances for sd in np.sqrt(np.diag(c))), member.sigma] for member in fits]
    return ElectrodeMaps(
        b=np.array([member.beta[terms] for member in fits]).T,
        se=np.array([member.se[terms] for member in fits]).T,
        df=np.array([member.df[terms] for member in fits]).T,
        null=np.ascontiguousarray(np.reshape(null, shape).transpose(0, 2, 1)),
        sds=np.array(sds).T,
        singular=np.array([member.singular for member in fits]),
    )


def with_errors(
    electrode: Electrode, task: ChannelTask
) -> tuple[Model, list[Member], dict[str, NDArray[np.float32]]]:
    """Return an electrode's model, its fits over time, and what each level and trial adds to their errors.

    The last is (n_levels, n_times × n_terms) for each grouping factor and the trials, over the standard errors.
    """
    if not np.ptp(electrode.amplitudes) > 0:
        raise FitError(
            f"electrode {electrode.name} has one value in all epochs; leave it out, or mark it bad"
        )
    model = task.model(electrode.amplitudes[:, 0], electrode.baseline)
    terms, amplitudes = terms_of(model), electrode.amplitudes[model.design.rows]
    weights, fits = RowWeights(model.design), list(series(model.design, amplitudes))
    errors: dict[str, list[Array]] = {}
    for member, y in zip(fits, amplitudes.T, strict=True):
        added = contributions(model.design, member, weights.of(member), y, terms)
        for group, values in added.items():
            errors.setdefault(group, []).append(values / member.se[terms])
    together = {group: np.concatenate(parts, axis=1).astype(np.float32) for group, parts in errors.items()}
    return model, fits, together


def deviates(t: Array, df: Array) -> Array:
    """Return the normal deviates that are as improbable as t with its degrees of freedom."""
    tail = stats.t.logsf(np.abs(t), df)
    return np.sign(t) * np.minimum(-stats.norm.ppf(np.exp(tail)), FARTHEST)
