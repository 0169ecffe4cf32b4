"""The main job: stimuli → trace → trials → fits → report, each stage a function over tables on disk.

A stage whose file was computed from the same inputs is not computed again, so an interrupted run continues.
"""

import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro import artifacts
from clada_neuro.alignment import Alignment, align
from clada_neuro.errors import DataError
from clada_neuro.instrument.trace import Trace, trace
from clada_neuro.models.loading import LanguageModel, load_model
from clada_neuro.stats.mixed import fit
from clada_neuro.stats.specification import ModelSpecification, SynergySpecification
from clada_neuro.stats.synergy import synergy
from clada_neuro.targets import Target, resolve_target

Progress = Callable[[str], None]


def run(
    target: str | Path,
    *,
    model: str = "smollm2",
    out: str | Path | None = None,
    trials: str | Path | None = None,
    analysis: str | Path | None = None,
    component: str | None = None,
    limit: int | None = None,
    start_token: str = "auto",
    seed: int = 0,
    progress: Progress = lambda line: None,
) -> Path:
    """Run a whole study and return the path of its report.

    Parameters
    ----------
    target : str or Path
        ``"demo"``, the name of a data set, or a stimulus file.
    model : str
        See `clada_neuro.load_model`.
    out : path, optional
        Output folder; ``out/<target>`` by default.
    trials : path, optional
        Trials of a stimulus file.
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
    progress : callable
        Receives one line a stage.

    Raises
    ------
    CladaNeuroError
        For wrong input; what was finished stays in `out`.
    """
    started = time.perf_counter()
    plan = resolve_target(target, trials=trials, analysis=analysis, component=component, limit=limit)
    folder = artifacts.output_folder(out or Path("out") / plan.name)
    with artifacts.sole_writer(folder):
        progress(f"[1/5] {plan.name}: {len(plan.stimuli)} stimuli")
        artifacts.write_table(plan.stimuli, folder / "stimuli.parquet")
        language_model = load_model(model, start_token=start_token)
        progress(f"[2/5] trace with {model}")
        traced = trace(plan.stimuli, language_model, out=folder)
        aligned, simulation = _responses(plan, traced, seed)
        progress(f"[3/5] {len(aligned.trials)} trials aligned, {len(aligned.unmatched)} without a word")
        inputs = _write_trials(aligned, folder)
        progress(f"[4/5] {len(plan.analysis.models)} models")
        fit_all(aligned.trials, plan.analysis.models, folder / "fits.json", inputs, progress)
        if plan.analysis.synergy:
            progress("      synergy")
            _synergy(aligned.trials, plan.analysis.synergy, folder / "synergy.json", inputs, seed)
        manifest = _manifest(plan, traced, language_model, aligned, seed, simulation)
        manifest |= {"seconds": round(time.perf_counter() - started, 1), "peak_memory_mb": _peak_memory_mb()}
        artifacts.write_json(folder / "manifest.json", manifest)
        progress("[5/5] report")
        return _report(folder)


def _responses(plan: Target, traced: Trace, seed: int) -> tuple[Alignment, dict[str, Any] | None]:
    """Align the target's trials, or simulate them from the trace with stated effects."""
    if plan.trials is not None:
        return align(traced.words, plan.trials), None
    from clada_neuro.erp.simulate import simulate_trials

    critical = traced.words.loc[traced.words["is_critical"]]
    simulation = simulate_trials(critical, seed=seed)
    facts = {"description": simulation.describe(), "truth": simulation.truth().to_dict("records")}
    return align(traced.words, simulation.trials), facts


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


def fit_all(
    trials: pd.DataFrame,
    models: tuple[ModelSpecification, ...],
    path: Path,
    inputs: str,
    progress: Progress = lambda line: None,
) -> list[dict[str, Any]]:
    """Fit each model and write `path` after each one; models already fitted to the same rows are kept.

    Parameters
    ----------
    inputs : str
        Hash of `trials`: an entry fitted to other trials is fitted again.
    """
    finished = {entry["inputs"]: entry for entry in _finished(path)}
    entries = []
    for specification in models:
        key = artifacts.content_hash(inputs, vars(specification))
        entry = finished.get(key) or {**_fit(trials, specification), "inputs": key}
        entries.append(entry)
        artifacts.write_json(path, entries)
        progress(f"      {specification.name}: {_headline(entry)}")
    return entries


def _finished(path: Path) -> list[dict[str, Any]]:
    try:
        return [entry for entry in artifacts.read_json(path) if "inputs" in entry]
    except DataError:
        return []


def _fit(trials: pd.DataFrame, specification: ModelSpecification) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they stand in the entry
        fitted = fit(
            trials,
            specification.formula,
            reml=specification.reml,
            name=specification.name,
            standardize=specification.standardize,
        )
    directions = dict(specification.directions or {})
    return {
        **fitted.to_dict(),
        "directions": directions,
        "focal": list(directions),
        "note": specification.note,
    }


def _headline(entry: dict[str, Any]) -> str:
    focal = entry["focal"] or [term for term in entry["coefficients"] if term != "(Intercept)"][:1]
    parts = [
        f"{term} b = {entry['coefficients'][term]['estimate']:.4f} µV, t = {entry['coefficients'][term]['t']:.3f}"
        for term in focal
        if term in entry["coefficients"]
    ]
    return "; ".join(parts) or "fitted"


def _synergy(
    trials: pd.DataFrame, specification: SynergySpecification, path: Path, inputs: str, seed: int
) -> None:
    key = artifacts.content_hash(inputs, vars(specification), seed)
    if path.is_file() and artifacts.read_json(path).get("inputs") == key:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = synergy(
            trials,
            specification.response,
            specification.predictors,
            controls=specification.controls,
            random=specification.random,
        )
    artifacts.write_json(path, {**result.to_dict(), "inputs": key})


def _manifest(
    plan: Target,
    traced: Trace,
    model: LanguageModel,
    aligned: Alignment,
    seed: int,
    simulation: dict[str, Any] | None,
) -> dict[str, Any]:
    return {
        **traced.manifest,
        "target": plan.name,
        "title": plan.analysis.title,
        "command": " ".join(sys.argv),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": model.describe(),
        "simulated": plan.simulated,
        "simulation": simulation,
        "component": sorted({entry.response.removesuffix("_uv") for entry in plan.analysis.models}),
        "dataset": plan.dataset,
        "exclusions": plan.exclusions,
        "joins": aligned.joins,
        "seed": seed,
        "versions": artifacts.versions(),
    }


def _report(folder: Path) -> Path:
    from clada_neuro.report.build import report

    return report(folder)


def _peak_memory_mb() -> float | None:
    """Return the process's peak resident memory in MB, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
