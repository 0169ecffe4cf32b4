"""A response's profile over layers: each layer's estimate, its gain on items held out, and one family of tests over all."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.artifacts import content_hash
from clada_neuro.parts import Jobs
from clada_neuro.stats.crossval import item_folds
from clada_neuro.stats.layers.family import Null, adjusted, critical
from clada_neuro.stats.layers.folds import Folds, leave_out
from clada_neuro.stats.layers.likelihood import Fit, fit, fit_each, start_from
from clada_neuro.stats.layers.models import FINAL, Given, PreparedColumns, prepare
from clada_neuro.stats.layers.products import products
from clada_neuro.stats.layers.settings import LayerSettings
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.resample import replicate

ANY = "any"  # measure: the best of all
ITSELF = 1e-4  # of a standard deviation: within it, a layer's measure is the replaced predictor


def profile_of(
    trials: pd.DataFrame,
    word_layers: pd.DataFrame,
    given: Given,
    settings: LayerSettings,
    *,
    jobs: Jobs = 1,
    folder: str | Path | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Fit a model of a run with each layer's measures in place of a predictor, and test all of them together.

    Parameters
    ----------
    trials, word_layers
        See `models.prepare`.
    jobs : int or Place
        Processes of this machine, or another place (`clada_neuro.parts`); no value depends on it.
    folder : path, optional
        Where finished draws are kept, so that a later call resumes.
    progress : callable
        Receives one line a step.

    Returns
    -------
    dict
        What was fitted, with tables as lists of rows: ``profile``, a row a measure and layer (``estimate`` a standard deviation
        of the measure by REML, simultaneous ``ci_low`` and ``ci_high``, ``p_family``, gains in log-likelihood a trial, in nats);
        ``final``, the replaced predictor's own row; ``choice``, the gain of the layer that is best in the other folds, a row a
        measure and one for all; ``folds``, what was chosen in each.

    Raises
    ------
    FitError
        See `models.prepare`; and where a model cannot be fitted.
    """
    ready = prepare(trials, word_layers, given, settings)
    design = ready.baseline.design
    progress(f"{given.name}: {len(ready.columns) - 1} models of {len(design.y):,} trials")
    made = products(design, ready.candidates)
    engine = estimate(ready.baseline, reml=True)
    near = start_from([value / engine.sigma**2 for value in engine.estimate.covariances], made)
    null, baseline = fit(made, None, near, True), fit(made, None, near, False)
    columns = np.arange(len(ready.columns))
    models = [fit_each(made, columns, one.theta, reml) for one, reml in ((null, True), (baseline, False))]
    fits = list(zip(*models, strict=True))
    progress(f"{given.name}: {settings.folds} folds of {settings.fold}s")
    rows = ready.baseline.data
    items, names, fold_of = item_folds(rows, settings.fold, settings.folds, settings.seed)
    names_of = dict(enumerate(map(str, names)))
    folds = leave_out(design, ready.candidates, items, fold_of, baseline.theta, names_of, jobs)
    progress(f"{given.name}: {settings.replicates} responses without an effect")
    itself = _itself(ready)
    folds.held[:, 1 + itself] = folds.held[:, -1:]  # not its own gain by the optimizer's last digits
    drawn = replicate(
        Null.of(made, null, columns[:-1], settings.seed),
        settings.replicates,
        name=f"depth_null_{content_hash(given.name)}",
        inputs=content_hash(design, ready.candidates, settings.seed),
        jobs=jobs,
        folder=folder,
        progress=True,
    )["t"].to_numpy()
    known = drawn[np.isfinite(drawn)]
    limit = critical(known, settings.confidence)
    final, profile = _rows(ready, settings, fits, baseline, folds, known, limit, itself)
    choice, chosen = _choices(ready, folds, itself)
    return {
        "name": given.name,
        "response": ready.baseline.formula.response,
        "formula": given.formula,
        "baseline": ready.baseline.formula.text,
        "replaces": settings.replaces,
        "n_obs": len(design.y),
        "n_groups": {block.group: len(block.levels) for block in design.blocks},
        "n_words": ready.n_words,
        "n_stimuli": int(rows["stimulus"].nunique()) if "stimulus" in rows else None,
        "n_family": len(columns) - 1,
        "singular": engine.singular,
        "critical_t": limit,
        "confidence": settings.confidence,
        "replicates": len(drawn),
        "n_failed": len(drawn) - len(known),
        "folds": settings.folds,
        "fold": settings.fold,
        "n_items": len(names),
        "seed": settings.seed,
        "notes": [*ready.notes, *_same(ready, itself, settings.replaces), *engine.warnings],
        "final": final,
        "profile": profile,
        "choice": choice,
        "chosen": chosen,
    }


def _itself(ready: PreparedColumns) -> np.ndarray:
    """Return the columns that hold the replaced predictor's own values: by definition they have no gain over it."""
    values = ready.candidates.values
    return np.flatnonzero(np.abs(values[:, :-1] - values[:, -1:]).max(axis=0) < ITSELF)


def _same(ready: PreparedColumns, itself: np.ndarray, replaced: str) -> list[str]:
    return [
        f"{measure} of layer {layer} is {replaced} itself, and so has no gain over it"
        for measure, layer in (ready.columns[column] for column in itself)
    ]


def _rows(
    ready: PreparedColumns,
    settings: LayerSettings,
    fits: list[tuple[Fit, Fit]],
    baseline: Fit,
    folds: Folds,
    drawn: np.ndarray,
    limit: float,
    itself: np.ndarray,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the row of the replaced predictor, and one a measure and layer."""
    directions = settings.directions.get(ready.baseline.formula.response, {})
    t = np.array([reml.b / reml.se for reml, _ in fits])
    p = adjusted(t, drawn)
    last = ready.candidates.values[ready.candidates.codes, -1]
    rows = []
    for column, ((measure, layer), (reml, ml)) in enumerate(zip(ready.columns, fits, strict=True)):
        over_baseline = folds.gain(folds.held[:, 1 + column], folds.held[:, 0])
        over_final = (
            (None, None) if column in itself else folds.gain(folds.held[:, 1 + column], folds.held[:, -1])
        )
        mean, sd = ready.scales[:, column]
        values = ready.candidates.values[ready.candidates.codes, column]
        family = (measure, layer) != FINAL
        row = {
            "measure": measure if family else settings.replaces,
            "layer": layer if family else None,
            "mean": mean,
            "sd": sd,
            "r_final": float(np.corrcoef(values, last)[0, 1]),
            "estimate": reml.b,
            "se": reml.se,
            "t": t[column],
            "loglik": ml.loglik,
            "delta_loglik_per_trial": (ml.loglik - baseline.loglik) / folds.n_rows,
            "heldout_baseline": over_baseline[0],
            "heldout_baseline_se": over_baseline[1],
            "converged": reml.converged and ml.converged,
        }
        if family:
            expected = directions.get(measure, "")
            row |= {
                "ci_low": reml.b - limit * reml.se,
                "ci_high": reml.b + limit * reml.se,
                "p_family": p[column],
                "heldout_final": over_final[0],
                "heldout_final_se": over_final[1],
                "expected": expected,
                "as_expected": (reml.b > 0) == (expected == "positive") if expected else None,
            }
        rows.append(row)
    return rows[-1], rows[:-1]


def _choices(
    ready: PreparedColumns, folds: Folds, itself: np.ndarray
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the gains of the best layer of each measure, and of all, chosen without the items it is scored on."""
    measures = dict.fromkeys(measure for measure, layer in ready.columns if (measure, layer) != FINAL)
    choice, chosen = [], []
    for name in [*measures, ANY]:
        models = [
            1 + column
            for column, (measure, layer) in enumerate(ready.columns)
            if (measure, layer) != FINAL and name in (measure, ANY)
        ]
        best, scores = folds.best(models)
        over_baseline = folds.gain(scores, folds.held[:, 0])
        alike = np.isin(best - 1, itself).all()
        over_final = (None, None) if alike else folds.gain(scores, folds.held[:, -1])
        picked = [ready.columns[model - 1] for model in best]
        counts = Counter(layer if name != ANY else f"{measure} {layer}" for measure, layer in picked)
        choice.append(
            {
                "measure": name,
                "heldout_baseline": over_baseline[0],
                "heldout_baseline_se": over_baseline[1],
                "heldout_final": over_final[0],
                "heldout_final_se": over_final[1],
                "layers": ", ".join(f"{layer} (×{count})" for layer, count in counts.most_common()),
            }
        )
        chosen += [
            {"measure": name, "fold": fold, "chosen_measure": measure, "layer": layer}
            for fold, (measure, layer) in enumerate(picked)
        ]
    return choice, chosen
