"""`compare`: several models of one response in one table, by likelihood and by how they predict items they have not seen."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats.alternatives import alternatives, common_rows
from clada_neuro.stats.contrasts import Contrasts
from clada_neuro.stats.crossval import gain, held_out
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import parse
from clada_neuro.stats.generalized.family import GAUSSIAN
from clada_neuro.stats.mixed import fitted

FOLDS = 10


def compare(
    models: Sequence[Fitted | str],
    data: pd.DataFrame | None = None,
    *,
    family: str = GAUSSIAN,
    standardize: bool | Sequence[str] = False,
    contrasts: Contrasts | None = None,
    item: str = "item",
    folds: int = FOLDS,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare models in the order given, each with the one before it.

    Parameters
    ----------
    models
        What `clada_neuro.fit` returned, of the same rows, or formulas, which are fitted to the rows that all of them have
        values for.
    data
        One row a trial, for formulas.
    family, standardize, contrasts
        As in `clada_neuro.fit`, for formulas; a model takes the columns that are in it.
    item
        Column whose levels are left out together, to be predicted by models that have not seen them.
    folds
        Into how many parts the items are divided; 0 leaves this out.
    seed
        Of the division.

    Returns
    -------
    DataFrame
        One row a model: ``name``, ``formula``, ``n_obs``, ``n_parameters``, ``loglik``, ``aic``, ``bic`` (maximum
        likelihood), ``r2_marginal``; ``chi2``, ``df``, ``p`` of the likelihood-ratio test against the model before, where
        they are nested; ``heldout_loglik`` in nats a trial, with ``delta_heldout`` over the model before and its ``se_heldout``
        over items; ``note`` says why something is missing.

    Raises
    ------
    FitError
        For fewer than two models, formulas without data, and models of different rows, responses or families.
    """
    fits = _fits(models, data, family, standardize, contrasts)
    names = {fit.family for fit in fits}
    if len(names) > 1:
        raise FitError(
            f"models of {' and '.join(sorted(names))} responses; compare models of one family only"
        )
    table = alternatives(fits)
    try:
        scored = (
            [held_out(fit.refit(reml=False), item=item, folds=folds, seed=seed) for fit in fits]
            if folds
            else []
        )
        why = ""
    except FitError as error:
        scored, why = [], f"not scored on held-out items: {error}"
    steps = [gain(one, other) for one, other in pairwise(scored)]
    values = {
        "heldout_loglik": [float(one.density.mean()) for one in scored],
        "delta_heldout": [np.nan, *(step.delta_loglik_per_trial for step in steps)],
        "se_heldout": [np.nan, *(step.se for step in steps)],
    }
    notes = ["; ".join(filter(None, (note, why))) for note in table.pop("note")]
    empty = [np.nan] * len(fits)
    return table.assign(**(values if scored else dict.fromkeys(values, empty)), note=notes)


def _fits(
    models: Sequence[Fitted | str],
    data: pd.DataFrame | None,
    family: str,
    standardize: bool | Sequence[str],
    contrasts: Contrasts | None,
) -> list[Fitted]:
    formulas = [model for model in models if isinstance(model, str)]
    fits = [model for model in models if isinstance(model, Fitted)]
    if len(models) < 2 or len(formulas) not in (0, len(models)):
        raise FitError(f"{len(models)} models given; give two or more fits, or two or more formulas and data")
    if not formulas:
        return fits
    if data is None:
        raise FitError("formulas are fitted to data; give the data frame as the second argument")
    rows, columns = common_rows(data, formulas), {formula: parse(formula).variables() for formula in formulas}
    return [
        fitted(
            rows,
            formula,
            reml=False,
            name=f"model {at}",
            standardize=standardize
            if isinstance(standardize, bool)
            else [name for name in standardize if name in columns[formula]],
            contrasts={name: kind for name, kind in (contrasts or {}).items() if name in columns[formula]},
            family=family,
        )
        for at, formula in enumerate(formulas, start=1)
    ]
