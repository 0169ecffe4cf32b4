"""The main job: stimuli → trace → trials → fits → report, each stage a function over tables on disk.

A stage whose file was computed from the same inputs is not computed again, so an interrupted run continues. Several
language models are several studies of the same responses (see `clada_neuro.study.several`).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path
from typing import Any, Literal, TypeVar

from clada_neuro import artifacts
from clada_neuro.errors import DataError
from clada_neuro.instrument.covariates import check_language
from clada_neuro.instrument.layer_choice import read_choice
from clada_neuro.models.origin import EMBEDDED
from clada_neuro.responses.unmatched import MAX_LOST
from clada_neuro.scale.parts import placed
from clada_neuro.scale.setting import Setting
from clada_neuro.stats.specification import EpochsSpecification
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.study.asked import Asked
from clada_neuro.study.demonstration import SIMULATED, demonstration
from clada_neuro.study.fitting import Fitting
from clada_neuro.study.how import How, Progress
from clada_neuro.study.named import DEMO, language_of
from clada_neuro.study.recordings import eeg_of
from clada_neuro.study.resolve import resolve_target
from clada_neuro.study.response_files import ResponseFiles

T = TypeVar("T")


def run(
    target: str | Path,
    *,
    model: str | Sequence[str] | None = None,
    policy: str = "dense",
    sparsity: float = 0.4,
    calibration: str | Path | None = None,
    scope: str = "ffn",
    out: str | Path | None = None,
    trials: str | Path | None = None,
    epochs: str | Path | None = None,
    eeg: str | Path | None = None,
    triggers: str | Path | None = None,
    delay_ms: float = 0.0,
    task: str | None = None,
    window_ms: Mapping[str, tuple[float, float]] | None = None,
    roi: Mapping[str, Sequence[str]] | None = None,
    baseline: str | None = None,
    soa_ms: float | None = None,
    analysis: str | Path | None = None,
    component: str | None = None,
    response: str | Sequence[str] | None = None,
    formula: str | Sequence[str] | None = None,
    family: str = "gaussian",
    df: str = "satterthwaite",
    contrasts: Mapping[str, str] | None = None,
    where: str | Sequence[str] | None = None,
    limit: int | None = None,
    start_token: str = "auto",
    dtype: str = "float32",
    device: str = "auto",
    revision: str | None = None,
    language: str | None = None,
    layers: str | None = None,
    attention: bool = False,
    translators: str | Path | None = None,
    full: bool = False,
    influence: bool = False,
    maps: bool = False,
    depth: bool = False,
    jobs: int | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    index_base: int | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    separator: str | None = None,
    sentence_columns: Sequence[str] | None = None,
    condition_columns: Sequence[str] | None = None,
    trial_columns: Mapping[str, str] | None = None,
    trial_index_base: int | None = None,
    trial_encoding: str | None = None,
    trial_sheet: str | None = None,
    max_lost: float = MAX_LOST,
    negative: Literal["up", "down"] = "down",
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
    policy, sparsity, calibration, scope
        What is left uncomputed, how much, and of what: see `clada_neuro.policies.registry.policy_for`.
    out : path, optional
        Output folder; ``out/<target>`` by default.
    trials, epochs : path, optional
        Responses to a stimulus file: a table of trials, or MNE epochs (a FIF file or a folder of them).
    eeg, triggers, delay_ms, task
        Or recordings: a file, a folder or a BIDS folder, continuous or epoched. The words of continuous ones are found by a
        table with a column ``trigger`` or ``onset`` beside the stimuli's labels, else by the columns of BIDS events (see
        `clada_neuro.erp.triggers.tie`), and their overlapping responses taken apart; ``"simulated"`` with the demonstration; ms from a trigger to the word on the screen; the task of a BIDS folder with several.
    window_ms, roi, baseline, soa_ms
        How amplitudes are taken from epochs where it differs from the analysis and the presets: component to start
        and end, component to electrodes, ``"covariate"``, ``"subtract"`` or ``"none"``, and ms from word to word.
    analysis : path, optional
        A pre-specified analysis in place of the target's own.
    component : str, optional
        Whose models are fitted, such as ``"n400"``; all of them by default.
    response : str or sequence of str, optional
        What is explained, as on the left of a formula: ``"rt_ms"``, ``"log(rt_ms)"``. The analysis given, or the target's
        own, has its models, else the default does (see `clada_neuro.study.decide`). Where nobody says, the default explains
        ``n400_uv`` and ``p600_uv``, and where there is neither, all columns known as responses.
    formula : str or sequence of str, optional
        Models in place of an analysis, with z-scored predictors: ``"log(rt_ms) ~ surprisal_bits + (1|subject)"``.
    family, df, contrasts
        Distribution of the responses (``"binomial"``, ``"poisson"``), degrees of freedom (``"kenward-roger"``) and codes of
        factors (``{"condition": "sum"}``) of the models, where no analysis file says them: see `clada_neuro.fit`.
    where : str or sequence of str, optional
        Conditions that trials must meet, such as ``"rt_ms > 100 & rt_ms < 3000"``; the others are left out, and counted.
    limit : int, optional
        Only the first `limit` items.
    start_token, dtype, device, revision
        See `clada_neuro.load_model`; the same for every model.
    language : str, optional
        Of the word frequencies; the analysis's or the data set's, else English, by default.
    layers : str, optional
        Of which layers words are measured one by one, too (`clada_neuro.trace`): ``"all"``, ``"every:4"`` or ``"0,5,11"``.
    attention, translators
        What of these layers beyond the usual: see `clada_neuro.trace`.
    full : bool
        Draw 1,000 bootstrap replicates of the interaction (by default as many as the analysis says, else 200, and fewer above 35,000 trials), and
        200 over subjects and items, and 200 of each regression for the intervals of R².
    influence : bool
        Also fit each regression without one subject, item and laboratory at a time.
    maps : bool
        Also fit a mixed model at every electrode and moment of the epochs, tested over the whole map (see `clada_neuro.erp.maps`).
    depth : bool
        Also put each layer's measures in place of surprisal (see `clada_neuro.depth`); of all layers, where `layers` names none.
    jobs : int, optional
        Processes for bootstrap, influence, layers, overlapping responses and maps; as many as there are cores by default.
    scheduler : str, optional
        Where stimuli are traced, replicates drawn, overlapping responses taken apart and electrodes mapped: see
        `clada_neuro.scale.schedulers.connected`; on this machine by default.
    threads : int, optional
        Of the model on a CPU.
    seed : int
        Seed of everything random.
    columns, index_base, encoding, sheet, separator, sentence_columns, condition_columns
        How to read a stimulus file: see `clada_neuro.read_stimuli`.
    trial_columns, trial_index_base, trial_encoding, trial_sheet
        What the trials call our columns, as ``{"subject": "Subj"}`` (usual names are recognised, and said), what `word_index` counts from in trials or in the metadata of epochs (0 by default), and how to read a file of
        trials.
    max_lost : float
        The largest share of trials that may stay without a word.
    negative : str
        Where negative voltages are in figures, ``"up"`` or ``"down"``.
    progress : callable
        Receives one line a stage.

    Raises
    ------
    CladaNeuroError
        For wrong input; what was finished stays in `out`.
    """
    layers = "all" if depth and layers is None else layers
    given = {**locals()}
    setting = _record(Setting, given, model=EMBEDDED, language=language or "en")
    if str(target) == DEMO and eeg == SIMULATED:
        first = model if isinstance(model, str) else (*(model or ()), EMBEDDED)[0]
        out = Path(out or Path("out") / "demo_eeg")
        made = demonstration(
            out,
            replace(setting, model=first, language=check_language(language or "en")),
            seed,
            progress,
            scheduler,
        )
        target, eeg, analysis = made.stimuli, made.bids, analysis or made.analysis
    continuous = None
    if eeg is not None:
        if trials is not None or epochs is not None:
            raise DataError("--eeg holds the responses; leave --trials and --epochs out")
        place = Path(out or Path("out") / Path(target).stem) / "epochs"
        continuous, epochs = eeg_of(
            eeg, place, triggers=triggers, delay_ms=delay_ms, soa_ms=soa_ms, task=task, progress=progress
        )
    elif triggers is not None or delay_ms or task:
        raise DataError("--triggers, --delay and --task are for continuous recordings; add --eeg PATH")
    files = _record(ResponseFiles, given, epochs=epochs, measured=_measured(window_ms, roi, baseline, soa_ms))
    fitting = _record(Fitting, given, contrasts=contrasts or {})
    asked = Asked.of(analysis, formula, response, component, fitting)
    plan = resolve_target(target, files, asked, limit=limit, **_reading(given))
    plan = replace(plan, continuous=continuous)
    if maps and plan.epochs is None:
        raise DataError("--maps are of EEG at every electrode and moment; add --epochs PATH or --eeg PATH")
    spoken = check_language(language or plan.analysis.language or language_of(target))
    read_choice(layers, policy != "dense", attention, translators)
    # These load the statistics.
    from clada_neuro.study.depth import check_depth
    from clada_neuro.study.rehearsal import rehearse

    rehearse(plan, language=spoken, policy=policy, scope=scope)
    if depth:
        check_depth(plan.analysis.models)
    # These load PyTorch, which wrong input need not wait for.
    from clada_neuro.study.one import study_one, tell
    from clada_neuro.study.several import check_layout, study_each

    models = (
        (model,) if isinstance(model, str) else tuple(model or plan.analysis.language_models or (EMBEDDED,))
    )
    setting = replace(setting, language=spoken)
    folder = artifacts.output_folder(out or Path("out") / plan.name)
    check_layout(folder, len(models))
    tell([*plan.stimuli.attrs.get("notes", []), *plan.notes], progress)
    at_once = jobs or os.cpu_count() or 1
    with artifacts.sole_writer(folder), placed(scheduler, at_once) as parts:
        how = _record(How, given, setting=setting, models=models, jobs=parts, decided=plan.decided_by)
        if len(models) == 1:
            study_one(plan, models[0], folder, how)
            progress("[5/5] report")
            return _report(folder, negative)

        def study(name: str, of_one: Path, first: Path | None) -> None:
            progress(f"language model {name}")
            study_one(plan, name, of_one, how, first)

        artifacts.write_table(plan.stimuli, folder / "stimuli.parquet")
        folders = study_each(models, folder, study)
        progress("[5/5] reports")
        for of_one in folders.values():
            _report(of_one, negative)
        return _report(folder, negative)


def _reading(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords by which a stimulus file is read; their names are those of `read_stimuli`."""
    return {name: given[name] for name in signature(read_stimuli).parameters if name in given}


def _record(kind: type[T], given: Mapping[str, Any], **made: Any) -> T:
    """Return a record of what was `given`, field by field under the same name, with what was `made` of the rest."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: given[name] for name in names & set(given)} | made)


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


def _report(folder: Path, negative: Literal["up", "down"]) -> Path:
    from clada_neuro.reporting.build import report

    return report(folder, negative=negative)
