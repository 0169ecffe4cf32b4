"""The page of the human analysis: what each step of the ladders added, and what that means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from clada_neuro.questions.page import Results
from clada_neuro.questions.questions import EVENT
from clada_neuro.reporting.figures import COLORS, Figure, compose
from clada_neuro.stats.compare import adjust

_ALPHA = 0.05
_TABLES = ("tests", "coefficients", "rungs", "policies")
_BOOTSTRAPPED = ("delta_r2_low", "delta_r2_high", "p_null")


@dataclass(frozen=True)
class Ladder:
    """What climbing gave, for one question or several.

    Attributes
    ----------
    tests, coefficients : pandas.DataFrame
        A row a step, and a row an added term (REML).
    rungs : pandas.DataFrame
        The random parts that were tried, one a row, and what was taken out.
    facts : list of dict
        Counts and ceilings, one a question.
    policies : pandas.DataFrame
        A row a policy and step: exploratory.
    """

    tests: pd.DataFrame
    coefficients: pd.DataFrame
    rungs: pd.DataFrame
    facts: list[dict[str, Any]]
    policies: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def joined(cls, parts: Sequence["Ladder"]) -> "Ladder":
        """Put the ladders of several questions below each other; p is adjusted over all steps of a component."""
        tables = {
            name: pd.concat([getattr(part, name) for part in parts], ignore_index=True)
            for name in ("coefficients", "rungs")
        }
        # One family: dense traces and policies together.
        tests = pd.concat([one for part in parts for one in (part.tests, part.policies)], ignore_index=True)
        tests = adjust(tests, family="component")
        dense = tests["policy"].isna() if "policy" in tests else pd.Series(True, index=tests.index)
        kept = tests.loc[dense].drop(columns="policy", errors="ignore").reset_index(drop=True)
        facts = [facts for part in parts for facts in part.facts]
        return cls(kept, **tables, facts=facts, policies=tests.loc[~dense].reset_index(drop=True))

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, as JSON holds them."""
        return {name: getattr(self, name).to_dict("records") for name in _TABLES} | {"facts": self.facts}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Ladder":
        """Read back what `to_dict` gave; null is a missing number."""
        tables = {name: pd.DataFrame(stored[name]) for name in _TABLES}
        for name in ("tests", "policies"):
            found = tables[name]
            tables[name] = found.astype({key: float for key in _BOOTSTRAPPED if key in found})
        return cls(facts=stored["facts"], **tables)


def human_results(
    found: Ladder, model: Mapping[str, Any], settings: Mapping[str, Any], departures: Sequence[str] = ()
) -> Results:
    """Gather tables, figure and text."""
    facts, tests, policies = pd.DataFrame(found.facts), found.tests, found.policies
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
    explored = ["question", "policy", *columns[1:5], *columns[5:8]]
    columns += [name for name in _BOOTSTRAPPED if tests[name].notna().any()]
    coefficients = found.coefficients
    linear = coefficients.loc[~coefficients["term"].str.contains("**", regex=False)]
    return Results(
        name="human",
        title="Surprisal, activity and human responses",
        question="Do sparsity and adjustment of the model's activity, or their product with surprisal, explain N400 and "
        "P600 amplitudes beyond the controls and surprisal?",
        model=model,
        rows=" ".join(map(_rows, found.facts)),
        shown={
            "Steps: gains in nats a trial on held-out folds, with 95 % intervals over the units held out": tests[
                columns
            ],
            "Added terms, µV for one SD (REML, Satterthwaite; squares are in coefficients.csv)": linear,
            "Random parts, from the fullest to the one used in every model of a question": found.rungs[
                ["question", "formula", "loglik", "singular", "removed"]
            ],
            "Rows and ceilings": facts,
        }
        | (
            {"Exploratory: words read under CLADA and its controls": policies[explored]}
            if len(policies)
            else {}
        ),
        tables={
            "steps": tests,
            "coefficients": coefficients,
            "random": found.rungs,
            "facts": facts,
            "policies": policies,
        },
        figure=_figure(tests, policies),
        r2=_r2(tests),
        control="Each step stands against the model before it, with the same rows and random part; the products against "
        "both main effects and both squares, because a curve in either of two correlated predictors passes for a product. "
        f"p is adjusted (Benjamini and Hochberg) over a component's steps, policies included: {_families(tests)}. CLADA is "
        "to be compared with its controls at equal cost, not with the dense trace.",
        shows=f"{_shows(tests)} {_signs(coefficients)} {_under_policies(policies)}".strip(),
        limits="Predictors vary over stimuli, not trials, so the random part holds a term for stimuli wherever "
        "one has several trials; subjects have slopes of single measures, not of products. Under a policy sparsity and "
        "adjustment follow surprisal by construction, so those rows are exploration, with random intercepts only and "
        "without words in the dense beginning of a text; the reanalysis event, which needs a window of tokens, has "
        "fewer rows still. Held-out folds use fixed effects alone. The by-word "
        "means of de Varda et al. (2023) come from the readers of Frank et al. (2015): no replication, no subjects, and "
        "so no noise ceiling. Squares are no finding of their own. A step that is not shown is no evidence of absence.",
        settings=settings,
        departures=departures,
    )


def _families(tests: pd.DataFrame) -> str:
    sizes = tests.groupby("component", sort=False)["family_size"].first()
    return ", ".join(f"{size} of {component}" for component, size in sizes.items())


def _under_policies(policies: pd.DataFrame) -> str:
    """Say whether the reanalysis event predicts unseen P600s beyond surprisal, the condition for naming it after them."""
    if policies.empty:
        return ""
    event = policies.loc[
        (policies["step"] == EVENT) & (policies["component"] == "p600") & (policies["policy"] == "clada")
    ]
    if event.empty:
        verdict = "was too rare among the P600 words to be tested, so it is not called P600-like"
    elif ((event["held_out_low"] > 0) & (event["p_bh"] < _ALPHA)).all():
        verdict = "predicts unseen P600s beyond surprisal, so it may be called P600-like"
    else:
        verdict = "is not shown to predict unseen P600s beyond surprisal, so it is not called P600-like"
    return f"Exploratory: CLADA's reanalysis event {verdict}."


def _rows(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['question']}: {facts['n_obs']:,} rows ({facts['n_incomplete']} left out for gaps), "
        f"{facts['n_stimuli']:,} stimuli, {facts['n_surprisal_values']:,} values of surprisal."
    )


def _r2(tests: pd.DataFrame) -> str:
    products = tests.loc[tests["step"].str.contains(" x ")]
    lines = [
        f"{row.question}, {row.step}: ΔR²m = {row.delta_r2:.1e}{_drawn(row)} of R²m = {row.r2_marginal:.4f} "
        f"(R²c = {row.r2_conditional:.3f})"
        for row in products.itertuples()
    ]
    return (
        "; ".join(lines) + ". An interval of ΔR² is no test: R² hardly ever falls when a term is added. "
        "The adjusted p above rest on likelihood ratios, which are a little liberal with few stimuli."
    )


def _drawn(row: Any) -> str:
    """Return the interval of ΔR² and p from replicates, where there are any."""
    if not row.n_replicates:
        return ""
    return (
        f" [{row.delta_r2_low:.1e}, {row.delta_r2_high:.1e}], p = {row.p_null:.3f} by {row.n_replicates:.0f} simulations "
        "under the null,"
    )


def _shows(tests: pd.DataFrame) -> str:
    """Name the steps whose adjusted p and held-out interval agree, and those where they do not."""
    small, better = tests["p_bh"] < _ALPHA, tests["held_out_low"] > 0
    return (
        f"Below p = .05 and better on held-out rows: {_names(tests.loc[small & better])} "
        f"Below p = .05, but no gain shown on held-out rows: {_names(tests.loc[small & ~better])} "
        f"Not shown: {_names(tests.loc[~small])}"
    )


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


def _figure(tests: pd.DataFrame, policies: pd.DataFrame) -> Figure:
    questions = list(dict.fromkeys(tests["question"]))
    layers = [(tests.assign(policy="dense"), COLORS[:1])]
    if len(policies):
        layers.append((policies, COLORS[1:]))

    def paint(canvas: Canvas) -> None:
        heights = [table["step"].nunique() for table, _ in layers]
        axes = canvas.subplots(len(layers), len(questions), squeeze=False, height_ratios=heights)
        for line, (table, colors) in zip(axes, layers, strict=True):
            steps = list(dict.fromkeys(table["step"]))
            for axis, question in zip(line, questions, strict=True):
                _gains(axis, table.loc[table["question"] == question], steps, colors)
                axis.tick_params(labelsize=8)
                axis.locator_params(axis="x", nbins=4)
                if axis is not line[0]:
                    axis.set_yticklabels([])
            line[-1].legend(fontsize=7, loc="lower right")
        for axis, question in zip(axes[0], questions, strict=True):
            axis.set_title(question.replace("_", " ", 1).replace("_over_", "\nover "), fontsize=9)
        for axis in axes[-1]:
            axis.set_xlabel("held-out gain (nats a trial)", fontsize=8)

    return compose(
        "human",
        "Gain in held-out log-likelihood of each step over the model before it, with 95 % intervals over the items "
        "(sentences, where every word is measured). Right of 0 the step predicts unseen items better. Below, "
        "exploratory: each step beyond surprisal in the traces under CLADA and its controls.",
        "Held-out gains of each step, one column a question, dense traces above and policies below",
        paint,
        (2.4 + 2.1 * len(questions), 4.0 + (3.0 if len(policies) else 0.0)),
    )


def _gains(axis: Axes, rows: pd.DataFrame, names: Sequence[str], colors: Sequence[str]) -> None:
    """Draw gains with intervals: a line for each of the named steps, policies side by side on it."""
    policies = list(dict.fromkeys(rows["policy"]))
    for number, (policy, color) in enumerate(zip(policies, colors, strict=False)):
        part = rows.loc[rows["policy"] == policy]
        shift = 0.16 * (number - (len(policies) - 1) / 2)
        places = [names.index(name) + shift for name in part["step"]]
        reach = [part["held_out"] - part["held_out_low"], part["held_out_high"] - part["held_out"]]
        axis.errorbar(
            part["held_out"], places, xerr=reach, fmt="o", ms=3.5, lw=1.2, color=color, label=policy
        )
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
