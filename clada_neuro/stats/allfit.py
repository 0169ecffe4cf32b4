"""One model by every optimizer, as lme4's ``allFit``: estimates that agree are those of the likelihood, not of a search."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.engines.mixedlm import OPTIMIZERS, MixedlmDesign
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.generalized.family import require_linear


def allfit(fit: Fitted, terms: Sequence[str] | None = None) -> pd.DataFrame:
    """Fit a model again by every optimizer of mixedlm, each from the same start.

    Parameters
    ----------
    terms
        Whose estimates are shown; all but the intercept without.

    Returns
    -------
    DataFrame
        One row an optimizer and term, the fit itself first: optimizer, converged, loglik, below (how far its
        log-likelihood is under the highest), term, estimate, off (from the fit's estimate, in its standard errors). One that
        broke down has no numbers.

    Raises
    ------
    FitError
        For an engine that is not mixedlm, counts, no random terms, and unknown terms.
    """
    require_linear("fits by every optimizer", fit.name, fit.family)
    prepared = fit.solver.prepare(fit.design, fit.reml)
    if not isinstance(prepared, MixedlmDesign):
        raise FitError(f"engine '{fit.engine}' has one optimizer; fit with engine 'mixedlm'")
    names = list(fit.design.names)
    shown = [name for name in names if name != INTERCEPT] if terms is None else list(terms)
    own = {term: fit.coefficient(term) for term in shown}
    rows = [
        {
            "optimizer": "the fit",
            "converged": fit.converged,
            "loglik": fit.loglik,
            "term": term,
            "estimate": row["estimate"],
        }
        for term, row in own.items()
    ]
    for optimizer in OPTIMIZERS:
        try:
            found = prepared.by(optimizer)
        except FitError:
            rows += [{"optimizer": optimizer, "converged": False, "term": term} for term in shown]
            continue
        rows += [
            {
                "optimizer": optimizer,
                "converged": found.converged,
                "loglik": found.loglik,
                "term": term,
                "estimate": float(found.beta[names.index(term)]),
            }
            for term in shown
        ]
    table = pd.DataFrame(rows, columns=["optimizer", "converged", "loglik", "term", "estimate"])
    se = np.array([own[term]["se"] for term in table["term"]])
    center = np.array([own[term]["estimate"] for term in table["term"]])
    table.insert(3, "below", table["loglik"].max() - table["loglik"])
    return table.assign(off=(table["estimate"] - center) / se)
