"""Several models of one response side by side: on the same rows, by maximum likelihood, each against the one before."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats.compare import check_same_rows, compare
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import parse


def common_rows(data: pd.DataFrame, formulas: Sequence[str]) -> pd.DataFrame:
    """Return the rows that have a value in every column of every formula, so that all models use the same ones.

    Raises
    ------
    FitError
        When the formulas explain different responses, between which nothing can be compared.
    """
    responses = list(dict.fromkeys(parse(formula).response for formula in formulas))
    if len(responses) > 1:
        raise FitError(
            f"{' and '.join(responses)} are different responses, and only models of one are compared; give each a call of "
            "its own"
        )
    columns = dict.fromkeys(name for formula in formulas for name in parse(formula).variables())
    return data.dropna(subset=list(columns))


def alternatives(fits: Sequence[Fitted]) -> pd.DataFrame:
    """Compare models in the order given, as R's ``anova`` does.

    Returns
    -------
    DataFrame
        One row a model: ``name``, ``formula``, ``n_obs``, ``n_parameters``, ``loglik``, ``aic`` and ``bic`` by maximum
        likelihood (``bic`` over rows, as lme4's), ``r2_marginal``; the likelihood-ratio test of the model and the one
        before it in ``chi2``, ``df``, ``p``, and in ``note`` why there is none or what is to be known of it.

    Raises
    ------
    FitError
        When the models use different rows or have different responses.
    """
    check_same_rows([fit.design for fit in fits])
    fitted = [fit.refit(reml=False) for fit in fits]
    rows = [_row(fit) | _test(fitted[at - 1] if at else None, fit) for at, fit in enumerate(fitted)]
    return pd.DataFrame(rows)


def _row(fit: Fitted) -> dict[str, Any]:
    return {
        "name": fit.name,
        "formula": fit.formula,
        "n_obs": fit.n_obs,
        "n_parameters": fit.n_parameters,
        "loglik": fit.loglik,
        "aic": fit.aic,
        "bic": fit.n_parameters * np.log(fit.n_obs) - 2 * fit.loglik,
        "r2_marginal": fit.r2().marginal,
    }


def _test(before: Fitted | None, fit: Fitted) -> dict[str, Any]:
    none = {"chi2": np.nan, "df": pd.NA, "p": np.nan}
    if before is None:
        return {**none, "note": ""}
    try:
        found = compare(before, fit)
    except FitError as error:
        return {**none, "note": f"no likelihood-ratio test: {error}"}
    return {"chi2": found.chi2, "df": found.df, "p": found.p, "note": "; ".join(found.warnings)}
