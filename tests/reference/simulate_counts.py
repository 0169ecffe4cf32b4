"""Draw counts with known effects for generalised models, three sets of them. Usage: python simulate_counts.py OUTDIR."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd


def draw(seed: int, subjects: int, items: int, kept: float, sds: tuple[float, float, float]) -> pd.DataFrame:
    """Return subjects x items rows: accuracy, regressions, hits and misses, by condition (3), group (2) and surprisal."""
    rng = np.random.default_rng(seed)
    subject, item = map(np.ravel, np.meshgrid(np.arange(subjects), np.arange(items), indexing="ij"))
    condition = (subject + item) % 3
    surprisal = rng.normal(8, 3, items)[item] + rng.normal(0, 1, len(item))
    z = (surprisal - 8) / 3
    by_subject, by_item, slope = (
        rng.normal(0, sd, size) for sd, size in zip(sds, (subjects, items, subjects), strict=True)
    )
    eta = 0.8 - 0.5 * z + np.array([0, 0.4, -0.6])[condition] + 0.3 * (subject % 2)
    eta = eta + by_subject[subject] + by_item[item] + slope[subject] * z
    trials = rng.integers(2, 9, len(item))
    hits = rng.binomial(trials, 1 / (1 + np.exp(-eta)))
    frame = pd.DataFrame(
        {
            "subject": [f"s{k:02d}" for k in subject],
            "item": [f"i{k:02d}" for k in item],
            "condition": np.array(["filler", "high", "low"])[condition],
            "group": np.array(["L1", "L2"])[subject % 2],
            "surprisal": surprisal.round(3),
            "accurate": rng.binomial(1, 1 / (1 + np.exp(-eta))),
            "regressions": rng.poisson(np.exp(0.6 * eta - 0.4)),
            "hits": hits,
            "misses": trials - hits,
        }
    )
    return frame[rng.random(len(frame)) < kept]


if __name__ == "__main__":
    for name, *given in (
        ("full", 1, 24, 36, 1.0, (0.7, 0.5, 0.5)),
        ("unbalanced", 2, 30, 24, 0.45, (0.9, 0.6, 0.6)),
        ("nearzero", 3, 20, 30, 1.0, (0.5, 0.0, 0.03)),
    ):
        draw(*given).to_csv(Path(sys.argv[1]) / f"counts_{name}.csv", index=False)
