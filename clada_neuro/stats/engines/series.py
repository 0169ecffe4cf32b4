"""Many responses of one design, such as an electrode's voltages at every moment, each fitted from the one before.

Neighbouring responses have neighbouring optima: from the last one, with the deviance's curvature there, a fit takes a few
evaluations in place of a descent from a neutral start. Every fit ends at its own optimum, as `estimate` finds it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from mixedlm.estimation.reml import LMMOptimizer

from clada_neuro.errors import FitError
from clada_neuro.stats.design import Design
from clada_neuro.stats.engines.mixedlm import (
    MixedlmDesign,
    off_zero,
    prepare,
    with_positive_diagonals,
)
from clada_neuro.stats.engines.satterthwaite import derivatives, satterthwaite
from clada_neuro.stats.engines.theta import covariances, effects, is_singular
from clada_neuro.stats.engines.warm import descend_near

# Of the largest curvature: along a flatter direction, as beside a variance of zero, a first step is taken as if it had this.
FLATTEST = 1e-3
ZERO = 1e-3  # of the residual's standard deviation: descents that stop early leave this of a variance of zero


@dataclass(frozen=True, eq=False)
class Member:
    """One response's fit by REML, in the data's units.

    ``beta``, ``se`` and ``df`` (Satterthwaite's), each (p,); ``sigma``; ``covariances`` one (k, k) array a block and ``effects``
    one (n_levels, k); ``singular`` where a variance is zero.
    """

    beta: np.ndarray
    se: np.ndarray
    df: np.ndarray
    sigma: float
    covariances: tuple[np.ndarray, ...]
    effects: tuple[np.ndarray, ...]
    singular: bool


def series(design: Design, responses: np.ndarray) -> Iterator[Member]:
    """Yield the fit of each column of ``responses`` (n, m), in the design's rows.

    Raises
    ------
    FitError
        For responses that the fixed effects fit without error, and those that cannot be fitted.
    """
    first = replace(design, y=responses[:, 0])
    prepared = prepare(first, True)
    theta = prepared.estimate().theta
    inverse = _inverse(derivatives(prepared.optimizer, theta)[1])
    for y in responses.T:
        optimizer = prepared.optimizer.with_response(prepared.scaled.response(y, prepared.design.X))
        found = descend_near(optimizer, off_zero(prepared, theta), inverse)
        theta = (
            prepared.refit(y, theta).theta
            if found is None
            else with_positive_diagonals(prepared, found.theta)
        )
        curvature = derivatives(optimizer, theta)[1]
        inverse = _inverse(curvature)
        yield _member(prepared, optimizer, theta, curvature)


def _inverse(hessian: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(hessian)
    return (vectors / np.maximum(np.abs(values), FLATTEST * np.abs(values).max())) @ vectors.T


def _member(
    prepared: MixedlmDesign, optimizer: LMMOptimizer, theta: np.ndarray, curvature: np.ndarray
) -> Member:
    core, scaled = optimizer._evaluate_core(theta), prepared.scaled
    if core is None:
        raise FitError("the covariance matrix cannot be factored at the optimum; simplify the random part")
    known = satterthwaite(optimizer, theta, scaled.scale * scaled.inverse_r(), curvature)
    sigma = scaled.scale * float(core.sigma)
    return Member(
        beta=scaled.beta(core.beta),
        se=np.sqrt(np.diag(known.vcov)),
        df=known.df(np.eye(len(known.vcov))),
        sigma=sigma,
        covariances=covariances(prepared.design, prepared.scaled, theta, float(core.sigma)),
        effects=effects(prepared.design, prepared.scaled, core.u),
        singular=is_singular(prepared.design, theta, ZERO),
    )
