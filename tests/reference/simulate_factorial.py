"""Draw unbalanced three-factor designs with covariates, four sets of them. Usage: python simulate_factorial.py OUTDIR."""

import sys

import numpy as np
import pandas as pd

CONDITIONS, BLOCKS = ["correct", "semantic", "syntactic"], ["early", "late"]


def factorial(
    n_subjects: int, n_items: int, seed: int, sd_subject: float, sd_item: float, drop: float
) -> pd.DataFrame:
    """Return crossed trials: condition and block within subjects, group between; x varies over items, z over trials."""
    rng = np.random.default_rng(seed)
    s, i = np.repeat(np.arange(n_subjects), n_items), np.tile(np.arange(n_items), n_subjects)
    condition = (s + i) % 3
    block = ((s + 2 * i) // 3) % 2
    group = s % 2
    x = rng.normal(8, 2, n_items)[i]
    z = rng.gamma(3, 1.5, len(s))
    y = (
        -1.0
        - 1.2 * (condition == 1)
        + 0.8 * (condition == 2) * (1 + group)
        + 0.5 * block
        - 0.3 * x * (1 + 0.5 * (condition == 2))
        + 0.9 * np.log(z)
        + sd_subject
        * (rng.standard_normal(n_subjects)[s] + 0.1 * rng.standard_normal(n_subjects)[s] * (x - 8))
        + sd_item * rng.standard_normal(n_items)[i]
        + rng.normal(0, 2.5, len(s))
    )
    trials = pd.DataFrame(
        {
            "subject": [f"s{k:02d}" for k in s],
            "item": [f"i{k:02d}" for k in i],
            "condition": np.array(CONDITIONS)[condition],
            "group": np.array(["control", "patient"])[group],
            "block": np.array(BLOCKS)[block],
            "list": 1 + i % 4,
            "half": block - 0.5,
            "x": x,
            "z": z,
            "n400_uv": y,
        }
    )
    # Some cells lose more trials than others.
    kept = rng.random(len(trials)) >= drop * (1 + (condition == 1) + group * block) / 2
    return trials[kept].reset_index(drop=True)


SETS = {
    "unbalanced": (20, 18, 20260701, 1.5, 0.9, 0.25),
    "few": (8, 12, 20260702, 1.2, 0.8, 0.20),
    "nearzero": (20, 18, 20260703, 0.9, 0.02, 0.15),
    "full": (18, 18, 20260704, 1.0, 1.0, 0.0),
}

if __name__ == "__main__":
    for name, arguments in SETS.items():
        factorial(*arguments).to_csv(f"{sys.argv[1]}/factorial_{name}.csv", index=False, float_format="%.10g")
