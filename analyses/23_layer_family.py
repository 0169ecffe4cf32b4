"""Does the family of layers keep its size? Null studies, each analysed by `depth` as a user would.

Two measures of eight layers, each layer's near the one before it (r = .95), vary over 60 words of 30 items; 16 subjects; subjects, items
and words differ, and no layer has an effect. A study rejects where the smallest p of its family is at most .05: by max-T over
the family, and for comparison by each layer's own t and by Bonferroni's correction of those.

    python analyses/23_layer_family.py [--runs 500] [--jobs N] [--out DIR]

Writes results/layer_family/size.csv.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from _shared.results import results_folder
from scipy import stats

from clada_neuro.artifacts import content_hash, output_folder
from clada_neuro.exports import write_csv
from clada_neuro.stats.layers.family import Null, adjusted
from clada_neuro.stats.layers.likelihood import fit
from clada_neuro.stats.layers.models import Given, prepare
from clada_neuro.stats.layers.products import products
from clada_neuro.stats.layers.settings import LayerSettings
from clada_neuro.stats.resample import replicate

MEASURES = ("lens_surprisal_bits", "displacement_below")
ITEMS, SUBJECTS, LAYERS, ALIKE = 30, 16, 8, 0.95
SDS = {"subject": 1.5, "item": 0.7, "stimulus": 0.7}
RESIDUAL_SD, ALPHA, DRAWS = 5.0, 0.05, 19  # of 20 the largest: 5 %
FORMULA = "n400_uv ~ surprisal_bits + length + (1|subject) + (1|item) + (1|stimulus)"


@dataclass(frozen=True)
class Run:
    """One null study; calling it with a number gives 0/1 outcomes by name."""

    seed: int = 0

    def __call__(self, number: int) -> dict[str, float]:
        """Return whether the study rejects, by each correction."""
        rng = np.random.default_rng([self.seed, number])
        words, trials = _drawn(rng)
        settings = LayerSettings(MEASURES, replicates=DRAWS)
        ready = prepare(trials, words, Given("N400", FORMULA, ("surprisal_bits", "length")), settings)
        made = products(ready.baseline.design, ready.candidates)
        near = np.array([SDS[made_of] / RESIDUAL_SD for made_of in _groups(ready, made.order)])
        null = fit(made, None, near, True)
        columns = np.arange(len(ready.columns) - 1)
        fits = [fit(made, int(column), null.theta, True) for column in columns]
        t = np.array([one.b / one.se for one in fits])
        task = Null.of(made, null, columns, int(rng.integers(2**31)))
        drawn = np.array([task(draw)["t"] for draw in range(DRAWS)])
        alone = 2 * stats.norm.sf(np.abs(t).max())
        return {
            "max-T of the family": float(adjusted(t, drawn[np.isfinite(drawn)]).min() <= ALPHA),
            "smallest p, uncorrected": float(alone <= ALPHA),
            "Bonferroni": float(alone * len(t) <= ALPHA),
        }


def _groups(ready: object, order: tuple[int, ...]) -> list[str]:
    return [ready.baseline.design.blocks[block].group for block in order]  # type: ignore[attr-defined]


def _drawn(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return words by layer, and a trial a subject and word without an effect of any layer."""
    names = [f"{item}{word}" for item in range(ITEMS) for word in "ab"]
    words = pd.DataFrame({"stimulus_id": names, "word_index": 0})
    state, layers = rng.normal(size=(len(names), 2)), []
    for layer in range(LAYERS):
        layers.append(words.assign(layer=layer, **dict(zip(MEASURES, state.T, strict=True))))
        state = ALIKE * state + np.sqrt(1 - ALIKE**2) * rng.normal(size=state.shape)
    trials = words.assign(
        surprisal_bits=layers[-1][MEASURES[0]],
        length=rng.integers(3, 10, len(names)).astype(float),
        item=words["stimulus_id"].str[:-1],
        stimulus=words["stimulus_id"],
    ).merge(pd.DataFrame({"subject": [f"s{k}" for k in range(SUBJECTS)]}), how="cross")
    y = RESIDUAL_SD * rng.standard_normal(len(trials))
    for group, sd in SDS.items():
        levels = trials[group].unique()
        y += trials[group].map(dict(zip(levels, sd * rng.standard_normal(len(levels)), strict=True)))
    return pd.concat(layers, ignore_index=True), trials.assign(n400_uv=y)


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rate of each correction with its exact 95 % interval."""
    rows = []
    for name in table:
        hits, n = int(table[name].sum()), len(table)
        interval = stats.binomtest(hits, n).proportion_ci()
        rows.append((name, n, hits / n, interval.low, interval.high))
    return pd.DataFrame(rows, columns=["what", "n", "rate", "ci_low", "ci_high"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_folder(__file__))
    options = parser.parse_args()
    folder = output_folder(options.out)
    table = replicate(
        Run(options.seed), options.runs, name="layer_family_runs", jobs=options.jobs, folder=folder, progress=True,
        inputs=content_hash(options.seed, ITEMS, SUBJECTS, LAYERS, ALIKE, SDS, RESIDUAL_SD, DRAWS, FORMULA),
    )  # fmt: skip
    found = summarize(table)
    write_csv(found, folder / "size.csv")
    print(found.to_string(index=False, float_format="{:.4f}".format))
    family = found.set_index("what").loc["max-T of the family"]
    if not family["ci_low"] <= ALPHA <= family["ci_high"]:
        raise SystemExit(f"the family rejects in {family['rate']:.3f} of null studies, {ALPHA} expected")


if __name__ == "__main__":
    main()
