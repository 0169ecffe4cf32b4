"""The statistics of a study: fits, the interaction, and in what they depart from what was specified."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.numerals import fixed, p_text
from clada_neuro.stats.departures import departures
from clada_neuro.stats.names import check_synergy
from clada_neuro.stats.secondary import attempt
from clada_neuro.stats.specification import Analysis, SynergySpecification
from clada_neuro.stats.stage import (
    REPLICATES,
    default_replicates,
    synergy_formula,
)
from clada_neuro.stats.stages import FitStage, SynergyStage
from clada_neuro.study.how import How
from clada_neuro.study.target import Target

# Replicates of a full run: of the interaction, parametric and over subjects and items, and of each regression's R².
FULL, CLUSTER, R2 = 1000, 200, 200


def estimate(
    plan: Target, trials: pd.DataFrame, folder: Path, inputs: str, how: How, left_out: list[str]
) -> list[str]:
    """Fit what is specified and return in what the run departs from it, first what was left out before."""
    if plan.analysis.synergy is not None:
        check_synergy(trials, synergy_formula(plan.analysis.synergy))
    entries = FitStage(
        trials, inputs, plan.analysis.models, influence=how.influence, optimizers=how.full, replicates=R2 if how.full else 0,
        seed=how.seed, jobs=how.jobs, progress=lambda line: how.progress(f"      {line}"),
    ).into(folder)  # fmt: skip
    found = _synergy(plan.analysis.synergy, trials, folder, inputs, how, left_out)
    # Conditions given with formulas are as much of what was asked for as the formulas are.
    chosen = () if how.decided["kind"] == "formula" else plan.where
    window = (plan.dataset or {}).get("window_ms", {}).get(plan.components[0])
    lines = left_out + departures(
        _specified(plan, how),
        entries,
        synergy=found,
        window_ms=tuple(window) if window else None,
        exclusions=[*plan.analysis.exclusions, *(f"not ({condition})" for condition in chosen)],
        language_models=how.models,
        language=how.setting.language,
        epochs=plan.measured,
    )
    against = "built-in default" if how.decided["kind"] == "default" else "analysis"
    for line in lines:
        how.progress(f"      departs from the {against}: {line}")
    return lines


def _synergy(
    wanted: SynergySpecification | None,
    trials: pd.DataFrame,
    folder: Path,
    inputs: str,
    how: How,
    left_out: list[str],
) -> dict[str, Any] | None:
    """Estimate the interaction; where the trials do not allow it, say so in `left_out`: the main fits stand."""
    found = None
    if wanted is not None:
        stage = SynergyStage(
            trials, inputs, wanted, _replicates(wanted, len(trials), how), CLUSTER if how.full else 0, how.seed, how.jobs
        )  # fmt: skip
        found = attempt("synergy", lambda: stage.into(folder), left_out)
    if found is None:
        SynergyStage.clear(folder)
        return None
    how.progress(f"      synergy: ΔR² = {fixed(found['r2_synergy'], 5)}, {_tested(found)}")
    for note in dict.fromkeys([*found["warnings"], *found["test"]["warnings"]]):
        how.progress(f"      synergy: {note}")
    return found


def _replicates(wanted: SynergySpecification, n_trials: int, how: How) -> int:
    if how.full:
        return max(wanted.bootstrap or 0, FULL)
    if wanted.bootstrap is not None:
        return wanted.bootstrap
    if (number := default_replicates(n_trials)) < REPLICATES:
        how.progress(
            f"      synergy: {number} bootstrap replicates for {n_trials} trials, not {REPLICATES}; --full or "
            "bootstrap = N under [synergy] draws more"
        )
    return number


def _tested(found: Mapping[str, Any]) -> str:
    """Return the p to go by: calibrated under the null where replicates were drawn."""
    calibrated = (found["intervals"] or {}).get("null_p")
    if calibrated is None:
        return f"{p_text(found['test']['p'])} (likelihood ratio, liberal with few stimuli)"
    return f"{p_text(calibrated)} (calibrated under the null)"


def _specified(plan: Target, how: How) -> Analysis:
    """Return what the run is compared with; of the built-in default, only the models of the responses there are."""
    if how.decided["kind"] != "default":
        return plan.specified
    specified, responses = plan.specified, {model.response for model in plan.analysis.models}
    models = tuple(model for model in specified.models if model.response in responses)
    return replace(specified, models=models, synergy=specified.synergy if plan.analysis.synergy else None)
