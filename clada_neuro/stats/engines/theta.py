"""The parameters of a random part as lme4 has them: the lower triangles of the blocks' relative covariance factors."""

import numpy as np

from clada_neuro.stats.design import INTERCEPT, Design
from clada_neuro.stats.engines.base import Scaled

SINGULAR_BELOW = 1e-4
OFF_ZERO = 0.05  # a standard deviation that a descent from the boundary starts at
# Where a descent ends: the relative gain of the deviance (tighter ends in rounding error of 25,000 rows), and its gradient.
TIGHT, GRADIENT_TOLERANCE = 1e-13, 1e-8


def factors(design: Design, theta: np.ndarray) -> list[np.ndarray]:
    """Return the factor (k, k) of each block; parameters behind those of blocks are left alone."""
    found, at = [], 0
    for block in design.blocks:
        k = len(block.names)
        factor = np.zeros((k, k))
        factor[np.tril_indices(k)] = theta[at : at + k * (k + 1) // 2]
        at += k * (k + 1) // 2
        found.append(factor)
    return found


def vector(factor: np.ndarray) -> np.ndarray:
    """Return the parameters of one block."""
    return factor[np.tril_indices(len(factor))]


def diagonal(k: int, value: float) -> np.ndarray:
    """Return the parameters of a block of ``k`` uncorrelated effects with one standard deviation over the residual's."""
    return vector(value * np.eye(k))


def is_singular(design: Design, theta: np.ndarray, below: float = SINGULAR_BELOW) -> bool:
    """Return whether a variance is zero, or a block's columns are perfectly correlated."""
    return any(bool((np.diag(factor) < below).any()) for factor in factors(design, theta))


def covariances(design: Design, scaled: Scaled, theta: np.ndarray, sigma: float) -> tuple[np.ndarray, ...]:
    """Return the covariance matrix of each block in the data's units."""
    return tuple(
        scaled.covariance(b, sigma**2 * factor @ factor.T) for b, factor in enumerate(factors(design, theta))
    )


def effects(design: Design, scaled: Scaled, u: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the random effects (n_levels, k) of each block in the data's units, from mixedlm's vector of them."""
    found, at = [], 0
    for b, block in enumerate(design.blocks):
        shape = (len(block.levels), len(block.names))
        found.append(scaled.effects(b, u[at : at + shape[0] * shape[1]].reshape(shape)))
        at += shape[0] * shape[1]
    return tuple(found)


def owners(design: Design) -> list[str]:
    """Return the random term that each parameter belongs to."""
    return [
        f"({' + '.join(block.names).replace(INTERCEPT, '1')} | {block.group})"
        for block in design.blocks
        for _ in range(len(block.names) * (len(block.names) + 1) // 2)
    ]
