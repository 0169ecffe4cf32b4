"""Smooths of a fit as a table: effective degrees of freedom, test against zero, test against the straight line."""

import numpy as np
import pandas as pd

from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.smooths.columns import Smooth
from clada_neuro.stats.smooths.curve import functions_of, posterior_of
from clada_neuro.stats.smooths.line import against_line, without
from clada_neuro.stats.smooths.wood import against_zero


def smooth_table(fit: Fitted) -> pd.DataFrame:
    """Return one row a smooth; the fit is repeated by REML where it was by ML.

    Returns
    -------
    DataFrame
        smooth, edf (1 is a straight line, of a tensor product 3), ref_df, F and p (of the whole smooth against zero; Wood
        2013), lrt and p_line (twice the gain in restricted log-likelihood over the straight line, of a tensor product over
        both lines and their product; p from its simulated distribution, 0.0001 at least). Each smooth costs a fit without it.
    """
    reml = fit.refit(reml=True)
    lines = [against_line(reml, smooth, without(reml, smooth)) for smooth in reml.design.smooths]
    return tests_of(reml).assign(lrt=[lrt for lrt, _ in lines], p_line=[p for _, p in lines])


def tests_of(fit: Fitted) -> pd.DataFrame:
    """Return smooth, edf, ref_df, F and p of each smooth, which cost no further fit."""
    rows = [{"smooth": smooth.label, **_against_zero(fit, smooth)} for smooth in fit.design.smooths]
    return pd.DataFrame(rows, columns=["smooth", "edf", "ref_df", "F", "p"])


def _against_zero(fit: Fitted, smooth: Smooth) -> dict[str, float]:
    known, at = posterior_of(fit), functions_of(fit, smooth)
    weights = 1.0 if fit.design.weights is None else np.sqrt(fit.design.weights)[:, None]
    lines = fit.design.X[:, at[: len(smooth.line_names)]]
    F, ref_df, p = against_zero(
        fit.all_coefficients[at],
        np.column_stack([lines, smooth.functions]) * weights,
        known.vcov[np.ix_(at, at)],
        min(float(known.edf1[at].sum()), float(len(at))),
        known.residual_df,
    )
    return {"edf": float(known.edf[at].sum()), "ref_df": ref_df, "F": F, "p": p}
