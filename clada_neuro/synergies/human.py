"""What surprisal, activity and their product add to human N400 and P600 responses: a ladder of nested models.

Each step is a pair of models on the same rows with the same random part, fitted by ML: likelihood ratio, difference
in marginal R², and the gain in held-out log-likelihood by folds of items. The product is tested over both main
effects and both squares. Traces are dense: under a policy, sparsity and adjustment are functions of surprisal by
construction.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro import artifacts
from clada_neuro.alignment import align
from clada_neuro.errors import DataError, did_you_mean
from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import EMBEDDED, LanguageModel, load_model
from clada_neuro.stats.bootstrap import bootstrap
from clada_neuro.stats.ceiling import noise_ceiling
from clada_neuro.stats.compare import adjust, compare
from clada_neuro.stats.crossval import cross_validate
from clada_neuro.stats.mixed import FitWarning, MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.synergies.human_page import Ladder, human_results
from clada_neuro.synergies.questions import ACTIVITY, QUESTIONS, SURPRISAL, Question, Step, Terms, steps
from clada_neuro.targets import resolve_target

Progress = Callable[[str], None]
_Z = 1.96
_BOOTSTRAPPED = ("delta_r2_low", "delta_r2_high", "p_null")


@dataclass(frozen=True)
class Settings:
    """How the models are compared.

    `replicates` are those of the parametric bootstrap of the product's ΔR² and of its p under the null; 0 leaves
    both out. `limit` keeps the first items of each data set.
    """

    limit: int | None = None
    folds: int = 10
    replicates: int = 0
    seed: int = 0
    jobs: int = 1


def human(
    out: str | Path,
    *,
    questions: Sequence[str] = tuple(QUESTIONS),
    model: str | LanguageModel = EMBEDDED,
    settings: Settings | None = None,
    work: str | Path | None = None,
    progress: Progress = lambda line: None,
) -> Path:
    """Run the human analysis and return the path of its page.

    Parameters
    ----------
    out : path
        Folder of the page, the figure and the small tables.
    questions : sequence of str
        Of `questions.QUESTIONS`.
    work : path, optional
        Where traces and finished ladders are kept, so that the same call resumes; ``out/work`` by default.

    Raises
    ------
    CladaNeuroError
        When a question is unknown, its data set is not there, or a model cannot be fitted.
    """
    for name in questions:
        _question(name)  # refuse a wrong name before the model is loaded
    if not isinstance(model, LanguageModel):
        model = load_model(model)
    settings = settings or Settings()
    found = climb(questions, model, Path(work or Path(out) / "work"), settings, progress)
    return human_results(found, model.describe(), asdict(settings)).write(out)


def ladder(
    trials: pd.DataFrame,
    question: Question,
    settings: Settings,
    *,
    folder: Path | None = None,
    progress: Progress = lambda line: None,
) -> Ladder:
    """Compare the models of one question on the rows that all of them can use.

    Parameters
    ----------
    folder : Path, optional
        Where finished bootstrap replicates are kept, so that the same call resumes.

    Raises
    ------
    CladaNeuroError
        When a column is missing or a model cannot be fitted.
    """
    rows, n_incomplete = _complete(trials, question)

    @cache
    def fitted(terms: Terms) -> MixedFit:
        formula = f"{question.response} ~ {' + '.join(terms)} + {question.random}"
        return estimate(specify(rows, formula, standardize=True, weights=question.weights), reml=False)

    tests, coefficients = [], []
    for step in steps(question.controls, "cloze" in rows):
        smaller, larger = fitted(step.smaller), fitted(step.larger)
        place = None if folder is None else folder / question.name / step.name.replace(" ", "_")
        tests.append({"question": question.name, "component": question.component, "step": step.name}
                     | _compared(smaller, larger, question, step, settings, place))  # fmt: skip
        inference = larger.refit(reml=True)
        coefficients += [
            {"question": question.name, "step": step.name, "term": term, **inference.coefficient(term)}
            for term in step.added
        ]
        progress(
            f"{question.name}: {step.name}, p = {tests[-1]['p']:.3g}, held out {tests[-1]['held_out']:+.1e}"
        )
    return Ladder(pd.DataFrame(tests), pd.DataFrame(coefficients), _facts(rows, question, n_incomplete))


def _compared(
    smaller: MixedFit,
    larger: MixedFit,
    question: Question,
    step: Step,
    settings: Settings,
    folder: Path | None,
) -> dict[str, Any]:
    """Return one row: in-sample test, held-out gain in nats a trial with its interval, and R²."""
    folds = min(settings.folds, smaller.model.data[question.fold].nunique())
    held_out = cross_validate(smaller, larger, item=question.fold, folds=folds, seed=settings.seed)
    gain, margin = held_out.delta_loglik_per_trial, _Z * held_out.se
    test = compare(smaller, larger)
    row: dict[str, Any] = {
        "n_obs": larger.n_obs, "chi2": test.chi2, "df": test.df, "p": test.p,
        "delta_loglik": test.delta_loglik_per_trial,
        "held_out": gain, "held_out_low": gain - margin, "held_out_high": gain + margin,
        "r2_marginal": larger.r2().marginal, "r2_conditional": larger.r2().conditional,
        "delta_r2": test.delta_r2_marginal, "singular": larger.singular,
    } | dict.fromkeys(_BOOTSTRAPPED, np.nan)  # fmt: skip
    if settings.replicates and step.is_product:
        found = bootstrap(
            smaller,
            larger,
            replicates=settings.replicates,
            seed=settings.seed,
            jobs=settings.jobs,
            folder=folder,
        )
        assert found.parametric is not None
        row |= {"delta_r2_low": found.parametric.low, "delta_r2_high": found.parametric.high}
        row |= {"p_null": found.null_p}
    return row


def _complete(trials: pd.DataFrame, question: Question) -> tuple[pd.DataFrame, int]:
    """Return rows without gaps in any model's columns, and how many were left out."""
    measured = [*SURPRISAL, *ACTIVITY, *(["cloze"] if "cloze" in trials else [])]
    needed = [question.response, *question.controls, *measured]
    needed += [question.weights] if question.weights else []
    if missing := [name for name in needed if name not in trials]:
        raise DataError(f"'{question.name}' lacks {', '.join(missing)}; trace the stimuli again")
    rows = trials.dropna(subset=needed).reset_index(drop=True)
    if question.weights:
        # With mean 1, sigma and R² stand on the scale of the rows; coefficients do not change.
        rows[question.weights] = rows[question.weights] / rows[question.weights].mean()
    return rows, len(trials) - len(rows)


def _facts(rows: pd.DataFrame, question: Question, n_incomplete: int) -> dict[str, Any]:
    """Return counts, and how much of the stimuli's means could be explained at all."""
    facts: dict[str, Any] = {
        "question": question.name,
        "n_obs": len(rows),
        "n_incomplete": n_incomplete,
        "n_stimuli": int(rows["stimulus"].nunique()),
        "n_surprisal_values": int(rows["surprisal_bits"].nunique()),
    }
    if "subject" not in rows:
        return facts
    ceiling = noise_ceiling(rows, question.response)
    own = rows[question.response] - rows.groupby("subject")[question.response].transform("mean")
    means = pd.DataFrame({"y": own, "x": rows["surprisal_bits"]}).groupby(rows["stimulus"]).mean()
    return facts | {
        "ceiling": ceiling.reliability,
        "ceiling_low": ceiling.low,
        "ceiling_high": ceiling.high,
        "r2_of_means_surprisal": float(np.corrcoef(means["y"], means["x"])[0, 1] ** 2),
    }


def trials_of(target: str, model: LanguageModel, folder: Path, limit: int | None) -> pd.DataFrame:
    """Trace a data set's sentences densely and join its trials; an earlier trace in `folder` is read back."""
    plan = resolve_target(target, limit=limit)
    if plan.trials is None:
        raise DataError(f"'{target}' brings no responses; the human analysis needs measured ones")
    traced = trace(plan.stimuli, model, out=folder / target)
    return align(traced.words, plan.trials).trials


def climb(
    names: Sequence[str],
    model: LanguageModel,
    out: Path,
    settings: Settings,
    progress: Progress = lambda line: None,
) -> Ladder:
    """Climb the ladders of several questions; p is adjusted over all steps of one component.

    A ladder that was finished with the same rows and settings is read from `out`.
    """
    parts = []
    for name in names:
        question = _question(name)
        trials = trials_of(question.target, model, out / "traces", settings.limit)
        parts.append(_remembered(trials, question, out, settings, progress))
    tests = pd.concat([part.tests for part in parts], ignore_index=True)
    return Ladder(
        adjust(tests, family="component"),
        pd.concat([part.coefficients for part in parts], ignore_index=True),
        {name: part.facts for name, part in zip(names, parts, strict=True)},
    )


def _question(name: str) -> Question:
    if name not in QUESTIONS:
        known = ", ".join(QUESTIONS)
        raise DataError(f"no question '{name}'{did_you_mean(name, list(QUESTIONS))}; there are {known}")
    return QUESTIONS[name]


def _remembered(
    trials: pd.DataFrame, question: Question, out: Path, settings: Settings, progress: Progress
) -> Ladder:
    decisive = {**asdict(settings), "jobs": 0}
    key = artifacts.content_hash(trials, asdict(question), decisive, Path(__file__))
    path = artifacts.output_folder(out / "ladders") / f"{question.name}.json"
    if path.is_file() and (stored := artifacts.read_json(path)).get("inputs") == key:
        tests = pd.DataFrame(stored["tests"]).astype(dict.fromkeys(_BOOTSTRAPPED, float))  # null is missing
        return Ladder(tests, pd.DataFrame(stored["coefficients"]), stored["facts"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = ladder(trials, question, settings, folder=out / "replicates", progress=progress)
    entry = {"inputs": key, "facts": found.facts}
    entry |= {"tests": found.tests.to_dict("records"), "coefficients": found.coefficients.to_dict("records")}
    artifacts.write_json(path, entry)
    return found
