"""The main job: stimuli → trace → trials → fits → report, each stage a function over tables on disk.

A stage whose file was computed from the same inputs is not computed again, so an interrupted run continues.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro import artifacts
from clada_neuro.alignment import Alignment, align
from clada_neuro.calibration.policies import policy_for
from clada_neuro.instrument.trace import Trace, trace
from clada_neuro.models.loading import LanguageModel, load_model
from clada_neuro.stats.departures import departures, exclude
from clada_neuro.stats.specification import EpochsSpecification
from clada_neuro.stats.stage import estimate_synergy, fit_models
from clada_neuro.targets import Target, resolve_target

Progress = Callable[[str], None]


def run(
    target: str | Path,
    *,
    model: str = "smollm2",
    policy: str = "dense",
    sparsity: float = 0.4,
    calibration: str | Path | None = None,
    out: str | Path | None = None,
    trials: str | Path | None = None,
    epochs: str | Path | None = None,
    window_ms: Mapping[str, tuple[float, float]] | None = None,
    roi: Mapping[str, Sequence[str]] | None = None,
    baseline: str | None = None,
    soa_ms: float | None = None,
    analysis: str | Path | None = None,
    component: str | None = None,
    limit: int | None = None,
    start_token: str = "auto",
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    index_base: int | None = None,
    encoding: str | None = None,
    progress: Progress = lambda line: None,
) -> Path:
    """Run a whole study and return the path of its report.

    Parameters
    ----------
    target : str or Path
        ``"demo"``, the name of a data set, or a stimulus file.
    model : str
        See `clada_neuro.load_model`.
    policy, sparsity, calibration
        What is left uncomputed, and how much: see `clada_neuro.calibration.policies.policy_for`.
    out : path, optional
        Output folder; ``out/<target>`` by default.
    trials, epochs : path, optional
        Responses to a stimulus file: a table of trials, or MNE epochs (a FIF file or a folder of them).
    window_ms, roi, baseline, soa_ms
        How amplitudes are taken from epochs where it differs from the analysis and the presets: component to start
        and end, component to electrodes, ``"covariate"``, ``"subtract"`` or ``"none"``, and ms from word to word.
    analysis : path, optional
        A pre-specified analysis in place of the target's own.
    component : {"n400", "p600"}, optional
        Whose models are fitted; all of them by default.
    limit : int, optional
        Only the first `limit` items.
    start_token : str
        See `clada_neuro.models.start_token.resolve_start_token`.
    seed : int
        Seed of everything random.
    columns, index_base, encoding
        How to read a stimulus file: see `clada_neuro.read_stimuli`.
    progress : callable
        Receives one line a stage.

    Raises
    ------
    CladaNeuroError
        For wrong input; what was finished stays in `out`.
    """
    started = time.perf_counter()
    plan = resolve_target(
        target,
        trials=trials,
        epochs=epochs,
        measured=_measured(window_ms, roi, baseline, soa_ms),
        analysis=analysis,
        component=component,
        limit=limit,
        columns=columns,
        index_base=index_base,
        encoding=encoding,
    )
    folder = artifacts.output_folder(out or Path("out") / plan.name)
    with artifacts.sole_writer(folder):
        progress(f"[1/5] {plan.name}: {len(plan.stimuli)} stimuli")
        artifacts.write_table(plan.stimuli, folder / "stimuli.parquet")
        language_model = load_model(model, start_token=start_token)
        progress(f"[2/5] trace with {model}, {policy}")
        chosen = None if policy == "dense" else policy_for(language_model, policy, sparsity, calibration)
        traced = trace(plan.stimuli, language_model, policy=chosen, out=folder)
        aligned, facts = _responses(plan, traced, seed, progress)
        progress(f"[3/5] {len(aligned.trials)} trials aligned, {len(aligned.unmatched)} without a word")
        aligned, exclusions = _exclude(aligned, plan.analysis.exclusions)
        inputs = _write_trials(aligned, folder)
        progress(f"[4/5] {len(plan.analysis.models)} models")
        departed = _statistics(plan, model, aligned.trials, folder, inputs, seed, progress)
        if plan.epochs:
            from clada_neuro.erp.stage import analyze_epochs

            progress("      averages and regression ERPs")
            analyze_epochs(
                plan.epochs, traced.words, folder, measurement=plan.measurement, seed=seed, inputs=inputs
            )
        manifest = _manifest(plan, traced, language_model, aligned, seed) | facts
        manifest |= {"sparsity": None if chosen is None else sparsity}
        manifest |= {"exclusions": [*plan.exclusions, *exclusions], "departures": departed}
        manifest |= {"seconds": round(time.perf_counter() - started, 1), "peak_memory_mb": _peak_memory_mb()}
        artifacts.write_json(folder / "manifest.json", manifest)
        progress("[5/5] report")
        return _report(folder)


def _measured(
    window_ms: Mapping[str, tuple[float, float]] | None,
    roi: Mapping[str, Sequence[str]] | None,
    baseline: str | None,
    soa_ms: float | None,
) -> EpochsSpecification | None:
    if not (window_ms or roi or baseline or soa_ms):
        return None
    electrodes = {name: tuple(channels) for name, channels in (roi or {}).items()}
    return EpochsSpecification(window_ms or {}, electrodes, baseline, None, soa_ms)


def _responses(
    plan: Target, traced: Trace, seed: int, progress: Progress
) -> tuple[Alignment, dict[str, Any]]:
    """Align the target's trials, measured, given or simulated; with what the manifest should say of them."""
    if plan.trials is not None:
        return align(traced.words, plan.trials), {}
    if plan.epochs is not None:
        return _measure_epochs(plan, traced, progress)
    from clada_neuro.erp.simulate import simulate_trials

    critical = traced.words.loc[traced.words["is_critical"]]
    simulation = simulate_trials(critical, seed=seed)
    facts = {"description": simulation.describe(), "truth": simulation.truth().to_dict("records")}
    return align(traced.words, simulation.trials), {"simulation": facts}


def _components(plan: Target) -> list[str]:
    return sorted({model.response.removesuffix("_uv") for model in plan.analysis.models})


def _measure_epochs(plan: Target, traced: Trace, progress: Progress) -> tuple[Alignment, dict[str, Any]]:
    from clada_neuro.erp.epochs import epochs_to_trials
    from clada_neuro.erp.metadata import add_next
    from clada_neuro.erp.stage import PREDICTORS

    assert plan.epochs is not None
    words = traced.words
    measured = epochs_to_trials(plan.epochs, words, **vars(plan.measurement))
    aligned = align(add_next(words, PREDICTORS) if plan.measurement.soa else words, measured.trials)
    notes = [*measured.notes, *_unused_baselines(plan, aligned.trials)]
    for note in notes:
        progress(f"      {note}")
    facts = {
        "joins": [*measured.joins, *aligned.joins],
        "erp": {"notes": notes},
        "simulated": measured.simulated,
    }
    return aligned, facts


def _unused_baselines(plan: Target, trials: pd.DataFrame) -> list[str]:
    formulas = " ".join(model.formula for model in plan.analysis.models)
    return [
        f"{column} stands in no formula, so these amplitudes are not corrected for the baseline"
        for column in trials.filter(regex="_baseline_uv$")
        if column not in formulas
    ]


def _exclude(aligned: Alignment, conditions: tuple[str, ...]) -> tuple[Alignment, list[dict[str, Any]]]:
    """Leave out the trials that the analysis excludes, one condition after the other, and count them."""
    trials, steps = aligned.trials, []
    for condition in conditions:
        kept, _ = exclude(trials, [condition])
        steps.append(
            {
                "step": "pre-specified exclusion",
                "reason": condition,
                "rows_before": len(trials),
                "rows_removed": len(trials) - len(kept),
                "rows_after": len(kept),
            }
        )
        trials = kept
    return replace(aligned, trials=trials.reset_index(drop=True)), steps


def _write_trials(aligned: Alignment, folder: Path) -> str:
    inputs = artifacts.content_hash(aligned.trials)
    artifacts.write_table(
        aligned.trials, folder / "trials.parquet", {"inputs": inputs, "joins": aligned.joins}
    )
    unmatched = folder / "unmatched.parquet"
    if len(aligned.unmatched):
        artifacts.write_table(aligned.unmatched, unmatched, {"inputs": inputs})
    else:
        unmatched.unlink(missing_ok=True)
    return inputs


def _statistics(
    plan: Target,
    model: str,
    trials: pd.DataFrame,
    folder: Path,
    inputs: str,
    seed: int,
    progress: Progress,
) -> list[str]:
    """Fit what is specified and return in what the run departs from it."""
    entries = fit_models(
        trials, plan.analysis.models, folder / "fits.json", inputs, lambda line: progress(f"      {line}")
    )
    path, found = folder / "synergy.json", None
    if plan.analysis.synergy is None:
        path.unlink(missing_ok=True)
    else:
        found = estimate_synergy(trials, plan.analysis.synergy, path, inputs, seed)
        progress(f"      synergy: ΔR² = {found['r2_synergy']:.6f}, p = {found['test']['p']:.3f}")
    window = (plan.dataset or {}).get("window_ms", {}).get(_components(plan)[0])
    lines = departures(
        plan.specified,
        entries,
        synergy=found,
        window_ms=tuple(window) if window else None,
        exclusions=plan.analysis.exclusions,
        language_models=[model],
        epochs=plan.measured,
    )
    for line in lines:
        progress(f"      departs from the analysis: {line}")
    return lines


def _manifest(
    plan: Target,
    traced: Trace,
    model: LanguageModel,
    aligned: Alignment,
    seed: int,
) -> dict[str, Any]:
    return {
        **traced.manifest,
        "target": plan.name,
        "title": plan.analysis.title,
        "command": " ".join(sys.argv),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": model.describe(),
        "simulated": plan.simulated,
        "component": _components(plan),
        "dataset": plan.dataset,
        "joins": aligned.joins,
        "seed": seed,
        "versions": artifacts.versions(),
    }


def _report(folder: Path) -> Path:
    from clada_neuro.reporting.build import report

    return report(folder)


def _peak_memory_mb() -> float | None:
    """Return the process's peak resident memory in MB, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
