"""Are tests of accuracy and counts of the right size, and do their intervals cover? Seeded studies, fitted as a user would.

Binomial and Poisson mixed models with crossed subjects and items: size of the Wald test of a predictor without effect that
varies over items, coverage of the Wald interval of one with effect, and coverage of the contrast of two conditions' marginal
means, as an odds or rate ratio. For log-normal times, coverage of the contrast's ratio. A rate that differs from its nominal
value at α = .001 (exact binomial test) is marked. Laplace's fits with Wald tests are normal approximations: with 40 items and
20 subjects their sizes are expected a little above .05.

    python analyses/22_validate_families.py [--runs 500] [--out DIR]

Writes results/validate_families/families.csv.
"""

import numpy as np
import pandas as pd
from _shared.results import results_folder
from _shared.simulated import judge
from scipy import stats

from clada_neuro.stats.mixed import fitted

SUBJECTS, ITEMS, ALPHA = 20, 40, 0.001
INTERCEPTS = {"subject": 0.7, "item": 0.4}
EFFECT, CONDITION = -0.3, 0.5
FORMULA = "y ~ null + x + condition + (1 | subject) + (1 | item)"
KINDS = {"accuracy": "binomial", "counts": "poisson", "log times": "gaussian"}


def study(kind: str, rng: np.random.Generator) -> pd.DataFrame:
    """Return one study: ``null`` and ``x`` vary over items, ``condition`` over items within subjects."""
    subject, item = map(np.ravel, np.meshgrid(np.arange(SUBJECTS), np.arange(ITEMS), indexing="ij"))
    null, x = rng.normal(size=(2, ITEMS))
    second = (subject + item) % 2
    eta = EFFECT * x[item] + CONDITION * second
    for name, at in (("subject", subject), ("item", item)):
        eta = eta + rng.normal(0, INTERCEPTS[name], at.max() + 1)[at]
    response = {
        "accuracy": lambda: rng.binomial(1, 1 / (1 + np.exp(-0.8 - eta))),
        "counts": lambda: rng.poisson(np.exp(eta)),
        "log times": lambda: np.exp(6 + eta + rng.normal(0, 0.5, len(eta))),
    }[kind]()
    return pd.DataFrame(
        {
            "y": response, "subject": [f"s{k}" for k in subject], "item": [f"i{k}" for k in item],
            "null": null[item], "x": x[item], "condition": np.where(second, "b", "a"),
        }
    )  # fmt: skip


def outcomes(kind: str, number: int, seed: int) -> dict[str, float]:
    """Return what was found in one study: 0 or 1 by name."""
    data = study(kind, np.random.default_rng([seed, list(KINDS).index(kind), number]))
    formula = FORMULA.replace("y ~", "log(y) ~") if kind == "log times" else FORMULA
    fit = fitted(data, formula, family=KINDS[kind])
    x, null = fit.coefficient("x"), fit.coefficient("null")
    ratio = fit.emmeans("condition", type="response").contrasts("control", adjust="none").iloc[0]
    return {
        "null predictor rejects": float(null["p"] < 0.05),
        "interval covers x": float(x["ci_low"] <= EFFECT <= x["ci_high"]),
        "contrast covers": float(ratio["ci_low"] <= np.exp(CONDITION) <= ratio["ci_high"]),
    }


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Return observed and nominal rates of each kind with the exact binomial p; ``ok`` is False below α = .001."""
    rows = []
    for kind, part in table.groupby("kind", sort=False):
        for name in part.columns.drop("kind"):
            hits, n, nominal = int(part[name].sum()), len(part), 0.05 if "rejects" in name else 0.95
            p = float(stats.binomtest(hits, n, nominal).pvalue)
            rows.append((kind, name, n, hits / n, nominal, p, p >= ALPHA))
    return pd.DataFrame(rows, columns=["kind", "what", "n", "rate", "nominal", "p", "ok"])


if __name__ == "__main__":
    judge(__doc__, results_folder(__file__), "families.csv", KINDS, outcomes, summarize)
