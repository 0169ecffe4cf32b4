"""How well does a model's surprisal predict human responses when part of its feed-forward bytes is not read?

Single-trial noun N400s (Nieuwland et al., 2018); to the words of 205 sentences single first-pass times (Frank et al., 2013) and means by word
of N400, P600 and self-paced times (de Varda et al., 2023). In each model of a response the surprisal of the same words stands, read by SmolLM2 under a policy at a
feed-forward sparsity, beside the dense model's; rows, controls and random part are the same. What it is worth is the gain in
log-likelihood on items left out over the model without surprisal, with an interval over items. Beside it: the rise of loss on the same
words. Words that a policy reads with less than one word processed by it are left out for all.

    python analyses/27_brain_fit.py [--policy clada …] [--sparsity 0.2 0.4 0.5 0.6] [--tables]

Writes results/brain_fit/: brain_fit.csv, brain_fit.png, brain_fit.md. Traces are kept in the cache, so the same command goes on where it
stopped; ``--tables`` makes the tables of those that are there.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from _shared.brain_page import figure, page
from _shared.brain_traces import Beyond, Cell, Traces
from _shared.results import results_folder
from _shared.texts import c4_for_calibration
from tqdm import tqdm

from clada_neuro import load_model
from clada_neuro.artifacts import write_text
from clada_neuro.exports import write_csv
from clada_neuro.responses.alignment import align
from clada_neuro.stats.crossval import item_folds
from clada_neuro.stats.layers.folds import leave_out
from clada_neuro.stats.layers.likelihood import fit, fit_each, start_from
from clada_neuro.stats.layers.models import Given, prepare
from clada_neuro.stats.layers.products import products
from clada_neuro.stats.mixed import estimate
from clada_neuro.stimuli import datasets

POLICIES = ("clada", "random-load", "no-load", "teal", "wina", "cats", "griffin")
SPARSITIES = (0.2, 0.4, 0.5, 0.6)
REACH = dict.fromkeys(("clada", "random-load", "no-load"), 0.54)  # of the calibration that ships
WORD = ["stimulus_id", "word_index"]
UNDER, SURPRISAL = "surprisal_under_policy", "surprisal_bits"
FOLDS, SEED, Z = 10, 0, 1.959964
CONTROLS = "length + zipf_frequency + position"
FIT_TEXTS = 60


@dataclass(frozen=True)
class Question:
    """A response, its model, and the groups whose levels stay together in a fold; ``texts`` is the set whose sentences are read."""

    dataset: str
    response: str
    title: str
    formula: str
    fold: str
    weights: str | None = None
    texts: str = "devarda2023"


BY_WORD = f"surprisal_bits + {CONTROLS} + (1|sentence)"
QUESTIONS = (
    Question(
        "nieuwland2018", "n400_uv", "N400, nouns", "surprisal_bits + (1|subject) + (1|item) + (1|stimulus)", "item",
        texts="nieuwland2018",
    ),
    Question("devarda2023", "n400_uv", "N400, words' means", BY_WORD, "sentence", "n_trials"),
    Question("devarda2023", "p600_uv", "P600, words' means", BY_WORD, "sentence", "n_trials"),
    Question("devarda2023", "self_paced_ms", "self-paced times, words' means", BY_WORD, "sentence"),
    Question(
        "frank2013_et", "first_pass_ms", "first-pass times",
        f"surprisal_bits + {CONTROLS} + previous_fixated + (1|subject) + (1|sentence) + (1|item)", "sentence",
    ),
)  # fmt: skip


TEXTS = tuple(dict.fromkeys(question.texts for question in QUESTIONS))


@dataclass(frozen=True)
class _Under:
    """The column that stands in place of surprisal."""

    measures: tuple[str, ...] = (UNDER,)
    replaces: str = SURPRISAL


def compared(
    question: Question, dense: pd.DataFrame, under: dict[Cell, pd.DataFrame], rows_of: pd.Index
) -> pd.DataFrame:
    """Return a row a cell, the dense model first: gain over no surprisal, and over the dense model's, in nats a row.

    Parameters
    ----------
    dense, under
        Words of the data set, dense and by cell.
    rows_of
        The words (`WORD`) that all policies processed.
    """
    trials = align(dense, datasets.load_trials(question.dataset).frame).trials
    trials = trials[pd.MultiIndex.from_frame(trials[WORD]).isin(rows_of)].reset_index(drop=True)
    if question.weights:
        trials[question.weights] = trials[question.weights] / trials[question.weights].mean()
    cells = list(under)
    table = pd.concat(
        [
            words[WORD].assign(layer=number, **{UNDER: words[SURPRISAL]})
            for number, words in enumerate(under.values())
        ],
        ignore_index=True,
    )
    given = Given(question.title, f"{question.response} ~ {question.formula}", (), None, question.weights)
    ready = prepare(trials, table, given, _Under())
    design = ready.baseline.design
    made = products(design, ready.candidates)
    engine = estimate(ready.baseline, reml=True)
    near = start_from([value / engine.sigma**2 for value in engine.estimate.covariances], made)
    null, null_ml = (fit(made, None, near, reml) for reml in (True, False))
    fits = fit_each(made, np.arange(len(ready.columns)), null.theta, True)
    items, labels, fold_of = item_folds(ready.baseline.data, question.fold, FOLDS, SEED)
    held = leave_out(
        design, ready.candidates, items, fold_of, null_ml.theta, dict(enumerate(map(str, labels)))
    )
    rows = []
    for column, (measure, number) in enumerate(ready.columns):
        own = held.held[:, 1 + column]
        rows.append(
            {
                "cell": cells[number] if measure == UNDER else None,
                "estimate": fits[column].b,
                "se": fits[column].se,
                "gain": held.gain(own, held.held[:, 0]),
                "over_dense": held.gain(own, held.held[:, -1]),
            }
        )
    facts = {
        "dataset": question.dataset,
        "texts": question.texts,
        "response": question.response,
        "title": question.title,
    }
    counts = {"n_rows": len(design.y), "n_items": len(labels), "n_words": ready.n_words}
    return pd.DataFrame([_row(row) | facts | counts for row in [rows[-1], *rows[:-1]]])


def _row(row: dict) -> dict:  # type: ignore[type-arg]
    cell = row["cell"]
    found = {
        "policy": "dense" if cell is None else cell.policy,
        "asked": 0.0 if cell is None else cell.sparsity,
        "estimate": row["estimate"],
        "se": row["se"],
    }
    for name in ("gain", "over_dense"):
        mean, se = row[name]
        found |= {name: mean, f"{name}_low": mean - Z * se, f"{name}_high": mean + Z * se}
    return found


def losses(dense: pd.DataFrame, under: dict[Cell, pd.DataFrame], rows_of: pd.Index) -> pd.DataFrame:
    """Return a row a cell: bytes not read, and the rise of loss over dense, bits a word, with an interval over texts."""
    base = dense.set_index(WORD).loc[rows_of, SURPRISAL]
    rows = [
        {"policy": "dense", "asked": 0.0, "ffn_sparsity": 0.0, "loss": 0.0, "loss_low": 0.0, "loss_high": 0.0}
    ]
    for cell, words in under.items():
        own = words.set_index(WORD).loc[rows_of]
        rise = (own[SURPRISAL] - base).dropna()
        by_text = rise.groupby(level=0).sum()
        se = float(np.sqrt(len(by_text)) * by_text.std(ddof=1) / len(rise))
        mean = float(rise.mean())
        rows.append(
            {
                "policy": cell.policy, "asked": cell.sparsity, "ffn_sparsity": float(own["ffn_sparsity"].mean()), "loss": mean,
                "loss_low": mean - Z * se, "loss_high": mean + Z * se,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def processed(under: dict[Cell, pd.DataFrame]) -> pd.Index:
    """Return the words before which every policy has processed a whole word."""
    kept = None
    for words in under.values():
        before = words.groupby("stimulus_id", sort=False)["ffn_sparsity"].shift() > 0
        own = pd.MultiIndex.from_frame(words.loc[before & (words["ffn_sparsity"] > 0), WORD])
        kept = own if kept is None else kept.intersection(own)
    assert kept is not None
    return kept


def tables(traces: Traces, cells: Sequence[Cell]) -> pd.DataFrame:
    """Return a row a response and cell."""
    found = []
    for texts in TEXTS:
        dense = traces.words(texts, None)
        under = {cell: traces.words(texts, cell) for cell in tqdm(cells, desc=texts)}
        rows_of = processed(under)
        lost = losses(dense, under, rows_of)
        for question in (one for one in QUESTIONS if one.texts == texts):
            found.append(compared(question, dense, under, rows_of).merge(lost, on=["policy", "asked"]))
    return pd.concat(found, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", nargs="+", default=list(POLICIES))
    parser.add_argument("--sparsity", type=float, nargs="+", default=list(SPARSITIES))
    parser.add_argument("--tables", action="store_true", help="only of the traces that are there")
    given = parser.parse_args()
    model = load_model("smollm2")
    traces = Traces(model, Beyond(model, tuple(c4_for_calibration()[:FIT_TEXTS])), REACH)
    cells = list(traces.cells(given.policy, given.sparsity))
    there = [
        cell for cell in cells if not given.tables or all(traces.is_there(texts, cell) for texts in TEXTS)
    ]
    table = tables(traces, there)
    results = results_folder(__file__)
    write_csv(table, results / "brain_fit.csv", encoding="utf-8")
    figure(table, results / "brain_fit.png")
    left_out = [str(cell) for cell in cells if cell not in there]
    write_text(results / "brain_fit.md", page(table, left_out))
    print(table.drop(columns=["dataset", "texts", "title"]).round(5).to_string(index=False))


if __name__ == "__main__":
    main()
