"""A larger model cannot fit worse than one that it contains: where it does, its optimizer stopped at a local optimum."""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from clada_neuro.stats.design import Block
from clada_neuro.stats.fitted import Fitted

LOGLIK_TOLERANCE = 1e-3

Fit = TypeVar("Fit", bound=Fitted)


def settled(smaller: Fitted, larger: Fit) -> Fit:
    """Return the larger of two ML fits, fitted again from the smaller one's variances if its likelihood is lower.

    Several more starts are tried, too. What was done stands in the fit's warnings.
    """
    below = smaller.loglik - larger.loglik
    if below <= LOGLIK_TOLERANCE:
        return larger
    taken = larger.solver.take(larger.design, False, None)
    found = taken.restart([_ratio(block, smaller) for block in larger.design.blocks])
    if found is None or found.loglik <= larger.loglik:
        return larger
    note = (
        f"its first fit ended {below:.3f} log units below '{smaller.name}', which it contains (a local optimum); "
        "fitted again from there and from more starts"
    )
    fit = larger.from_estimate(larger.model, False, larger.solver, found)
    return replace(fit, warnings=(*fit.warnings, note))


def _ratio(block: Block, smaller: Fitted) -> np.ndarray:
    """Return the smaller model's covariances of a block's terms over its residual variance; zero for new terms."""
    ratio = np.zeros((len(block.names), len(block.names)))
    for other, covariance in zip(smaller.design.blocks, smaller.estimate.covariances, strict=True):
        if other.group == block.group and set(other.names) <= set(block.names):
            at = [block.names.index(name) for name in other.names]
            ratio[np.ix_(at, at)] += covariance / smaller.sigma**2
    return ratio
