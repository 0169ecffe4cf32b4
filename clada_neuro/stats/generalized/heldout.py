"""The log probability of counts under a model that has not seen them: random effects of new levels are integrated out."""

import numpy as np
import pandas as pd
from scipy import special, stats

from clada_neuro.stats.design import columns_for, evaluated
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.generalized.counts import counts_of, trials_of
from clada_neuro.stats.generalized.estimate import estimate
from clada_neuro.stats.generalized.family import family_of
from clada_neuro.stats.generalized.fit_counts import specify_counts
from clada_neuro.stats.model import apply_scales

_NODES = 40


def score(fit: Fitted, train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """Return each held-out row's log probability (n_test,) under the model refitted to ``train``.

    Given its fixed effects a row's linear predictor is normal with the variance of all random effects, over which the
    probability is averaged by Gauss and Hermite's quadrature.
    """
    model = specify_counts(
        train, fit.formula, fit.family, standardize=list(fit.standardized), contrasts=fit.model.contrasts
    )
    family = family_of(fit.family)
    found = estimate(model.design, family, *counts_of(model, fit.family))
    test = apply_scales(test, model.standardized)
    y = columns_for(model.design.response_spec, test).ravel()
    below = trials_of(model.formula) if fit.family == "binomial" else ""
    trials = np.asarray(evaluated(below, test), float) if below else np.ones(len(y))
    variance = np.zeros(len(y))
    for block, covariance in zip(model.design.blocks, found.covariances, strict=True):
        values = columns_for(block.spec, test)
        variance += np.einsum("ij,jk,ik->i", values, covariance, values)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    eta = (columns_for(model.design.spec, test) @ found.beta)[:, None] + np.sqrt(variance)[:, None] * nodes
    counts, mean = np.round(y * trials)[:, None], family.mean(eta)
    each = (
        stats.binom.logpmf(counts, trials[:, None], mean)
        if fit.family == "binomial"
        else stats.poisson.logpmf(counts, mean)
    )
    return np.asarray(special.logsumexp(each, b=weights / weights.sum(), axis=1))
