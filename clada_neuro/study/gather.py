"""The responses of a study beside the words of its trace: trials as given, measured in epochs, or simulated."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.instrument.trace import Trace
from clada_neuro.responses.alignment import Alignment, align
from clada_neuro.responses.unmatched import warn_of_loss
from clada_neuro.stimuli.keys import as_key, respelled
from clada_neuro.study.how import Progress
from clada_neuro.study.recordings import counted_from
from clada_neuro.study.target import Target


def gather(
    plan: Target, traced: Trace, seed: int, progress: Progress, first: Path | None
) -> tuple[Alignment, dict[str, Any]]:
    """Align the target's trials, measured, given or simulated; with what the manifest should say of them."""
    if plan.trials is not None:
        return align(traced.words, plan.trials, index_base=plan.index_base, max_lost=plan.max_lost), {}
    if plan.epochs is not None:
        return _measure_epochs(plan, traced, progress)
    from clada_neuro.erp.simulate import simulate_trials

    words = Trace.read(first).words if first else traced.words
    critical = words.loc[words["is_critical"]]
    simulation = simulate_trials(critical, seed=seed)
    facts = {"description": simulation.describe(), "truth": simulation.truth().to_dict("records")}
    return align(traced.words, simulation.trials), {"simulation": facts}


def _measure_epochs(plan: Target, traced: Trace, progress: Progress) -> tuple[Alignment, dict[str, Any]]:
    from clada_neuro.erp.epochs import epochs_to_trials
    from clada_neuro.erp.metadata import add_next
    from clada_neuro.measures.tokens import MAIN

    assert plan.epochs is not None
    words, base = traced.words, plan.index_base
    measured = epochs_to_trials(plan.epochs, counted_from(words, base), **vars(plan.measurement))
    why = next((one["reason"] for one in plan.exclusions if one["step"] == "limit, stimuli"), "")
    *joins, lost = measured.joins_setting_aside(_not_asked_for(plan, measured.unmatched), why)
    warnings = warn_of_loss(
        "epochs", lost["rows_before"], lost["rows_removed"], lost["reason"], plan.max_lost
    )
    for one in joins[1:]:
        progress(f"      {one['rows_removed']:,} of {one['rows_before']:,} epochs left out: {one['reason']}")
    known = [name for name in MAIN if name in words]
    aligned = align(
        add_next(words, known) if plan.measurement.soa else words, measured.trials, index_base=base
    )
    aligned = replace(aligned, notes=(*warnings, *aligned.notes))
    notes = [*measured.notes, *_unused_baselines(plan, aligned.trials)]
    for note in notes:
        progress(f"      {note}")
    facts = {
        "joins": [*joins, lost, *aligned.joins],
        "erp": {"notes": notes},
        "simulated": measured.simulated,
    }
    return aligned, facts


def _not_asked_for(plan: Target, lost: pd.DataFrame) -> pd.Series:
    """Return which epochs without a word are of stimuli that were not asked for."""
    none = pd.Series(False, index=lost.index)
    if plan.beyond is None:
        return none
    shared = [name for name in ("stimulus_id", "item", "sentence") if name in lost and name in plan.beyond]
    if not shared:
        return none
    known = set(as_key(plan.beyond[shared[0]]))
    given = as_key(lost[shared[0]])
    return given.replace(respelled(given, known)).isin(known)


def _unused_baselines(plan: Target, trials: pd.DataFrame) -> list[str]:
    formulas = " ".join(model.formula for model in plan.analysis.models)
    return [
        f"{column} stands in no formula, so these amplitudes are not corrected for the baseline"
        for column in trials.filter(regex="_baseline_uv$")
        if column not in formulas
    ]
