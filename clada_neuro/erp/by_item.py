"""Does an effect hold over stimuli? The complement of a test over subjects, which treats items as fixed.

Amplitudes are centered within subject and averaged over subjects for each stimulus; the stimuli's means are
regressed on the predictors, with standard errors clustered by item (Clark 1973 on why both tests are needed).
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

from clada_neuro.erp.clusters import bins
from clada_neuro.erp.components import Component
from clada_neuro.erp.epochs import MICROVOLTS, epochs_to_trials
from clada_neuro.erp.measurement import Baseline
from clada_neuro.erp.predictors import PredictedEpochs
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.rerp import Rerp
from clada_neuro.errors import DataError

SELECTED = "cluster chosen on the same data: optimistic, a check of direction and size only"


@quiet
def by_item(
    data: PredictedEpochs,
    components: Iterable[str | Component] = ("n400", "p600"),
    result: Rerp | None = None,
    baseline: Baseline = "covariate",
    baseline_window: tuple[float | None, float] = (None, 0.0),
) -> pd.DataFrame:
    """Regress stimulus means on the predictors, in components' windows and in significant clusters.

    Parameters
    ----------
    data
        Epochs with predictors.
    components
        Where to measure, fixed in advance.
    result
        With it, also the mean over each cluster with p < .05.
    baseline, baseline_window
        Of the amplitudes, as in `epochs.epochs_to_trials`.

    Returns
    -------
    pandas.DataFrame
        where, predictor, b_uv_per_sd, se, df, t, p, ci_low, ci_high, n_stimuli, n_items, note.
    """
    if not data.predictors:
        raise DataError("no predictor arrived; give one or more that vary over the words")
    chosen = list(components)
    trials = epochs_to_trials(
        data.epochs, components=chosen, baseline=baseline, baseline_window=baseline_window
    ).trials
    places = [name for name in trials if name.endswith("_uv") and not name.endswith("_baseline_uv")]
    tables = []
    for place in places:
        before = place.replace("_uv", "_baseline_uv")
        covariates = [before] if before in trials else []
        tables.append(_regress(data, trials, place, covariates, list(data.predictors), ""))
    if result is not None:
        for row in result.clusters[result.clusters["p"] < 0.05].itertuples():
            name = f"{row.predictor} cluster {row.cluster}"
            amplitude = _cluster_means(data, result, row.predictor, row.cluster)
            table = _regress(data, amplitude.rename(columns={"y": name}), name, [], [row.predictor], SELECTED)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _regress(
    data: PredictedEpochs,
    trials: pd.DataFrame,
    place: str,
    covariates: list[str],
    reported: list[str],
    note: str,
) -> pd.DataFrame:
    numbers = [place, *covariates]
    centered = trials[numbers] - trials.groupby("subject")[numbers].transform("mean")
    means = centered.assign(stimulus=trials["stimulus"]).groupby("stimulus").mean()
    means.columns = ["y", *covariates]
    table = means.join(data.stimuli().set_index("stimulus"))
    terms = [f"z_{name}" for name in data.predictors]
    if len(table) < len(terms) + len(covariates) + 3:
        raise DataError(
            f"{len(table)} stimuli are too few to regress on {len(terms)} predictors; leave some out"
        )
    groups = table["item"].astype("category").cat.codes
    if groups.nunique() < 2:
        raise DataError("all stimuli belong to one item; a test over items needs two or more")
    formula = " + ".join(["y ~ 1", *terms, *covariates])
    fit = smf.ols(formula, table).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    interval = fit.conf_int()
    n_items = int(groups.nunique())
    rows = [
        {
            "where": place,
            "predictor": name,
            "b_uv_per_sd": fit.params[f"z_{name}"],
            "se": fit.bse[f"z_{name}"],
            "df": n_items - 1,
            "t": fit.tvalues[f"z_{name}"],
            "p": fit.pvalues[f"z_{name}"],
            "ci_low": interval.at[f"z_{name}", 0],
            "ci_high": interval.at[f"z_{name}", 1],
            "n_stimuli": len(table),
            "n_items": n_items,
            "note": note,
        }
        for name in reported
    ]
    return pd.DataFrame(rows)


def _cluster_means(data: PredictedEpochs, result: Rerp, predictor: str, cluster: int) -> pd.DataFrame:
    mask = result.masks[predictor][cluster]
    frames, layout = [], data.layout
    for subject, epochs in data.epochs.items():
        _, binned = bins(layout.of(f"subject '{subject}'", epochs), result.tmin)
        y = MICROVOLTS * binned[:, mask].mean(axis=1)
        frames.append(epochs.metadata[["subject", "stimulus"]].assign(y=np.asarray(y)))
    return pd.concat(frames, ignore_index=True)
