"""Draw the ERP-like single trials of this folder. Usage: python simulate.py OUTDIR."""

import sys

import numpy as np
import pandas as pd

BETA = {"b0": -1.5, "surprisal": -0.90, "entropy": -0.30, "sparsity": 0.35, "inter": 0.25}


def simulate(n_subjects: int, n_items: int, seed: int, drop: float = 0.0) -> pd.DataFrame:
    """Return crossed trials with item-level predictors, a by-subject slope of surprisal and item intercepts."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(np.array([[1, 0.45, -0.35], [0.45, 1, -0.25], [-0.35, -0.25, 1]]))
    predictors = rng.standard_normal((n_items, 3)) @ root.T
    predictors = (predictors - predictors.mean(0)) / predictors.std(0)
    sd_intercept, sd_slope, rho, sd_item, sd_residual = 1.2, 0.45, 0.30, 0.70, 5.0
    covariance = rho * sd_intercept * sd_slope
    sigma = np.array([[sd_intercept**2, covariance], [covariance, sd_slope**2]])
    by_subject = rng.multivariate_normal([0, 0], sigma, size=n_subjects)
    by_item = rng.normal(0, sd_item, n_items)
    s, i = np.repeat(np.arange(n_subjects), n_items), np.tile(np.arange(n_items), n_subjects)
    x = predictors[i]
    y = (
        BETA["b0"]
        + by_subject[s, 0]
        + by_item[i]
        + (BETA["surprisal"] + by_subject[s, 1]) * x[:, 0]
        + BETA["entropy"] * x[:, 1]
        + BETA["sparsity"] * x[:, 2]
        + BETA["inter"] * x[:, 0] * x[:, 2]
        + rng.normal(0, sd_residual, n_subjects * n_items)
    )
    trials = pd.DataFrame(
        {
            "subject": [f"s{k:03d}" for k in s],
            "item": [f"i{k:04d}" for k in i],
            "surprisal": x[:, 0],
            "entropy": x[:, 1],
            "sparsity": x[:, 2],
            "n400": y,
        }
    )
    return trials[rng.random(len(trials)) >= drop].reset_index(drop=True) if drop else trials


def singular() -> pd.DataFrame:
    """Return trials whose true slope and item variances are zero."""
    rng = np.random.default_rng(7)
    trials = simulate(24, 120, 20240504)
    subject = rng.normal(0, 1.0, 24)[trials["subject"].str[1:].astype(int)]
    return trials.assign(n400=-1.5 + subject - 0.9 * trials["surprisal"] + rng.normal(0, 5, len(trials)))


if __name__ == "__main__":
    sets = {
        "small": simulate(24, 120, 20240501),
        "large": simulate(40, 400, 20240502),
        "unbal": simulate(24, 120, 20240503, 0.12),
        "singular": singular(),
    }
    for name, trials in sets.items():
        trials.to_csv(f"{sys.argv[1]}/sim_{name}.csv", index=False, float_format="%.17g")
