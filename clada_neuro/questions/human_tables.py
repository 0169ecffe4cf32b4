"""The tables of the human analysis's page; what they leave out stands in the CSV files beside it."""

from collections.abc import Sequence

import pandas as pd

from clada_neuro.questions.cells import estimates, parts, question_words, step_words
from clada_neuro.questions.climbed import CountedRows
from clada_neuro.reporting.blocks import Table
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.page_tables import coefficient_cells, slug
from clada_neuro.reporting.text import number, p_value, share
from clada_neuro.stats.formula import parse
from clada_neuro.stats.steps import StepSpecification

NATS = 1000  # gains are shown in thousandths of a nat
_CEILING = ("ceiling", "ceiling_low", "ceiling_high", "r2_of_means_surprisal")
_GAIN = ("held_out", "held_out_low", "held_out_high")


def steps(tests: pd.DataFrame) -> Table:
    """Return what each step of one question adds."""
    shown = _compared(tests).assign(**{"ΔR²m": [share(value, 4) for value in tests["delta_r2"]]})
    caption = (
        f"What each step adds to the model before it ({tests['n_obs'].iloc[0]:,} rows); held-out gains in 10⁻³ nats a trial, with 95 % "
        "intervals over the units held out."
    )
    return Table(f"steps_{slug(tests['question'].iloc[0])}", caption, tests, shown)


def specified_steps(specified: Sequence[StepSpecification]) -> Table:
    """Return what was decided of the steps."""
    rows = pd.DataFrame([vars(step) for step in specified])
    shown = pd.DataFrame(
        {
            "step": [step_words(step.name) for step in specified],
            "over": [step_words(step.over) if step.over else "controls" for step in specified],
            "adds": [", ".join(map(words, step.adds)) for step in specified],
        }
    )
    return Table(
        "specified_steps", "The steps, as they were decided before any model was fitted.", rows, shown
    )


def under_policies(policies: pd.DataFrame) -> Table:
    """Return what each step adds to one question in the trace under each policy."""
    shown = _compared(policies)
    shown.insert(0, "policy", policies["policy"].to_numpy())
    caption = "Each step beyond surprisal, in the traces under CLADA and its controls; held-out gains in 10⁻³ nats a trial."
    return Table(f"policies_{slug(policies['question'].iloc[0])}", caption, policies, shown)


def _compared(tests: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": map(step_words, tests["step"]),
            "χ²": tests["chi2"].map(number).to_numpy(),
            "df": tests["df"].map(str).to_numpy(),
            "p (BH)": tests["p_bh"].map(p_value).to_numpy(),
            "held-out gain": estimates(tests, _GAIN, NATS),
        }
    )


def terms(coefficients: pd.DataFrame) -> Table:
    """Return the terms that the steps of one question add; squares stand in the file alone."""
    rows = coefficients.loc[~coefficients["term"].str.contains("**", regex=False)].reset_index(drop=True)
    shown = coefficient_cells(rows)
    shown.insert(0, "step", [step_words(name) for name in rows["step"]])
    shown.insert(1, "term", [words(name) for name in rows["term"]])
    if (rows["registered"] != "").any():
        shown["registered"] = rows["registered"]
    unit = rows["unit"].iloc[0] or "the response's own units"
    caption = f"Added terms: {unit} for one SD (REML, Satterthwaite); squares stand in coefficients.csv."
    return Table(f"terms_{slug(rows['question'].iloc[0])}", caption, rows, shown)


def products(tests: pd.DataFrame, coefficients: pd.DataFrame) -> Table | None:
    """Return ΔR² of the products, with what replicates say of it where there are any."""
    adding = coefficients.loc[coefficients["term"].str.contains(":"), ["question", "step"]].drop_duplicates()
    rows = tests.merge(adding, on=["question", "step"])
    if rows.empty:
        return None
    shown = pd.DataFrame(
        {
            "question": map(question_words, rows["question"]),
            "step": map(step_words, rows["step"]),
            "ΔR²m [95 %]": parts(rows, ("delta_r2", "delta_r2_low", "delta_r2_high")),
            "p under the null": [
                p_value(p) if drawn else ""
                for p, drawn in zip(rows["p_null"], rows["n_replicates"], strict=True)
            ],
            "simulations": [f"{drawn:.0f}" if drawn else "" for drawn in rows["n_replicates"]],
            "R²m": rows["r2_marginal"].map(share),
            "R²c": rows["r2_conditional"].map(share),
        }
    )
    caption = "What the products add to R², beside the R² of the model that holds them."
    return Table("products", caption, rows, shown)


def random_parts(rungs: pd.DataFrame) -> Table:
    """Return the random parts that were tried, from the fullest to the one that all models of a question have."""
    shown = pd.DataFrame(
        {
            "question": map(question_words, rungs["question"]),
            "random part": [" + ".join(map(str, parse(text).random)) for text in rungs["formula"]],
            "log-likelihood": rungs["loglik"].map(number),
            "state": ["singular" if singular else "not singular" for singular in rungs["singular"]],
            "removed": [text or "" for text in rungs["removed"].fillna("")],
        }
    )
    caption = "Random parts, from the fullest to the one used in every model of a question."
    return Table("random", caption, rungs, shown)


def frame_of(counted: Sequence[CountedRows]) -> pd.DataFrame:
    """Return a row a question."""
    return pd.DataFrame([one.row() for one in counted]).astype(dict.fromkeys(_CEILING, float))


def counts(counted: Sequence[CountedRows]) -> Table:
    """Return counts of rows and stimuli, and how much of the stimuli's means could be explained at all."""
    rows = frame_of(counted)
    shown = pd.DataFrame(
        {
            "question": map(question_words, rows["question"]),
            "rows": rows["n_obs"].map("{:,}".format),
            "left out for gaps": rows["n_incomplete"].map("{:,}".format),
            "stimuli": rows["n_stimuli"].map("{:,}".format),
            "values of surprisal": rows["n_surprisal_values"].map("{:,}".format),
        }
    )
    if rows["steps_left_out"].any():
        shown["steps left out"] = [
            "; ".join(map(step_words, text.split("; "))) for text in rows["steps_left_out"]
        ]
    caption = "Rows of each question."
    if rows["ceiling"].notna().any():
        shown["noise ceiling"] = estimates(rows, ("ceiling", "ceiling_low", "ceiling_high"))
        shown["r² of means, surprisal"] = rows["r2_of_means_surprisal"].map(share)
        shown = shown.replace("NA", "")
        caption += (
            " Noise ceiling: reliability of the stimuli's means over subjects, from split halves, which limits what any predictor can "
            "explain of them; beside it what surprisal explains."
        )
    return Table("facts", caption, rows, shown)
