"""Second witness: statsmodels, for uncorrelated random effects on small data, and ordinary least squares.

Crossed effects enter as variance components of one group that holds all rows, so memory grows with rows squared.
"""

import warnings
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import statsmodels.api as sm
from scipy import sparse
from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

from clada_neuro.errors import FitError
from clada_neuro.stats.design import Design
from clada_neuro.stats.engines.base import Engine, Estimate, Prepared, Scaled, rescale
from clada_neuro.stats.uncertainty.base import Known

MAX_ROWS = 3000
_SINGULAR_VARIANCE = 1e-6
# Its default (lbfgs) stopped two log units short and called it convergence.
_OPTIMIZERS = ("powell", "cg")


@dataclass(frozen=True, eq=False)
class Whole(Prepared):
    """A design to be fitted: normal tests (infinite df) for mixed models, t tests for least squares."""

    design: Design
    reml: bool

    def estimate(self) -> Estimate:
        """Fit by statsmodels."""
        scaled = rescale(self.design)
        fit = _mixed if self.design.blocks else _least_squares
        return fit(self.design, scaled, self.reml)

    def refit(self, y: np.ndarray | None = None, start: np.ndarray | None = None) -> Estimate:
        """Fit the response ``y`` or its own; statsmodels takes no start, so each fit is a whole one."""
        return (self if y is None else replace(self, design=replace(self.design, y=y))).estimate()


def _take(design: Design, reml: bool, near: np.ndarray | None) -> Whole:
    return Whole(design, reml)


ENGINE = Engine("statsmodels", _take)


def _mixed(design: Design, scaled: Scaled, reml: bool) -> Estimate:
    _refuse(design)
    columns = [
        sparse.csr_array(
            (q[:, 0], (np.arange(len(q)), block.codes)), shape=(len(q), len(block.levels))
        ).toarray()
        for q, block in zip(scaled.blocks, design.blocks, strict=True)
    ]
    names = [f"v{b}" for b in range(len(columns))]
    spec = VCSpec(names, [[[str(j) for j in range(c.shape[1])]] for c in columns], [[c] for c in columns])
    model = MixedLM(scaled.y, scaled.X, groups=np.zeros(len(scaled.y)), exog_vc=spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = max((model.fit(reml=reml, method=[name]) for name in _OPTIMIZERS), key=lambda fit: fit.llf)
    p = scaled.X.shape[1]
    inverse = scaled.inverse_r()
    vcov = scaled.scale**2 * inverse @ np.asarray(fitted.cov_params())[:p, :p] @ inverse.T
    effects = np.split(fitted.random_effects[0.0].to_numpy(), np.cumsum([c.shape[1] for c in columns])[:-1])
    return Estimate(
        beta=scaled.beta(fitted.fe_params),
        vcov=vcov,
        approximate=partial(Known, vcov, np.inf),
        sigma=scaled.scale * float(np.sqrt(fitted.scale)),
        loglik=scaled.loglik(float(fitted.llf), reml),
        covariances=tuple(scaled.covariance(b, np.array([[v]])) for b, v in enumerate(fitted.vcomp)),
        effects=tuple(scaled.effects(b, u[:, None]) for b, u in enumerate(effects)),
        singular=bool((np.asarray(fitted.vcomp) < _SINGULAR_VARIANCE * fitted.scale).any()),
        converged=bool(fitted.converged),
        warnings=("statsmodels tests are normal: no denominator degrees of freedom",),
    )


def _refuse(design: Design) -> None:
    for block in design.blocks:
        if len(block.names) > 1:
            raise FitError(
                f"statsmodels cannot correlate random effects that are crossed; write (… || {block.group}) or use "
                "engine 'mixedlm'"
            )
    if len(design.y) > MAX_ROWS:
        raise FitError(
            f"{len(design.y)} rows are too many for engine 'statsmodels' (at most {MAX_ROWS}); use 'mixedlm'"
        )
    if design.weights is not None:
        raise FitError("statsmodels' mixed models take no weights; use engine 'mixedlm'")


def _least_squares(design: Design, scaled: Scaled, reml: bool) -> Estimate:
    weights = np.ones(len(scaled.y)) if design.weights is None else design.weights
    fitted = sm.WLS(scaled.y, scaled.X, weights=weights).fit()
    n, p = scaled.X.shape
    variance = fitted.ssr / (n - p if reml else n)
    inverse = scaled.inverse_r()
    degrees = n - p if reml else n
    loglik = -0.5 * (degrees * (1 + np.log(2 * np.pi * variance)) - np.log(weights).sum())
    if reml:
        loglik -= 0.5 * np.linalg.slogdet(scaled.X.T @ (weights[:, None] * scaled.X))[1]
    vcov = scaled.scale**2 * variance * inverse @ fitted.normalized_cov_params @ inverse.T
    return Estimate(
        beta=scaled.beta(np.asarray(fitted.params)),
        vcov=vcov,
        approximate=partial(Known, vcov, float(n - p)),
        sigma=scaled.scale * float(np.sqrt(variance)),
        loglik=scaled.loglik(float(loglik), reml),
        covariances=(),
        effects=(),
        singular=False,
        converged=True,
    )
