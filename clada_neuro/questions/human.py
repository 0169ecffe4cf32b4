"""What surprisal, activity and their product add to human N400 and P600 responses: a ladder of nested models.

Each step is a pair of models on the same rows with the same random part, fitted by ML: likelihood ratio, difference
in marginal R², and the gain in held-out log-likelihood by folds of items. The product is tested over both main
effects and both squares. Confirmatory traces are dense: under a policy, sparsity and adjustment are functions of
surprisal by construction, so CLADA and its controls stand beside, as exploration.
"""

import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from clada_neuro.cache import DOCUMENT, Store
from clada_neuro.errors import DataError
from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import LanguageModel
from clada_neuro.questions.analysis import Progress
from clada_neuro.questions.climbed import Climbed, CountedRows
from clada_neuro.questions.human_page import human_answer
from clada_neuro.questions.human_policies import calibration_facts, explore, words_under_policies
from clada_neuro.questions.nested import Nested
from clada_neuro.questions.page import Answer
from clada_neuro.questions.settings import HumanSettings
from clada_neuro.responses.alignment import align
from clada_neuro.stats.bootstrap import bootstrap
from clada_neuro.stats.ceiling import noise_ceiling
from clada_neuro.stats.ladder import climb_down
from clada_neuro.stats.mixed import FitWarning
from clada_neuro.stats.steps import LadderSpecification, Step
from clada_neuro.study.resolve import resolve_target


def human(model: LanguageModel, settings: HumanSettings, folder: Path, progress: Progress) -> Answer:
    """Trace the sentences of each data set and climb its ladder, keeping finished ones in `folder`."""
    found = climb(model, settings, folder, progress)
    chosen = asdict(settings) | {"folds": _folds(settings)} | calibration_facts(model)
    departures = settings.departures(model.name)
    return human_answer(found, settings.asked, model.describe(), chosen, departures, settings.specified.title)


def _folds(settings: HumanSettings) -> int:
    return settings.folds or settings.specified.folds


def climb(model: LanguageModel, settings: HumanSettings, folder: Path, progress: Progress) -> Climbed:
    """Climb the ladders of all questions; p is adjusted over all steps of one component."""
    parts = []
    for ladder in settings.asked:
        trials = trials_of(ladder.target, model, folder / "traces", settings.limit)
        stimuli = resolve_target(ladder.target, limit=settings.limit).stimuli
        words = words_under_policies(stimuli, model, settings.sparsity, folder / "traces")
        parts.append(_remembered(trials, words, ladder, folder, settings, progress))
    return Climbed.joined(parts)


def trials_of(target: str, model: LanguageModel, folder: Path, limit: int | None) -> pd.DataFrame:
    """Trace a data set's sentences densely and join its trials; an earlier trace in `folder` is read back."""
    plan = resolve_target(target, limit=limit)
    if plan.trials is None:
        raise DataError(f"'{target}' brings no responses; the human analysis needs measured ones")
    traced = trace(plan.stimuli, model, out=folder / target)
    return align(traced.words, plan.trials).trials


def _remembered(
    trials: pd.DataFrame,
    words: dict[str, pd.DataFrame],
    ladder: LadderSpecification,
    folder: Path,
    settings: HumanSettings,
    progress: Progress,
) -> Climbed:
    """Read a ladder that was finished with the same rows, settings and code from `folder`, or climb it."""
    decisive = {**asdict(settings), "jobs": 0, "questions": 0, "analysis": 0}
    store = Store.of(folder / "ladders", __name__, trials, *words.values(), ladder, decisive, codec=DOCUMENT)
    if stored := store.read(ladder.name):
        return Climbed.from_dict(stored)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = climb_ladder(trials, ladder, settings, folder=folder / "replicates", progress=progress)
        explored = explore(
            trials, words, ladder, folds=_folds(settings), seed=settings.seed, progress=progress
        )
    found = replace(found, policies=explored)
    store.write(ladder.name, found.to_dict())
    return found


def climb_ladder(
    trials: pd.DataFrame,
    ladder: LadderSpecification,
    settings: HumanSettings,
    *,
    folder: Path | None = None,
    progress: Progress = lambda line: None,
) -> Climbed:
    """Compare the models of one question on the rows that all of them can use.

    The random part is reduced once, on the fullest model, and is the same in all.

    Parameters
    ----------
    folder : Path, optional
        Where finished bootstrap replicates are kept, so that the same call resumes.

    Raises
    ------
    CladaNeuroError
        When a column is missing or a model cannot be fitted.
    """
    rows, n_incomplete = _complete(trials, ladder)
    reduced = climb_down(rows, ladder.fullest, reml=False, standardize=True, weights=ladder.weights)
    progress(f"{ladder.name}: random part {reduced.random}")
    if absent := _absent(ladder, rows):
        progress(f"{ladder.name}: {'; '.join(absent)} left out, as the trials lack what they need")
    models = Nested(rows, ladder, reduced.random, _folds(settings), settings.seed)
    tests, coefficients = [], []
    for step in ladder.models(rows.columns):
        place = None if folder is None else folder / ladder.name / step.name.replace(" ", "_")
        tests.append(models.compare(step) | _bootstrapped(models, step, settings, place))
        coefficients += models.added(step)
        progress(
            f"{ladder.name}: {step.name}, p = {tests[-1]['p']:.3g}, held out {tests[-1]['held_out']:+.1e}"
        )
    rungs = [{"question": ladder.name, **rung} for rung in reduced.to_dict()]
    return Climbed(
        pd.DataFrame(tests),
        pd.DataFrame(coefficients),
        pd.DataFrame(rungs),
        [_counted(rows, ladder, n_incomplete)],
    )


def _bootstrapped(models: Nested, step: Step, settings: HumanSettings, folder: Path | None) -> dict[str, Any]:
    """Return the product's interval of ΔR² and its p under the null, when they were asked for."""
    replicates = models.ladder.bootstrap if settings.bootstrap is None else settings.bootstrap
    if not (replicates and step.is_product):
        return {}
    found = bootstrap(
        models.fit(step.smaller), models.fit(step.larger), replicates=replicates, seed=settings.seed,
        jobs=settings.jobs, folder=folder, progress=True,
    )  # fmt: skip
    assert found.parametric is not None
    return {
        "delta_r2_low": found.parametric.low,
        "delta_r2_high": found.parametric.high,
        "p_null": found.null_p,
        "n_replicates": found.n_null,
    }


def _complete(trials: pd.DataFrame, ladder: LadderSpecification) -> tuple[pd.DataFrame, int]:
    """Return rows without gaps in any model's columns, and how many were left out.

    Raises
    ------
    DataError
        When a column is missing that a control or a step needs, unless the step is optional.
    """
    measured = dict.fromkeys(name for step in ladder.taken(trials.columns) for name in step.columns)
    needed = [ladder.response, *ladder.controls, *measured, ladder.fold]
    needed += [ladder.weights] if ladder.weights else []
    if missing := [name for name in needed if name not in trials]:
        raise DataError(f"'{ladder.name}' lacks {', '.join(missing)}; trace the stimuli again")
    rows = trials.dropna(subset=needed).reset_index(drop=True)
    if ladder.weights:
        # With mean 1, sigma and R² stand on the scale of the rows; coefficients do not change.
        rows[ladder.weights] = rows[ladder.weights] / rows[ladder.weights].mean()
    return rows, len(trials) - len(rows)


def _absent(ladder: LadderSpecification, rows: pd.DataFrame) -> list[str]:
    """Return the optional steps that these rows do not allow."""
    taken = ladder.taken(rows.columns)
    return [step.name for step in ladder.steps if step not in taken]


def _counted(rows: pd.DataFrame, ladder: LadderSpecification, n_incomplete: int) -> CountedRows:
    """Return counts, and how much of the stimuli's means could be explained at all."""
    counted = CountedRows(
        question=ladder.name,
        n_obs=len(rows),
        n_incomplete=n_incomplete,
        n_stimuli=int(rows["stimulus"].nunique()),
        n_surprisal_values=int(rows["surprisal_bits"].nunique()),
        steps_left_out="; ".join(_absent(ladder, rows)),
    )
    if "subject" not in rows:
        return counted
    ceiling = noise_ceiling(rows, ladder.response)
    own = rows[ladder.response] - rows.groupby("subject")[ladder.response].transform("mean")
    means = pd.DataFrame({"y": own, "x": rows["surprisal_bits"]}).groupby(rows["stimulus"]).mean()
    return msgspec.structs.replace(
        counted,
        ceiling=ceiling.reliability,
        ceiling_low=ceiling.low,
        ceiling_high=ceiling.high,
        r2_of_means_surprisal=float(np.corrcoef(means["y"], means["x"])[0, 1] ** 2),
    )
