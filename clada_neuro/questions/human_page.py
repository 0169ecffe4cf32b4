"""The page of the human analysis: what each step of the ladders added, and what that means."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from clada_neuro.questions.cells import estimate, question_words, step_words
from clada_neuro.questions.climbed import Climbed
from clada_neuro.questions.human_figures import gains, gains_under_policies
from clada_neuro.questions.human_policies import EVENT
from clada_neuro.questions.human_tables import (
    counts,
    frame_of,
    products,
    random_parts,
    specified_steps,
    steps,
    terms,
    under_policies,
)
from clada_neuro.questions.page import Answer
from clada_neuro.reporting.blocks import Block, Facts, Headed, Paragraph, Points, Section
from clada_neuro.reporting.labels import words
from clada_neuro.stats.steps import LadderSpecification

_ALPHA = 0.05


def human_answer(
    found: Climbed,
    ladders: Sequence[LadderSpecification],
    model: Mapping[str, Any],
    settings: Mapping[str, Any],
    departures: Sequence[str] = (),
    title: str = "Surprisal, activity and human responses",
) -> Answer:
    """Gather tables, figures and text of the ladders that were climbed."""
    tests, policies = found.tests, found.policies
    return Answer(
        name="human",
        title=title,
        question="Do sparsity and adjustment of the model's activity, or their product with surprisal, explain N400 and "
        "P600 amplitudes beyond the controls and surprisal?"
        if settings.get("analysis") is None
        else "What does each step explain of human responses beyond the model that it stands over?",
        model=model,
        shows=list(_shows(found)),
        results=list(_results(found)),
        control=[Paragraph(_control(found, ladders)), specified_steps(ladders[0].steps)],
        limits=list(_limits(ladders, under_policies=bool(len(policies)))),
        rows=[counts(found.counts), random_parts(found.rungs)],
        tables={
            "steps": tests,
            "coefficients": found.coefficients,
            "random": found.rungs,
            "facts": frame_of(found.counts),
            "policies": policies,
        },
        settings=settings,
        departures=departures,
    )


def _control(found: Climbed, ladders: Sequence[LadderSpecification]) -> str:
    curved = (
        "; the products against both main effects and both squares, because a curve in either of two correlated predictors passes "
        "for a product"
    )
    under = " CLADA is to be compared with its controls at equal cost, not with the dense trace."
    return (
        f"Each step stands against the model that it is over, with the same rows and random part{curved if _over_squares(ladders[0]) else ''}. "
        f"p is adjusted (Benjamini and Hochberg) over a component's steps, policies included: {_families(found.tests)}."
        f"{under if len(found.policies) else ''}"
    )


def _over_squares(ladder: LadderSpecification) -> bool:
    """Return whether there are products, and each stands over the squares of what it is a product of."""
    steps = ladder.models([name for step in ladder.steps for name in step.columns])
    squares = [
        {f"I({name} ** 2)" for term in step.added for name in term.split(":")} <= set(step.smaller)
        for step in steps
        if step.is_product
    ]
    return bool(squares) and all(squares)


def _limits(ladders: Sequence[LadderSpecification], *, under_policies: bool) -> Iterator[str]:
    yield (
        "Predictors vary over stimuli, not trials, so the random part must hold a term for stimuli wherever one has several trials; "
        "subjects have slopes of single measures, not of products."
    )
    if under_policies:
        yield (
            "Under a policy sparsity and adjustment follow surprisal by construction, so those rows are exploration, with random "
            "intercepts only and without words in the dense beginning of a text; the reanalysis event, which needs a window of tokens, "
            "has fewer rows still."
        )
    yield "Held-out folds use fixed effects alone."
    if any(ladder.target == "devarda2023" for ladder in ladders):
        yield (
            "The by-word means of de Varda et al. (2023) come from the readers of Frank et al. (2015): no replication, no subjects, and "
            "so no noise ceiling."
        )
    if any("**" in term for step in ladders[0].steps for term in step.adds):
        yield "Squares are no finding of their own."
    yield "A step that is not shown is no evidence of absence."


def _results(found: Climbed) -> Iterator[Section]:
    """Yield the sections of numbers: the steps of each question, the products, and the policies."""
    yield Section(
        "steps",
        "Steps",
        [
            Headed(
                question_words(name),
                [
                    gains(_of(found.tests, name)),
                    steps(_of(found.tests, name)),
                    terms(_of(found.coefficients, name)),
                ],
            )
            for name in found.questions
        ],
    )
    if shown := products(found.tests, found.coefficients):
        yield Section(
            "products",
            "R² of the products",
            [
                shown,
                Paragraph(
                    "An interval of ΔR² is no test: R² hardly ever falls when a term is added. The adjusted p of the steps rest on "
                    "likelihood ratios, which are a little liberal with few stimuli."
                ),
            ],
        )
    if len(found.policies):
        yield Section(
            "policies",
            "Exploratory: the same words read under CLADA and its controls",
            [
                Headed(question_words(str(name)), [gains_under_policies(rows), under_policies(rows)])
                for name, rows in found.policies.groupby("question", sort=False)
            ],
        )


def _of(rows: pd.DataFrame, question: str) -> pd.DataFrame:
    return rows.loc[rows["question"] == question].reset_index(drop=True)


def _shows(found: Climbed) -> Iterator[Block]:
    """Name the steps whose adjusted p and held-out interval agree, those where they do not, and the directions."""
    small, better = found.tests["p_bh"] < _ALPHA, found.tests["held_out_low"] > 0
    for heading, chosen in {
        "Below p = .05 and better on held-out rows": small & better,
        "Below p = .05, but no gain shown on held-out rows": small & ~better,
        "Not shown": ~small,
    }.items():
        yield Headed(heading, [_named(found.tests.loc[chosen])])
    if directions := list(_directions(found.coefficients)):
        yield Headed("Directions", [Points(directions)])
    if verdict := _under_policies(found.policies):
        yield Paragraph(verdict)


def _named(rows: pd.DataFrame) -> Block:
    pairs = [
        (question_words(str(name)), "; ".join(map(step_words, part["step"])))
        for name, part in rows.groupby("question", sort=False)
    ]
    return Facts(pairs) if pairs else Paragraph("None.")


def _directions(coefficients: pd.DataFrame) -> Iterator[str]:
    """Say for each registered term in the step that adds it which way responses went."""
    first = coefficients.drop_duplicates(["question", "term"])
    for row in first.loc[first["registered"] != ""].itertuples():
        yield (
            f"{question_words(str(row.question))}, {words(str(row.term))}: b = {estimate(row.estimate, row.ci_low, row.ci_high)}"
            f"{row.unit and f' {row.unit}'} for one SD, registered {row.registered}, {_agrees(row)}."
        )


def _agrees(row: Any) -> str:
    if row.ci_low <= 0 <= row.ci_high:
        return "not shown"
    return "as registered" if (row.estimate > 0) == (row.registered == "positive") else "the opposite"


def _families(tests: pd.DataFrame) -> str:
    sizes = tests.groupby("component", sort=False)["family_size"].first()
    return ", ".join(f"{size} of {component.upper()}" for component, size in sizes.items())


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
