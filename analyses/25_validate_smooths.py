"""Are tests of smooths of the right size where the effect is a straight line, and do their bands cover it?

Seeded studies of 20 subjects and 40 items with crossed intercepts, fitted as a user would. The predictor varies over items, as
surprisal does, or over trials. Where its effect is a line: how often the test against the line rejects, and how often the
simultaneous band holds the line everywhere. Where it has none: how often the test of the whole smooth rejects. Tensor products
of one predictor of each kind: the test against both lines and their product, where the effect is a plane. A rate that differs
from its nominal value at α = .001 (exact binomial test) is marked, and a size of a test against a line outside 3 to 8 %.

    python analyses/25_validate_smooths.py [--runs 500] [--out DIR]

Writes results/validate_smooths/smooths.csv.
"""

import numpy as np
import pandas as pd
from _shared.results import results_folder
from _shared.simulated import judge
from scipy import stats

from clada_neuro.stats.mixed import MixedFit, fitted

SUBJECTS, ITEMS, SLOPE, ALPHA = 20, 40, 0.3, 0.001
LEAST, MOST = 0.03, 0.08
SD = {"subject": 1.0, "item": 0.5, "residual": 2.0}
KINDS = ("over items", "over trials", "product")
LINE, BAND, ZERO = (
    "line: test against it rejects",
    "line: band covers it",
    "no effect: test of the smooth rejects",
)


def study(rng: np.random.Generator) -> pd.DataFrame:
    """Return one study: ``a`` varies over items, skewed as surprisal is, ``b`` over trials; ``none`` has the noise alone."""
    subject, item = map(np.ravel, np.meshgrid(np.arange(SUBJECTS), np.arange(ITEMS), indexing="ij"))
    noise = rng.normal(0, SD["residual"], len(subject))
    for name, at in (("subject", subject), ("item", item)):
        noise = noise + rng.normal(0, SD[name], at.max() + 1)[at]
    a, b = rng.gamma(3, 1, ITEMS)[item], rng.uniform(0, 4, len(item))
    return pd.DataFrame(
        {
            "subject": [f"s{k}" for k in subject], "item": [f"i{k}" for k in item], "a": a, "b": b,
            "none": noise, "line": noise + SLOPE * a, "trend": noise + SLOPE * b, "plane": noise + SLOPE * (a + b),
        }
    )  # fmt: skip


def outcomes(kind: str, number: int, seed: int) -> dict[str, float]:
    """Return what was found in one study: 0 or 1 by name."""
    data = study(np.random.default_rng([seed, KINDS.index(kind), number]))
    if kind == "product":
        return {LINE: _rejects(_fit(data, "plane", "te(a, b, k = 4)"), "p_line")}
    name, response = ("a", "line") if kind == "over items" else ("b", "trend")
    bent, nothing = (_fit(data, one, f"s({name})") for one in (response, "none"))
    curve = bent.smooth(name)
    truth = SLOPE * (curve[name] - data[name].mean())
    return {
        LINE: _rejects(bent, "p_line"),
        BAND: float(((curve["band_low"] <= truth) & (truth <= curve["band_high"])).all()),
        ZERO: _rejects(nothing, "p"),
    }


def _fit(data: pd.DataFrame, response: str, smooth: str) -> MixedFit:
    found = fitted(data, f"{response} ~ {smooth} + (1 | subject) + (1 | item)")
    assert isinstance(found, MixedFit)
    return found


def _rejects(fit: MixedFit, test: str) -> float:
    return float(fit.smooths()[test][0] < 0.05)


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Return observed and nominal rates of each kind with the exact binomial p; ``ok`` is False outside what is allowed."""
    rows = []
    for kind, part in table.groupby("kind", sort=False):
        for name in part.columns.drop("kind"):
            known = part[name].dropna()
            if known.empty:
                continue
            hits, n, nominal = int(known.sum()), len(known), 0.95 if name == BAND else 0.05
            p = float(stats.binomtest(hits, n, nominal).pvalue)
            fine = LEAST <= hits / n <= MOST if name == LINE else p >= ALPHA
            rows.append((kind, name, n, hits / n, nominal, p, fine))
    return pd.DataFrame(rows, columns=["kind", "what", "n", "rate", "nominal", "p", "ok"])


if __name__ == "__main__":
    judge(__doc__, results_folder(__file__), "smooths.csv", KINDS, outcomes, summarize)
