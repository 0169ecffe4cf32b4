"""Standard errors that hold where residuals of one sequence, such as the words that one person reads, are correlated.

The random effects keep their estimated covariance G; the residuals' is not assumed, but taken from what is left in each
sequence (White 1980; Liang & Zeger 1986). With W = V⁻¹X and A = (X'W)⁻¹ and residuals e given the random effects,

    Var(b) = A [W'ZGZ'W + c Σ_s W_s' e_s e_s' W_s] A        c = m/(m - 1) · nσ²/e'e

over m sequences. c undoes that residuals are smaller than errors. Without random effects this is CR0 of clubSandwich times c.
A sandwich of the marginal residuals would take crossed random effects for independent over sequences, which they are not.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.linalg import splu

from clada_neuro.errors import FitError
from clada_neuro.stats.design import Design, check_columns, group_labels
from clada_neuro.stats.engines.base import Estimate, rescale
from clada_neuro.stats.uncertainty.base import Uncertainty
from clada_neuro.stats.uncertainty.kenward_roger import random_columns, random_root

LEAST_CLUSTERS = 10


@dataclass(frozen=True, eq=False)
class Sandwich:
    """``vcov`` (p, p) by sequences; degrees of freedom are the model's own, at most ``most``, one less than the sequences."""

    vcov: np.ndarray
    model: Uncertainty
    most: float

    def df(self, contrasts: np.ndarray) -> np.ndarray:
        """Return one value for each row of ``contrasts`` (m, p)."""
        return np.minimum(self.model.df(contrasts), self.most)

    def joint(self, contrasts: np.ndarray) -> tuple[float, float]:
        """Return the model's scale of an F statistic and its df2."""
        scale, df2 = self.model.joint(contrasts)
        return scale, min(df2, self.most)


def clusters_of(data: pd.DataFrame, sequences: str) -> pd.Series:
    """Return each row's sequence: a column's value, or with ``subject:stimulus_id`` the combination of several.

    Raises
    ------
    FitError
        For a column that is not there.
    """
    names = tuple(name.strip() for name in sequences.split(":"))
    check_columns(data, names)
    return group_labels(data, names).mask(data[list(names)].isna().any(axis=1)).rename(sequences)


def sandwich(
    design: Design, estimate: Estimate, residuals: np.ndarray, clusters: pd.Series, model: Uncertainty
) -> Sandwich:
    """Return the covariance of the coefficients with residuals free within ``clusters``, one label a row.

    Parameters
    ----------
    residuals
        Response minus fitted values, random effects included (n,).

    Raises
    ------
    FitError
        For too few clusters and missing labels.
    """
    if clusters.isna().any():
        raise FitError(
            f"'{clusters.name}' is missing in row {clusters.index[clusters.isna()][0]}; a sandwich needs every row's sequence"
        )
    codes, levels = pd.factorize(clusters)
    if len(levels) < LEAST_CLUSTERS:
        raise FitError(
            f"'{clusters.name}' has {len(levels)} levels, {LEAST_CLUSTERS} at least are needed for a sandwich"
        )
    scaled = rescale(design)
    s, X, e = estimate.sigma / scaled.scale, scaled.X, residuals / scaled.scale
    if design.weights is not None:
        root = np.sqrt(design.weights)
        X, e = root[:, None] * X, root * e
    W, random = _weighted(design, estimate, X, s)
    A = np.linalg.inv(X.T @ W)
    scores = np.zeros((len(levels), X.shape[1]))
    np.add.at(scores, codes, W * e[:, None])
    m, n = len(levels), len(e)
    inside = random + m / (m - 1) * n * s**2 / (e @ e) * scores.T @ scores
    transform = scaled.scale * scaled.inverse_r()
    return Sandwich(transform @ A @ inside @ A @ transform.T, model, m - 1.0)


def _weighted(design: Design, estimate: Estimate, X: np.ndarray, s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return W = V⁻¹X (n, p), rows times the roots of their weights, and W'ZGZ'W."""
    if not design.blocks:
        return X / s**2, np.zeros((X.shape[1], X.shape[1]))
    scaled = rescale(design)
    Z, _ = random_columns(list(zip(design.blocks, scaled.blocks, strict=True)))
    ratios = [
        r @ covariance @ r.T / estimate.sigma**2
        for r, covariance in zip(scaled.block_rs, estimate.covariances, strict=True)
    ]
    ZF = sparse.csr_array(Z @ random_root([len(block.levels) for block in design.blocks], ratios))
    if design.weights is not None:
        ZF = sparse.csr_array(ZF.multiply(np.sqrt(design.weights)[:, None]))
    core = sparse.csc_array(sparse.eye_array(ZF.shape[1]) + ZF.T @ ZF)
    # Thousands of words beside tens of people: the factor stays sparse where words are eliminated first.
    factor = splu(core, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    W = (X - ZF @ factor.solve(ZF.T @ X)) / s**2
    inner = ZF.T @ W
    return W, s**2 * inner.T @ inner
