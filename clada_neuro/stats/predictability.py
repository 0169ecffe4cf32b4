"""Which function of a word's probability speaks to a response: each in place of surprisal, compared on items left out.

With surprisal s in bits, p = 2^-s. Between the two lie functions of p that fall more slowly than its logarithm for words that
are improbable: the root of p, and powers of s below 1, the sub-logarithmic ones of Michaelov & Bergen (2024, On the
mathematical relationship between contextual probability and N400 amplitude, Open Mind, 8, 859-897). Cloze probability and
similarity to the context stand beside them where trials have them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.stats.crossval import item_folds
from clada_neuro.stats.layers.folds import leave_out
from clada_neuro.stats.layers.likelihood import fit, fit_each, start_from
from clada_neuro.stats.layers.models import FINAL, WORD, Given, prepare
from clada_neuro.stats.layers.products import products
from clada_neuro.stats.mixed import estimate

SURPRISAL = "surprisal_bits"
# Each falls as probability grows, as surprisal does.
FORMS: Mapping[str, tuple[str, Callable[[pd.Series], pd.Series]]] = {
    "surprisal_power_3_4": ("s^(3/4)", lambda s: s**0.75),
    "surprisal_power_1_2": ("s^(1/2)", lambda s: s**0.5),
    "minus_root_probability": ("−√p", lambda s: -(2 ** (-s / 2))),
    "minus_probability": ("−p", lambda s: -(2.0**-s)),
}
BESIDE = ("cloze", "similarity_context")
KNOWN = 0.95  # of the trials, without which one of `BESIDE` would take too many from all others


@dataclass(frozen=True)
class _Replacing:
    measures: tuple[str, ...]
    replaces: str = SURPRISAL


def predictability_of(
    trials: pd.DataFrame, given: Given, *, folds: int = 10, fold: str = "item", seed: int = 0, jobs: int = 1
) -> dict[str, Any]:
    """Fit a model with each form of predictability in place of surprisal, on the same rows and with the same random part.

    Parameters
    ----------
    trials : pandas.DataFrame
        One row a trial, with the model's columns and the word's numbers.
    given : Given
        A linear model with surprisal as a term of its own.
    folds, fold : int, str
        Number of folds, and the column whose levels stay together.

    Returns
    -------
    dict
        What was fitted, and ``forms``, a row a form: ``estimate`` a standard deviation of it by REML, log-likelihood by ML, and
        gains in nats a trial on items left out, over the model without any and over surprisal.

    Raises
    ------
    FitError
        If surprisal cannot be replaced, or a model cannot be fitted.
    """
    table, notes = _forms(trials)
    names = tuple(name for name in table if name not in (*WORD, "layer"))
    ready = prepare(trials, table, given, _Replacing(names))
    design = ready.baseline.design
    made = products(design, ready.candidates)
    engine = estimate(ready.baseline, reml=True)
    near = start_from([value / engine.sigma**2 for value in engine.estimate.covariances], made)
    columns = np.arange(len(ready.columns))
    baselines = {reml: fit(made, None, near, reml) for reml in (True, False)}
    fits = {reml: fit_each(made, columns, one.theta, reml) for reml, one in baselines.items()}
    items, labels, fold_of = item_folds(ready.baseline.data, fold, folds, seed)
    near, names_of = baselines[False].theta, dict(enumerate(map(str, labels)))
    held = leave_out(design, ready.candidates, items, fold_of, near, names_of, jobs)
    last = ready.candidates.values[ready.candidates.codes, -1]
    rows = []
    for column, key in enumerate(ready.columns):
        name = SURPRISAL if key == FINAL else key[0]
        reml, ml = fits[True][column], fits[False][column]
        over_none = held.gain(held.held[:, 1 + column], held.held[:, 0])
        over_surprisal = held.gain(held.held[:, 1 + column], held.held[:, -1])
        values = ready.candidates.values[ready.candidates.codes, column]
        rows.append(
            {
                "form": name,
                "formula": "s" if key == FINAL else FORMS.get(name, ("",))[0],
                "mean": ready.scales[0, column],
                "sd": ready.scales[1, column],
                "r_surprisal": float(np.corrcoef(values, last)[0, 1]),
                "estimate": reml.b,
                "se": reml.se,
                "loglik": ml.loglik,
                "delta_loglik_per_trial": (ml.loglik - baselines[False].loglik) / held.n_rows,
                "heldout_none": over_none[0],
                "heldout_none_se": over_none[1],
                "heldout_surprisal": over_surprisal[0],
                "heldout_surprisal_se": over_surprisal[1],
                "converged": reml.converged and ml.converged,
            }
        )
    return {
        "name": given.name,
        "response": ready.baseline.formula.response,
        "formula": given.formula,
        "n_obs": len(design.y),
        "n_items": len(labels),
        "folds": folds,
        "fold": fold,
        "seed": seed,
        "notes": [*notes, *_plainly(ready.notes)],
        "forms": [rows[-1], *rows[:-1]],
    }


def _forms(trials: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a row a word with all forms of its predictability, and which were not compared."""
    words = trials.drop_duplicates(list(WORD))
    table = words[list(WORD)].assign(layer=0)
    for name, (_, form) in FORMS.items():
        table[name] = form(words[SURPRISAL])
    notes = []
    for name in (name for name in BESIDE if name in trials):
        known = trials[name].notna().mean()
        if known >= KNOWN:
            table[name] = words[name]
        else:
            notes.append(f"{name} is left out: it is known for {known:.0%} of the trials, {KNOWN:.0%} needed")
    return table, notes


def _plainly(notes: tuple[str, ...]) -> list[str]:
    """Return notes without words that are of layers."""
    return [
        note.replace(" of layer 0", "").replace("a measure by layer", "one of the forms") for note in notes
    ]
