"""The page of the human analysis: what each step of the ladders added, and what that means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from clada_neuro.reporting.figures import COLORS, compose
from clada_neuro.synergies.page import Results
from clada_neuro.synergies.questions import DIRECTIONS

_ALPHA = 0.05


@dataclass(frozen=True)
class Ladder:
    """Compared models: a row a step, a row an added term (REML), and counts."""

    tests: pd.DataFrame
    coefficients: pd.DataFrame
    facts: dict[str, Any]


def human_results(found: Ladder, model: Mapping[str, Any], settings: Mapping[str, Any]) -> Results:
    """Gather tables, figure and text; `found.facts` holds one dictionary a question."""
    facts = pd.DataFrame(found.facts.values())
    tests = found.tests
    columns = [
        "question",
        "step",
        "chi2",
        "df",
        "p_bh",
        "held_out",
        "held_out_low",
        "held_out_high",
        "delta_r2",
    ]
    columns += [name for name in ("delta_r2_low", "delta_r2_high", "p_null") if tests[name].notna().any()]
    coefficients = with_directions(found.coefficients, tests)
    linear = coefficients.loc[~coefficients["term"].str.contains("**", regex=False)]
    return Results(
        name="human",
        title="Surprisal, activity and human responses",
        question="Do sparsity and adjustment of the model's activity, or their product with surprisal, explain N400 and "
        "P600 amplitudes beyond the controls and surprisal?",
        model=model,
        rows=" ".join(_rows(row) for row in found.facts.values()),
        shown={
            "Steps: gains in nats a trial on held-out folds, with 95 % intervals over the units held out": tests[
                columns
            ],
            "Added terms, µV for one SD (REML, Satterthwaite; squares are in coefficients.csv)": linear,
            "Rows and ceilings": facts,
        },
        tables={"steps": tests, "coefficients": coefficients, "facts": facts},
        figure=_figure(tests),
        r2=_r2(tests),
        control="Each step stands against the model before it, with the same rows and random part; the products against "
        "both main effects and both squares, because a curve in either of two correlated predictors passes for a product. "
        f"p is adjusted (Benjamini and Hochberg) over all {len(tests)} steps of a component together.",
        shows=f"{_shows(tests)} {_signs(coefficients)}",
        limits="Predictors vary over stimuli, not trials, so the random part holds a term for stimuli wherever "
        "one has several trials; slopes by subject are not in it. Held-out folds use fixed effects alone. The by-word "
        "means of de Varda et al. (2023) come from the readers of Frank et al. (2015): no replication, no subjects, and "
        "so no noise ceiling. Squares are no finding of their own. A step that is not shown is no evidence of absence.",
        settings=settings,
    )


def _rows(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['question']}: {facts['n_obs']:,} rows ({facts['n_incomplete']} left out for gaps), "
        f"{facts['n_stimuli']:,} stimuli, {facts['n_surprisal_values']:,} values of surprisal."
    )


def _r2(tests: pd.DataFrame) -> str:
    products = tests.loc[tests["step"].str.contains(" x ")]
    lines = [
        f"{row.question}, {row.step}: ΔR²m = {row.delta_r2:.1e}{_interval(row)} of R²m = {row.r2_marginal:.4f} "
        f"(R²c = {row.r2_conditional:.3f})"
        for row in products.itertuples()
    ]
    return "; ".join(lines) + ". An interval of ΔR² is no test: R² cannot fall when a term is added."


def _interval(row: Any) -> str:
    if np.isnan(row.delta_r2_low):
        return ""
    return f" [{row.delta_r2_low:.1e}, {row.delta_r2_high:.1e}]"


def _shows(tests: pd.DataFrame) -> str:
    """Name the steps whose adjusted p and held-out interval agree, and those where they do not."""
    small, better = tests["p_bh"] < _ALPHA, tests["held_out_low"] > 0
    return (
        f"Below p = .05 and better on held-out rows: {_names(tests.loc[small & better])} "
        f"Below p = .05, but no gain shown on held-out rows: {_names(tests.loc[small & ~better])} "
        f"Not shown: {_names(tests.loc[~small])}"
    )


def with_directions(coefficients: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Add each term's registered direction, empty where none was registered."""
    component = coefficients["question"].map(tests.groupby("question")["component"].first())
    pairs = zip(component, coefficients["term"], strict=True)
    return coefficients.assign(registered=[DIRECTIONS.get(pair, "") for pair in pairs])


def _signs(coefficients: pd.DataFrame) -> str:
    """Say for each registered term in the step that adds it which way amplitudes went."""
    first = coefficients.drop_duplicates(["question", "term"])
    each = [
        f"{row.question}, {row.term}: b = {row.estimate:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}] µV, "
        f"registered {row.registered}, {_agrees(row)}"
        for row in first.loc[first["registered"] != ""].itertuples()
    ]
    return f"Directions: {'; '.join(each)}." if each else ""


def _agrees(row: Any) -> str:
    if row.ci_low <= 0 <= row.ci_high:
        return "not shown"
    return "as registered" if (row.estimate > 0) == (row.registered == "positive") else "the opposite"


def _names(rows: pd.DataFrame) -> str:
    each = [
        f"{question} ({', '.join(part['step'])})" for question, part in rows.groupby("question", sort=False)
    ]
    return ("; ".join(each) or "none") + "."


def _figure(tests: pd.DataFrame) -> Any:
    questions = list(dict.fromkeys(tests["question"]))

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots(1, len(questions), squeeze=False)[0]
        for axis, question, color in zip(axes, questions, COLORS, strict=False):
            part = tests.loc[tests["question"] == question].reset_index(drop=True)
            reach = [part["held_out"] - part["held_out_low"], part["held_out_high"] - part["held_out"]]
            axis.errorbar(part["held_out"], part.index, xerr=reach, fmt="o", ms=4, lw=1.2, color=color)
            axis.axvline(0, color="black", linewidth=0.8)
            axis.set_yticks(part.index, part["step"] if axis is axes[0] else [])
            axis.set_ylim(tests.groupby("question").size().max() - 0.5, -0.5)
            axis.set_title(question, fontsize=9)
            axis.tick_params(labelsize=8)
            axis.set_xlabel("held-out gain (nats a trial)", fontsize=8)
            axis.locator_params(axis="x", nbins=4)

    return compose(
        "human",
        "Gain in held-out log-likelihood of each step over the model before it, with 95 % intervals over the items "
        "(sentences, where every word is measured). Right of 0 the step predicts unseen items better.",
        "Held-out gains of each step, one panel a question",
        paint,
        (2.2 + 2.1 * len(questions), 4.0),
    )
