"""Are known effects recovered? Seeded simulations, each fitted as a user would fit it.

Coverage of 95 % intervals with planted main effects, interaction, curvature, stimulus variance and by-subject
slopes; size of the synergy test without an interaction, with and without curvature in one of two correlated
predictors; size of the test of a predictor without effect that varies over texts, where items have two contexts, with
the texts as stimuli and with the two texts of an item pooled; one bootstrap replicate a simulation, whose statistic must exceed the observed one half of the time; and
the warning when (1 | stimulus) is left out. A rate that differs from its nominal value at α = .001 (exact binomial
test) is marked.

    python analyses/15_validate_statistics.py [--runs 2000] [--jobs N] [--out DIR]

Writes results/validate_statistics/statistics.csv.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from _shared.results import results_folder
from scipy import stats

from clada_neuro.artifacts import content_hash, output_folder
from clada_neuro.erp.simulate import Effects, simulate_trials
from clada_neuro.stats.bootstrap import simulate
from clada_neuro.stats.design import Design
from clada_neuro.stats.engines.base import Quick
from clada_neuro.stats.engines.mixedlm import prepare
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import Model, specify
from clada_neuro.stats.resample import replicate
from clada_neuro.stats.stimulus import missing_stimulus_warnings
from clada_neuro.stimuli.unit import stimulus_label

ALPHA = 0.001
ITEMS, SUBJECTS, CORRELATION = 60, 16, 0.6
INTERCEPTS = "(1 | subject) + (1 | item) + (1 | stimulus)"
POOLED = "(1 | subject) + (1 | item)"
SLOPES = "(1 + surprisal | subject) + (1 | item) + (1 | stimulus)"
MAIN = "surprisal + sparsity"
SQUARES = f"{MAIN} + I(surprisal ** 2) + I(sparsity ** 2)"
PRODUCT = "surprisal:sparsity"
PLAIN = ("(Intercept)", "surprisal", "sparsity")
BASELINE = (*PLAIN, "I(surprisal ** 2)", "I(sparsity ** 2)")
NOISE = {"subject_sd": 1.5, "item_sd": 0.7, "stimulus_sd": 0.7, "residual_sd": 5.0}
PLANTED = {"surprisal": -0.9, "sparsity": -0.4, PRODUCT: -0.3, "surprisal^2": 0.3}
NULL = {"surprisal": -0.9, "sparsity": -0.4}
CURVED = {**NULL, "surprisal^2": 0.8}
# The same words in two contexts: name to items, subjects, SD of texts and of single trials in µV.
CONTEXTS = {
    "80 items": (80, 40, 1.0, 5.0),
    "24 items": (24, 40, 1.0, 5.0),
    "24 items, texts differ": (24, 40, 2.0, 5.0),
}


@dataclass(frozen=True)
class Run:
    """One simulated study of each kind; calling it with a number gives what was found in that one."""

    seed: int = 0
    sizes: Mapping[str, int] = field(default_factory=lambda: {"items": ITEMS, "subjects": SUBJECTS})

    def __call__(self, number: int) -> dict[str, float]:
        """Return 0/1 outcomes by name."""
        rng = np.random.default_rng([self.seed, number])
        found = self._coverage(rng)
        for name, effects in (("line", NULL), ("curve", CURVED)):
            found |= {f"{key}, {name}": value for key, value in self._size(effects, rng).items()}
        for name, design in CONTEXTS.items():
            found |= {f"{key}, {name}": value for key, value in self._two_contexts(design, rng).items()}
        return found

    def _two_contexts(
        self, design: tuple[int, int, float, float], rng: np.random.Generator
    ) -> dict[str, float]:
        """Test a predictor without effect, drawn anew for each text, in a model with both groupings."""
        items, subjects, text_sd, residual_sd = design
        words = pd.DataFrame({"item": np.repeat([f"i{k}" for k in range(items)], 2), "word": "noun"})
        words["context"] = np.tile(["one", "two"], items)
        words["stimulus_id"], words["word_index"] = words["item"] + words["context"], 1
        texts = words["item"] + " " + words["context"] + " noun"
        words["stimulus"] = [stimulus_label(text, "noun") for text in texts]
        words["surprisal"] = rng.normal(size=2 * items)
        stated = Effects({"surprisal": 0.0}, item_sd=0.7, stimulus_sd=text_sd, residual_sd=residual_sd)
        drawn = simulate_trials(
            words,
            effects={"n400_uv": stated},
            n_subjects=subjects,
            seed=int(rng.integers(2**31)),
            latin_square=False,
        )
        trials = drawn.trials.merge(
            words[["stimulus_id", "surprisal"]], on="stimulus_id", validate="many_to_one"
        )
        rates = {}
        for name, grouping in (("texts as stimuli", INTERCEPTS), ("texts of an item pooled", POOLED)):
            fit = estimate(specify(trials, f"n400_uv ~ surprisal + {grouping}"))
            rates[f"null predictor rejects, {name}"] = float(fit.coefficient("surprisal")["p"] < 0.05)
        return rates

    def _trials(
        self, effects: Mapping[str, float], slopes: Mapping[str, float], rng: np.random.Generator
    ) -> pd.DataFrame:
        items = self.sizes["items"]
        root = np.linalg.cholesky([[1, CORRELATION], [CORRELATION, 1]])
        words = pd.DataFrame(rng.normal(size=(2 * items, 2)) @ root.T, columns=["surprisal", "sparsity"])
        words["item"] = np.repeat([f"i{k}" for k in range(items)], 2)
        words["word"] = np.tile(["a", "b"], items)
        words["stimulus_id"], words["word_index"] = words["item"] + words["word"], 0
        stated = Effects(effects, subject_slopes=slopes, **NOISE)
        drawn = simulate_trials(
            words,
            effects={"n400_uv": stated},
            n_subjects=self.sizes["subjects"],
            seed=int(rng.integers(2**31)),
        )
        scaled = words[["stimulus_id"]].assign(
            **{name: (words[name] - mean) / sd for name, (mean, sd) in drawn.scales.iterrows()}
        )
        return drawn.trials.merge(scaled, on="stimulus_id", validate="many_to_one")

    def _coverage(self, rng: np.random.Generator) -> dict[str, float]:
        trials = self._trials(PLANTED, {"surprisal": 0.4}, rng)
        fit = estimate(specify(trials, f"n400_uv ~ {SQUARES} + {PRODUCT} + {SLOPES}"))
        truth = {**PLANTED, "I(surprisal ** 2)": PLANTED["surprisal^2"]}
        rows = {
            term: fit.coefficient(term) for term in ("surprisal", "sparsity", PRODUCT, "I(surprisal ** 2)")
        }
        found = {
            f"interval covers {term}": float(row["ci_low"] <= truth[term] <= row["ci_high"])
            for term, row in rows.items()
        }
        without = specify(trials, f"n400_uv ~ {MAIN} + (1 | subject) + (1 | item)")
        found["warns without (1 | stimulus)"] = _warns(without)
        found["warns with (1 | stimulus)"] = _warns(fit.model)
        return found

    def _size(self, effects: Mapping[str, float], rng: np.random.Generator) -> dict[str, float]:
        trials = self._trials(effects, {}, rng)
        full = estimate(specify(trials, f"n400_uv ~ {SQUARES} + {PRODUCT} + {INTERCEPTS}"))
        start = full.estimate.theta
        models = {
            name: prepare(_columns(full.design, columns), False)
            for name, columns in (
                ("baseline", BASELINE),
                ("full", (*BASELINE, PRODUCT)),
                ("plain", PLAIN),
                ("plain full", (*PLAIN, PRODUCT)),
            )
        }
        fits = {name: model.refit(full.design.y, start) for name, model in models.items()}
        observed, plain = (
            _chi2(fits[a], fits[b]) for a, b in (("baseline", "full"), ("plain", "plain full"))
        )
        small = models["baseline"].design
        mean = small.X @ fits["baseline"].beta
        y = simulate(small, mean, fits["baseline"].covariances, fits["baseline"].sigma, rng)
        drawn = _chi2(*(models[name].refit(y, start) for name in ("baseline", "full")))
        return {
            "synergy test rejects": float(stats.chi2.sf(observed, 1) < 0.05),
            "synergy coefficient's t test rejects": float(full.coefficient(PRODUCT)["p"] < 0.05),
            "test without squares rejects": float(stats.chi2.sf(plain, 1) < 0.05),
            "bootstrap statistic is larger": float(drawn > observed),
        }


def _columns(design: Design, names: Sequence[str]) -> Design:
    at = [design.names.index(name) for name in names]
    return replace(design, X=design.X[:, at], names=tuple(names))


def _chi2(smaller: Quick, larger: Quick) -> float:
    return max(2 * (larger.loglik - smaller.loglik), 0.0)


def _warns(model: Model) -> float:
    found = missing_stimulus_warnings(
        model.design, model.data, model.numeric_predictors(), model.factor_predictors()
    )
    return float(bool(found))


# What a rate should be; without an entry it is shown and not tested.
NOMINAL = {
    "interval covers": 0.95,
    "null predictor rejects, texts as stimuli": 0.05,
    "synergy test rejects": 0.05,
    "synergy coefficient's t test rejects": 0.05,
    "bootstrap statistic is larger": 0.5,
    "warns without": 1.0,
    "warns with (": 0.0,
}


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Return observed and nominal rates with the exact binomial p; ``ok`` is False below α = .001."""
    rows = []
    for name in table:
        values = table[name].dropna()
        hits, n = int(values.sum()), len(values)
        nominal = next((rate for start, rate in NOMINAL.items() if str(name).startswith(start)), None)
        p = np.nan if nominal is None else float(stats.binomtest(hits, n, nominal).pvalue)
        rows.append(
            (name, n, hits / n, np.nan if nominal is None else nominal, p, bool(np.isnan(p) or p >= ALPHA))
        )
    return pd.DataFrame(rows, columns=["what", "n", "rate", "nominal", "p", "ok"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_folder(__file__))
    options = parser.parse_args()
    folder = output_folder(options.out)
    task = Run(options.seed)
    table = replicate(
        task, options.runs, name="statistics_runs", inputs=content_hash(options.seed, dict(task.sizes), PLANTED, CURVED, NOISE, CONTEXTS),
        jobs=options.jobs, folder=folder, progress=True,
    )  # fmt: skip
    found = summarize(table)
    found.to_csv(folder / "statistics.csv", index=False, float_format="%.6g")
    print(found.to_string(index=False, float_format="{:.4f}".format))
    if not found["ok"].all():
        raise SystemExit("a rate differs from its nominal value; see the rows with ok = False")


if __name__ == "__main__":
    main()
