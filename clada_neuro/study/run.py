"""The main job: stimuli → trace → trials → fits → report, each stage a function over tables on disk.

A stage whose file was computed from the same inputs is not computed again, so an interrupted run continues. Several
language models are several studies of the same responses (see `clada_neuro.study.several`).
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro import artifacts
from clada_neuro.calibration.artifact import shipped_calibration
from clada_neuro.calibration.policies import UNCALIBRATED
from clada_neuro.instrument.covariates import check_language
from clada_neuro.instrument.trace import Trace
from clada_neuro.lineage import write_trials
from clada_neuro.models.loading import EMBEDDED
from clada_neuro.responses.alignment import Alignment, align
from clada_neuro.responses.unmatched import MAX_LOST, warn_of_loss
from clada_neuro.scale.setting import Setting
from clada_neuro.scale.trace import trace_by
from clada_neuro.stats.departures import departures
from clada_neuro.stats.exclusions import exclude
from clada_neuro.stats.names import check_synergy
from clada_neuro.stats.output import p_text
from clada_neuro.stats.secondary import attempt
from clada_neuro.stats.specification import Analysis, EpochsSpecification, SynergySpecification
from clada_neuro.stats.stage import (
    REPLICATES,
    default_replicates,
    estimate_synergy,
    fit_models,
    synergy_formula,
)
from clada_neuro.study.several import check_layout, study_each
from clada_neuro.study.target import Target, language_of, resolve_target

Progress = Callable[[str], None]
# Replicates of a full run: of the interaction, parametric and over subjects and items, and of each regression's R².
FULL, CLUSTER, R2 = 1000, 200, 200


@dataclass(frozen=True)
class _How:
    """What is the same for every language model of a run."""

    setting: Setting
    models: tuple[str, ...]
    scheduler: str | None
    full: bool
    influence: bool
    jobs: int
    seed: int
    progress: Progress
    decided: Mapping[str, str]  # who decided the analysis: see `_decided`


def run(
    target: str | Path,
    *,
    model: str | Sequence[str] | None = None,
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
    language: str | None = None,
    full: bool = False,
    influence: bool = False,
    jobs: int | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    index_base: int | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    trial_index_base: int | None = None,
    trial_encoding: str | None = None,
    trial_sheet: str | None = None,
    max_lost: float = MAX_LOST,
    progress: Progress = lambda line: None,
) -> Path:
    """Run a whole study and return the path of its report.

    Parameters
    ----------
    target : str or Path
        ``"demo"``, the name of a data set, or a stimulus file.
    model : str or sequence of str, optional
        See `clada_neuro.load_model`; those the analysis names, or ``"smollm2"``, by default. With several, each has a
        folder of its own under ``models/``, and the report compares them.
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
    component : str, optional
        Whose models are fitted, such as ``"n400"``; all of them by default.
    limit : int, optional
        Only the first `limit` items.
    start_token : str
        See `clada_neuro.models.start_token.resolve_start_token`.
    language : str, optional
        Of the word frequencies; the analysis's or the data set's, else English, by default.
    full : bool
        Draw 1,000 bootstrap replicates of the interaction (by default as many as the analysis says, else 200, and fewer above 35,000 trials), and
        200 over subjects and items, and 200 of each regression for the intervals of R².
    influence : bool
        Also fit each regression without one subject, item and laboratory at a time.
    jobs : int, optional
        Processes for bootstrap and influence; as many as there are cores by default.
    scheduler : str, optional
        Where stimuli are traced: see `clada_neuro.scale.schedulers.connected`; in this process by default.
    threads : int, optional
        Of the model on a CPU.
    seed : int
        Seed of everything random.
    columns, index_base, encoding, sheet
        How to read a stimulus file: see `clada_neuro.read_stimuli`.
    trial_index_base, trial_encoding, trial_sheet
        What `word_index` counts from in trials or in the metadata of epochs (0 by default), and how to read a file of
        trials.
    max_lost : float
        The largest share of trials that may stay without a word.
    progress : callable
        Receives one line a stage.

    Raises
    ------
    CladaNeuroError
        For wrong input; what was finished stays in `out`.
    """
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
        sheet=sheet,
        trial_index_base=trial_index_base,
        trial_encoding=trial_encoding,
        trial_sheet=trial_sheet,
        max_lost=max_lost,
    )
    models = (
        (model,) if isinstance(model, str) else tuple(model or plan.analysis.language_models or (EMBEDDED,))
    )
    setting = Setting(
        start_token=start_token, policy=policy, sparsity=sparsity, calibration=calibration, threads=threads,
        language=check_language(language or plan.analysis.language or language_of(target)),
    )  # fmt: skip
    how = _How(
        setting, models, scheduler, full, influence, jobs or os.cpu_count() or 1, seed, progress, _decided(analysis, plan)
    )  # fmt: skip
    folder = artifacts.output_folder(out or Path("out") / plan.name)
    check_layout(folder, len(models))
    _tell(plan.stimuli.attrs.get("notes", []), progress)
    with artifacts.sole_writer(folder):
        if len(models) == 1:
            _study(plan, models[0], folder, how)
            progress("[5/5] report")
            return _report(folder)

        def study(name: str, place: Path, first: Path | None) -> None:
            progress(f"language model {name}")
            _study(plan, name, place, how, first)

        artifacts.write_table(plan.stimuli, folder / "stimuli.parquet")
        places = study_each(models, folder, study)
        progress("[5/5] reports")
        for place in places.values():
            _report(place)
        return _report(folder)


def _study(plan: Target, model: str, folder: Path, how: _How, first: Path | None = None) -> None:
    """Take one language model all the way to the tables that the report is made from.

    `first` is the study of another model, from whose trace responses are simulated where there are no others.
    """
    started, progress, setting = time.perf_counter(), how.progress, replace(how.setting, model=model)
    progress(f"[1/5] {plan.name}: {len(plan.stimuli)} stimuli")
    artifacts.write_table(plan.stimuli, folder / "stimuli.parquet")
    progress(f"[2/5] trace with {model}, {setting.policy}")
    traced = trace_by(setting, plan.stimuli, folder, how.scheduler)
    _tell(traced.manifest["text_notes"][len(plan.stimuli.attrs.get("notes", [])) :], progress)
    aligned, facts = _responses(plan, traced, how.seed, progress, first)
    progress(f"[3/5] {len(aligned.trials)} trials aligned, {len(aligned.unmatched)} without a word")
    for note in aligned.notes:
        progress(f"      {note}")
    kept, exclusions = exclude(aligned.trials, plan.analysis.exclusions)
    aligned = replace(aligned, trials=kept.reset_index(drop=True), trace=traced.manifest["inputs"])
    inputs = write_trials(folder, aligned)
    plan, left_out = plan.suited_to(aligned.trials)
    progress(f"[4/5] {len(plan.analysis.models)} models")
    left_out += [
        f"exclusion '{step['reason']}' removed no trial" for step in exclusions if not step["rows_removed"]
    ]
    departed = _statistics(plan, aligned.trials, folder, inputs, how, left_out)
    if plan.epochs is None:
        (folder / "erp" / "erp.json").unlink(
            missing_ok=True
        )  # of another run: without it the report shows none
    else:
        from clada_neuro.erp.stage import analyze_epochs

        progress("      averages and regression ERPs")
        place = analyze_epochs(
            plan.epochs,
            _counted_from(traced.words, plan.index_base),
            folder,
            measurement=plan.measurement,
            seed=how.seed,
            inputs=inputs,
        )
        for note in artifacts.read_json(place / "erp.json")["notes"]:
            progress(f"      {note}")
    manifest = _manifest(plan, traced, aligned, how.seed) | facts
    manifest |= {"analysis": how.decided}
    manifest |= {"sparsity": None if setting.policy == "dense" else setting.sparsity}
    manifest |= {"calibration": _calibration(manifest["model"]["weights_hash"], setting)}
    manifest |= {"exclusions": [*plan.exclusions, *exclusions], "departures": departed}
    manifest |= {"seconds": round(time.perf_counter() - started, 1), "peak_memory_mb": _peak_memory_mb()}
    artifacts.write_json(folder / "manifest.json", manifest)


def _tell(notes: Sequence[str], progress: Progress) -> None:
    for note in notes:
        progress(f"      note: {note}")


def _decided(analysis: str | Path | None, plan: Target) -> dict[str, str]:
    """Return who decided the analysis: the user's ``file``, the ``data set``, or nobody, which is the ``default``."""
    if analysis is not None:
        return {"kind": "file", "name": str(analysis)}
    ships = artifacts.package_data("analyses", f"{plan.name}.toml").is_file()
    if ships and (plan.simulated or plan.dataset is not None):
        return {"kind": "data set", "name": plan.name}
    return {"kind": "default", "name": "default"}


def _specified(plan: Target, how: _How) -> Analysis:
    """Return what the run is compared with; of the built-in default, only the models of the responses there are."""
    if how.decided["kind"] != "default":
        return plan.specified
    specified, responses = plan.specified, {model.response for model in plan.analysis.models}
    models = tuple(model for model in specified.models if model.response in responses)
    return replace(specified, models=models, synergy=specified.synergy if plan.analysis.synergy else None)


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


def _components(plan: Target) -> list[str]:
    return sorted({model.response.removesuffix("_uv") for model in plan.analysis.models})


def _measure_epochs(plan: Target, traced: Trace, progress: Progress) -> tuple[Alignment, dict[str, Any]]:
    from clada_neuro.erp.epochs import epochs_to_trials
    from clada_neuro.erp.metadata import add_next
    from clada_neuro.erp.stage import PREDICTORS

    assert plan.epochs is not None
    words, base = traced.words, plan.index_base
    measured = epochs_to_trials(plan.epochs, _counted_from(words, base), **vars(plan.measurement))
    lost = measured.joins[-1]
    warnings = warn_of_loss(
        "epochs", lost["rows_before"], lost["rows_removed"], lost["reason"], plan.max_lost
    )
    known = [name for name in PREDICTORS if name in words]
    aligned = align(
        add_next(words, known) if plan.measurement.soa else words, measured.trials, index_base=base
    )
    aligned = replace(aligned, notes=(*warnings, *aligned.notes))
    notes = [*measured.notes, *_unused_baselines(plan, aligned.trials)]
    for note in notes:
        progress(f"      {note}")
    facts = {
        "joins": [*measured.joins, *aligned.joins],
        "erp": {"notes": notes},
        "simulated": measured.simulated,
    }
    return aligned, facts


def _counted_from(words: pd.DataFrame, base: int | None) -> pd.DataFrame:
    """Return the words with the indices that metadata counting from `base` give them."""
    return words.assign(word_index=words["word_index"] + (base or 0))


def _unused_baselines(plan: Target, trials: pd.DataFrame) -> list[str]:
    formulas = " ".join(model.formula for model in plan.analysis.models)
    return [
        f"{column} stands in no formula, so these amplitudes are not corrected for the baseline"
        for column in trials.filter(regex="_baseline_uv$")
        if column not in formulas
    ]


def _statistics(
    plan: Target, trials: pd.DataFrame, folder: Path, inputs: str, how: _How, left_out: list[str]
) -> list[str]:
    """Fit what is specified and return in what the run departs from it, first what was left out before."""
    if plan.analysis.synergy is not None:
        check_synergy(trials, synergy_formula(plan.analysis.synergy))
    entries = fit_models(
        trials, plan.analysis.models, folder / "fits.json", inputs, lambda line: how.progress(f"      {line}"),
        influence=how.influence, replicates=R2 if how.full else 0, seed=how.seed, jobs=how.jobs,
    )  # fmt: skip
    found = _synergy(plan.analysis.synergy, trials, folder / "synergy.json", inputs, how, left_out)
    window = (plan.dataset or {}).get("window_ms", {}).get(_components(plan)[0])
    lines = left_out + departures(
        _specified(plan, how),
        entries,
        synergy=found,
        window_ms=tuple(window) if window else None,
        exclusions=plan.analysis.exclusions,
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
    path: Path,
    inputs: str,
    how: _How,
    left_out: list[str],
) -> dict[str, Any] | None:
    """Estimate the interaction; where the trials do not allow it, say so in `left_out`: the main fits stand."""
    found = None
    if wanted is not None:
        found = attempt(
            "synergy",
            lambda: estimate_synergy(
                trials, wanted, path, inputs, how.seed, jobs=how.jobs, cluster_replicates=CLUSTER if how.full else 0,
                replicates=_replicates(wanted, len(trials), how),
            ),
            left_out,
        )  # fmt: skip
    if found is None:
        path.unlink(missing_ok=True)
        return None
    how.progress(f"      synergy: ΔR² = {found['r2_synergy']:.6f}, {_tested(found)}")
    for note in dict.fromkeys([*found["warnings"], *found["test"]["warnings"]]):
        how.progress(f"      synergy: {note}")
    return found


def _replicates(wanted: SynergySpecification, n_trials: int, how: _How) -> int:
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


def _manifest(
    plan: Target,
    traced: Trace,
    aligned: Alignment,
    seed: int,
) -> dict[str, Any]:
    return {
        **traced.manifest,
        "target": plan.name,
        "title": plan.analysis.title,
        "command": " ".join(sys.argv),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "simulated": plan.simulated,
        "component": _components(plan),
        "dataset": plan.dataset,
        "joins": aligned.joins,
        "notes": list(aligned.notes),
        "seed": seed,
        "versions": artifacts.versions(),
    }


def _calibration(weights_hash: str, setting: Setting) -> dict[str, str] | None:
    """Return the name and hash of the calibration that decided the masks; none for policies that need none."""
    if setting.policy in UNCALIBRATED:
        return None
    path = Path(setting.calibration or shipped_calibration(weights_hash))
    return {"file": path.name, "hash": artifacts.content_hash(path)}


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
