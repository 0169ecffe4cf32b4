"""What a fit knows of its smooths: coefficients of the functions, their covariance, and degrees of freedom."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Posterior:
    """Coefficients of all functions (m,), in the order of the smooths.

    ``vcov`` (p + m, p + m) is the covariance of the fixed effects and of these, given the data (Bayesian, mgcv's ``Vp``);
    ``edf`` and ``edf1`` (p + m,) are diag(F) and diag(2F - FF), the shares of each coefficient that the data decide;
    ``residual_df`` is the number of rows less all effective degrees of freedom, those of random effects included.
    """

    coefs: np.ndarray
    vcov: np.ndarray
    edf: np.ndarray
    edf1: np.ndarray
    residual_df: float
