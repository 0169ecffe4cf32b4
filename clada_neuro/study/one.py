"""One language model taken from the stimuli to every table that the report is made from, stage by stage."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clada_neuro import artifacts
from clada_neuro.exports import csv_beside
from clada_neuro.instrument.trace import Trace
from clada_neuro.records.manifest import Manifest
from clada_neuro.responses.stage import AlignStage
from clada_neuro.scale.spread import trace_by
from clada_neuro.stats.exclusions import exclude, keep
from clada_neuro.study.depth import depth_study
from clada_neuro.study.estimate import estimate
from clada_neuro.study.gather import gather
from clada_neuro.study.how import How, Progress
from clada_neuro.study.maps import map_study
from clada_neuro.study.record import calibration_of, manifest_of, peak_memory_mb
from clada_neuro.study.recordings import DescriptionStage, counted_from, take_apart
from clada_neuro.study.target import Target
from clada_neuro.study.unmeasured import with_pseudo_surprisal, without_activity


def study_one(plan: Target, model: str, folder: Path, how: How, first: Path | None = None) -> None:
    """Take one language model all the way to the tables that the report is made from.

    `first` is the study of another model, from whose trace responses are simulated where there are no others.
    """
    started, progress, setting = time.perf_counter(), how.progress, replace(how.setting, model=model)
    progress(f"[1/5] {plan.name}: {len(plan.stimuli)} stimuli")
    artifacts.write_table(plan.stimuli, folder / "stimuli.parquet")
    progress(f"[2/5] trace with {model}, {setting.policy}")
    traced = trace_by(setting, plan.stimuli, folder, how.scheduler)
    tell([*traced.remarks(plan.stimuli), csv_beside(folder / "words.parquet")], progress)
    plan, unmeasured = without_activity(
        plan, traced.manifest.get("activity", ""), how.decided["kind"] == "file"
    )
    masked, stated = "scoring" in traced.manifest["model"], how.decided["kind"] in ("file", "formula")
    plan, replaced = with_pseudo_surprisal(plan, masked, stated)
    unmeasured += replaced
    aligned, facts = gather(plan, traced, how.seed, progress, first)
    progress(f"[3/5] {len(aligned.trials)} trials aligned, {len(aligned.unmatched)} without a word")
    for note in aligned.notes:
        progress(f"      {note}")
    kept, exclusions = exclude(aligned.trials, plan.analysis.exclusions)
    kept, chosen = keep(kept, plan.where)
    exclusions += chosen
    for step in exclusions:
        progress(
            f"      {step['rows_removed']:,} of {step['rows_before']:,} trials left out: {step['reason']}"
        )
    aligned = replace(aligned, trials=kept.reset_index(drop=True), trace=traced.manifest["inputs"])
    inputs = AlignStage(aligned).into(folder)
    plan, left_out = plan.suited_to(aligned.trials)
    count = len(plan.analysis.models)
    progress(f"[4/5] {count} model{'s' * (count != 1)}")
    left_out = unmeasured + left_out
    left_out += [
        f"exclusion '{step['reason']}' removed no trial" for step in exclusions if not step["rows_removed"]
    ]
    departed = estimate(plan, aligned.trials, folder, inputs, how, left_out)
    _analyze_epochs(plan, traced, folder, inputs, how)
    words = counted_from(traced.words, plan.index_base)
    take_apart(plan.continuous, words, folder, how.seed, how.jobs, progress)
    map_study(plan, words, folder, how)
    manifest = manifest_of(plan, traced, aligned, how.seed) | facts
    manifest |= {"sparsity": None if setting.policy == "dense" else setting.sparsity}
    manifest |= {"calibration": calibration_of(manifest["model"]["weights_hash"], setting)}
    manifest |= {"exclusions": [*plan.exclusions, *exclusions], "departures": departed}
    manifest |= {"seconds": round(time.perf_counter() - started, 1), "peak_memory_mb": peak_memory_mb()}
    Manifest.write(folder / "manifest.json", manifest)
    if how.depth:
        depth_study(folder, how)


def _analyze_epochs(plan: Target, traced: Trace, folder: Path, inputs: str, how: How) -> None:
    if plan.epochs is None:
        (folder / "erp" / "erp.json").unlink(
            missing_ok=True
        )  # of another run: without it the report shows none
        return
    from clada_neuro.erp.stage import EpochsStage  # loads MNE

    how.progress("      averages and regression ERPs")
    words = counted_from(traced.words, plan.index_base)
    for note in EpochsStage(plan.epochs, words, inputs, plan.measurement, how.seed).into(folder):
        how.progress(f"      {note}")
    DescriptionStage(plan.epochs, plan.measurement, plan.continuous).into(folder)


def tell(notes: Sequence[str], progress: Progress) -> None:
    """Print notes, each as a line of its own."""
    for note in filter(None, notes):
        progress(f"      note: {note}")
