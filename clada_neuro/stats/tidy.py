"""A fit as tables with the names that R users know from broom.mixed: ``tidy`` and ``glance``."""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.special import xlogy

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.generalized.counts import counts_of

_FIXED = {
    "term": "term", "estimate": "estimate", "se": "std.error", "t": "statistic", "z": "statistic", "df": "df", "p": "p.value",
    "ci_low": "conf.low", "ci_high": "conf.high",
}  # fmt: skip

_COLUMNS = [
    "effect", "group", "term", "estimate", "std.error", "statistic", "df", "p.value", "conf.low", "conf.high"
]  # fmt: skip
_CODED = re.compile(r"([^:\[\]]+)\[(\w*)\.([^\]]*)\]")
_OWN = {"std.error": "se", "p.value": "p", "conf.low": "ci_low", "conf.high": "ci_high"}
NAMES = ["broom", "own"]


def tidy(fit: Fitted, names: str = "broom") -> pd.DataFrame:
    """Return fixed effects and random parameters as ``broom.mixed::tidy(m, conf.int = TRUE)`` does.

    Parameters
    ----------
    names
        ``broom``, or ``own`` for the columns of ``coefficients``: se, p, ci_low, ci_high.

    Returns
    -------
    DataFrame
        effect (``fixed``, ``ran_pars``), group, term, estimate, std.error, statistic, df (not of counts), p.value, conf.low,
        conf.high. SDs are ``sd__(Intercept)``, correlations ``cor__(Intercept).x``, the residual's SD ``sd__Observation``.
    """
    if names not in NAMES:
        raise FitError(f"names '{names}' given{did_you_mean(names, NAMES)}; there are {', '.join(NAMES)}")
    known = fit.coefficients
    fixed = known[[name for name in known if name in _FIXED]].rename(columns=_FIXED)
    random = fit.random
    if names == "broom":
        every = r_terms([*fixed["term"], *random["term"], *random["term2"]])
        ends = len(fixed), len(fixed) + len(random)
        fixed = fixed.assign(term=every[: ends[0]])
        random = random.assign(term=every[slice(*ends)], term2=every[ends[1] :])
    rows = [
        ("ran_pars", row.group, f"cor__{row.term}.{row.term2}" if row.term2 else f"sd__{row.term}", row.sdcor)
        for row in random.itertuples()
    ]
    if fit.family == "gaussian":
        rows.append(("ran_pars", "Residual", "sd__Observation", fit.sigma))
    below = pd.DataFrame(rows, columns=["effect", "group", "term", "estimate"])
    above = fixed.assign(effect="fixed", group=None).astype({"group": object})
    table = pd.concat([above, below], ignore_index=True)
    table = table[[name for name in _COLUMNS if name in table]]
    return table if names == "broom" else table.rename(columns=_OWN)


def r_terms(names: Iterable[str]) -> list[str]:
    """Return coefficients as R names them: ``group[T.L2]:order[S.first]`` as ``groupL2:order1``."""
    seen: dict[str, dict[str, int]] = {}

    def in_r(found: re.Match[str]) -> str:
        factor, kind, level = found.groups()
        place = seen.setdefault(factor, {}).setdefault(level, len(seen[factor]) + 1)
        return factor + (level if kind == "T" else f".{level}" if not kind else str(place))

    return [_CODED.sub(in_r, name) for name in names]


def glance(fit: Fitted) -> pd.DataFrame:
    """Return one row as ``broom.mixed::glance(m)`` does: nobs, sigma, logLik, AIC, BIC, REMLcrit or deviance, df.residual."""
    k, n = fit.n_parameters, fit.n_obs
    criterion = "REMLcrit" if fit.reml and fit.design.blocks else "deviance"
    deviance = -2 * fit.loglik if fit.family == "gaussian" else _deviance(fit)
    row = {
        "nobs": n,
        "sigma": fit.sigma if fit.family == "gaussian" else 1.0,
        "logLik": fit.loglik,
        "AIC": fit.aic,
        "BIC": np.log(n) * k - 2 * fit.loglik,
        criterion: deviance,
        "df.residual": n - k,
    }
    return pd.DataFrame([row])


def _deviance(fit: Fitted) -> float:
    """Return twice what the saturated model's log-likelihood exceeds that at the fitted values by."""
    counts, trials = counts_of(fit.model, fit.family)
    if fit.family == "poisson":
        mean = fit.fitted()
        return float(2 * np.sum(xlogy(counts, counts / mean) - (counts - mean)))
    mean, misses = trials * fit.fitted(), trials - counts
    return float(2 * np.sum(xlogy(counts, counts / mean) + xlogy(misses, misses / (trials - mean))))
