"""Does an effect hold over stimuli? The complement of a test over subjects, which treats items as fixed.

Amplitudes are centered within subject and averaged over subjects for each stimulus; the stimuli's means are
regressed on the predictors, with standard errors clustered by item (Clark 1973 on why both tests are needed).
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from statsmodels.regression.linear_model import OLS

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
    stimuli, columns = data.stimuli(), {name: f"z_{name}" for name in data.predictors}
    tables = []
    for place in places:
        before = place.replace("_uv", "_baseline_uv")
        covariates = [before] if before in trials else []
        tables.append(over_stimuli(trials, stimuli, place, columns, covariates, data.predictors))
    if result is not None:
        for row in result.clusters[result.clusters["p"] < 0.05].itertuples():
            name = f"{row.predictor} cluster {row.cluster}"
            amplitude = _cluster_means(data, result, row.predictor, row.cluster)
            amplitude = amplitude.rename(columns={"y": name})
            tables.append(over_stimuli(amplitude, stimuli, name, columns, [], [row.predictor], SELECTED))
    return pd.concat(tables, ignore_index=True).rename(columns={"b": "b_uv_per_sd"})


def over_stimuli(
    trials: pd.DataFrame,
    stimuli: pd.DataFrame,
    place: str,
    predictors: Mapping[str, str],
    covariates: Sequence[str],
    reported: Sequence[str],
    note: str = "",
) -> pd.DataFrame:
    """Regress one amplitude's means over subjects, a stimulus a row, on predictors of stimuli.

    Parameters
    ----------
    trials
        ``subject``, ``stimulus``, the amplitude ``place`` and the covariates, which are centered within subjects first.
    stimuli
        Each stimulus once: ``stimulus``, ``item`` and the predictors' columns.
    place
        Column of ``trials``; also what the result calls it.
    predictors
        Name and column of ``stimuli`` of each.
    covariates
        Columns of ``trials``.
    reported
        Predictors whose coefficients are returned.
    note
        What a reader of these rows must know.

    Returns
    -------
    pandas.DataFrame
        where, predictor, b (units of the amplitude per unit of the predictor), se, df, t, p, ci_low, ci_high, n_stimuli, n_items, note.

    Raises
    ------
    DataError
        With too few stimuli or items, and predictors that do not vary apart from each other over stimuli.
    """
    numbers = [place, *covariates]
    centered = trials[numbers] - trials.groupby("subject")[numbers].transform("mean")
    means = centered.assign(stimulus=trials["stimulus"]).groupby("stimulus").mean()
    table = means.join(stimuli.set_index("stimulus"))
    if len(table) < len(predictors) + len(covariates) + 3:
        raise DataError(
            f"{len(table)} stimuli are too few to regress on {len(predictors)} predictors; leave some out"
        )
    groups = table["item"].astype("category").cat.codes
    if groups.nunique() < 2:
        raise DataError("all stimuli belong to one item; a test over items needs two or more")
    columns = table[[*predictors.values(), *covariates]].to_numpy(float)
    design = np.column_stack([np.ones(len(table)), columns])
    if (
        np.linalg.matrix_rank(design / np.linalg.norm(design, axis=0).clip(np.finfo(float).tiny))
        < design.shape[1]
    ):
        raise DataError(
            f"{', '.join(predictors)} do not vary apart from each other over {len(table)} stimuli"
        )
    fit = OLS(table[place].to_numpy(float), design).fit(
        cov_type="cluster", cov_kwds={"groups": groups.to_numpy()}, use_t=True
    )
    at = [1 + list(predictors).index(name) for name in reported]
    interval = fit.conf_int()[at]
    n_items = int(groups.nunique())
    return pd.DataFrame(
        {
            "where": place, "predictor": list(reported), "b": fit.params[at], "se": fit.bse[at], "df": n_items - 1,
            "t": fit.tvalues[at], "p": fit.pvalues[at], "ci_low": interval[:, 0], "ci_high": interval[:, 1],
            "n_stimuli": len(table), "n_items": n_items, "note": note,
        }
    )  # fmt: skip


def _cluster_means(data: PredictedEpochs, result: Rerp, predictor: str, cluster: int) -> pd.DataFrame:
    mask = result.masks[predictor][cluster]
    frames, layout = [], data.layout
    for subject, epochs in data.epochs.items():
        _, binned = bins(layout.of(f"subject '{subject}'", epochs), result.tmin)
        y = MICROVOLTS * binned[:, mask].mean(axis=1)
        frames.append(epochs.metadata[["subject", "stimulus"]].assign(y=np.asarray(y)))
    return pd.concat(frames, ignore_index=True)
