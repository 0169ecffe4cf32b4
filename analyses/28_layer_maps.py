"""Do maps over layers and time find what is planted, and nothing where nothing is?

Simulated studies, each analysed as `clada-neuro depth --epochs` does: 12 subjects read 40 words, two to an item; a measure of eight
layers, each layer's near the one before it (r = .5), is drawn anew for the words of every study. Subjects (and their slopes on one
layer's measure), trials and, but for studies of words alike, items and words have maps of their own that hang together over electrodes and
moments. *null*: no layer has a mean effect. *one layer*: the fifth has one at 400 ms. *early early*: layers peak one after another
from 200 to 550 ms. *all at once*: every layer peaks at 400 ms, so that later layers are not later.

    python analyses/28_layer_maps.py [--runs 500] [--plants 100] [--jobs 1]

Writes results/layer_maps/: size.csv, the share of null studies in which a test finds anything at .05, and plants.csv, what is found of
what is planted, each with a 95 % interval.
"""

import argparse
from dataclasses import dataclass

import mne
import numpy as np
import pandas as pd
from _shared.fields import fields
from _shared.results import results_folder
from scipy import stats

from clada_neuro.artifacts import cache_folder, content_hash
from clada_neuro.erp.layers.latency import latencies
from clada_neuro.erp.layers.planes import Planes, Regressions
from clada_neuro.erp.layers.tested import ALPHA, ITEMS, SUBJECTS, Tested, over_electrodes, over_roi
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.simulate_eeg import standard_info
from clada_neuro.exports import write_csv
from clada_neuro.stats.resample import replicate

ELECTRODES, ROI = ["Fz", "C3", "Cz", "C4", "Pz"], ("Cz", "Pz")
TIMES = (np.arange(16) * 0.04).astype(np.float64)
N_SUBJECTS, N_ITEMS, LAYERS, ALIKE = 12, 20, tuple(range(8)), 0.5
SDS = {"subject": 2.0, "slope": 0.5, "item": 0.8, "word": 1.0, "trial": 5.0}  # µV
EFFECT, WIDTH = -2.0, 0.07  # µV per SD at the peak, seconds
DRAWS, SAMPLES = 99, 199
NULLS = ("null, words differ", "null, words alike")
PLANTS = {
    "one layer": {4: 0.4},
    "early early": dict(zip(LAYERS, np.linspace(0.2, 0.55, len(LAYERS)), strict=True)),
    "all at once": dict.fromkeys(LAYERS, 0.4),
}


def info() -> mne.Info:
    """Return the five electrodes."""
    whole = standard_info(1 / (TIMES[1] - TIMES[0]))
    return mne.pick_info(whole, [whole.ch_names.index(name) for name in ELECTRODES])


def study(kind: str, rng: np.random.Generator) -> Planes:
    """Return the regressions of one simulated study."""
    place, n_words = info(), 2 * N_ITEMS
    z = [rng.standard_normal(n_words)]
    for _ in LAYERS[1:]:
        z.append(ALIKE * z[-1] + np.sqrt(1 - ALIKE**2) * rng.standard_normal(n_words))
    measures = stats.zscore(np.array(z).T, axis=0, ddof=1)
    items = np.arange(n_words) // 2
    shared = np.zeros((n_words, len(ELECTRODES), len(TIMES)))
    if kind != NULLS[1]:
        shared += SDS["item"] * fields(rng, place, TIMES, N_ITEMS)[items]
        shared += SDS["word"] * fields(rng, place, TIMES, n_words)
    for layer, peak in PLANTS.get(kind, {}).items():
        course = EFFECT * np.exp(-(((TIMES - peak) / WIDTH) ** 2) / 2)
        shared += measures[:, layer, None, None] * course
    betas = []
    scores: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0
    moved = rng.integers(len(LAYERS))
    for _ in range(N_SUBJECTS):
        own, slope = (SDS[name] * fields(rng, place, TIMES, 1) for name in ("subject", "slope"))
        noise = SDS["trial"] * fields(rng, place, TIMES, n_words)
        y = own + measures[:, moved, None, None] * slope + shared + noise
        fit = Regressions.of("a subject", y, measures, np.empty((n_words, 0)), None)
        betas.append(fit.betas())
        scores, squares = scores + fit.scores(items, N_ITEMS), squares + fit.squares(items, N_ITEMS)
    return Planes(LAYERS, TIMES, np.array(betas), np.asarray(scores), np.asarray(squares), place)


@dataclass(frozen=True)
class Run:
    """One study of a kind; calling it with a number gives outcomes by name."""

    kind: str

    @quiet
    def __call__(self, number: int) -> dict[str, float]:
        """Return whether each test finds anything, and of plants what was found."""
        rng = np.random.default_rng([28, [*NULLS, *PLANTS].index(self.kind), number])
        found, seed = study(self.kind, rng), int(rng.integers(2**31))
        plane = over_roi(found, ROI, n_permutations=DRAWS + 1, seed=seed)
        p = {**plane.tfce_p, "both": np.maximum(plane.tfce_p[SUBJECTS], plane.tfce_p[ITEMS])}
        outcomes = {f"mean, clusters, {name}": hit for name, hit in _clusters(plane).items()}
        outcomes |= {f"mean, TFCE, {name}": float(values.min() <= ALPHA) for name, values in p.items()}
        if self.kind in NULLS:
            scalp = over_electrodes(found, n_permutations=DRAWS + 1, seed=seed)
            outcomes |= {f"every electrode, clusters, {name}": hit for name, hit in _clusters(scalp).items()}
        at = [ELECTRODES.index(name) for name in ROI]
        when = latencies(
            LAYERS, TIMES, found.betas[:, :, at].mean(axis=2), found.influence(at), plane.has_effect, n_bootstrap=SAMPLES,
            seed=seed,
        )  # fmt: skip
        return outcomes | _latencies(when.correlations) | self._planted(when.table)

    def _planted(self, table: pd.DataFrame) -> dict[str, float]:
        planted = PLANTS.get(self.kind, {})
        if not planted:
            return {}
        rows = table.set_index("layer").loc[list(planted)]
        peaks = np.array(list(planted.values()))
        inside = (rows["peak_s_low"] - 0.02 <= peaks) & (peaks <= rows["peak_s_high"] + 0.02)  # half a moment
        known = rows["found"].to_numpy()
        return {
            "planted layers found": float(known.mean()),
            "other layers found": float(table["found"].sum() - known.sum())
            / max(1, len(LAYERS) - len(planted)),
            "peaks within their intervals": float(inside[known].mean()) if known.any() else np.nan,
            "error of peaks, ms": 1e3 * float((rows["peak_s"] - peaks)[known].mean())
            if known.any()
            else np.nan,
        }


def _clusters(tested: Tested) -> dict[str, float]:
    rows = tested.table.groupby("over")
    smallest = {over: rows.get_group(over)["p"].min() for over in rows.groups}
    both = tested.table["p_both"].min()
    return {
        **{over: float(smallest.get(over, 1.0) <= ALPHA) for over in (SUBJECTS, ITEMS)},
        "both": float(both <= ALPHA),
    }


def _latencies(correlations: pd.DataFrame) -> dict[str, float]:
    rows = correlations.set_index("latency")
    outcomes = {}
    for kind in ("onset", "peak"):
        known = kind in rows.index
        outcomes[f"later layers later, {kind}"] = float(known and rows.at[kind, "p"] <= ALPHA)
        outcomes[f"rho, {kind}"] = float(rows.at[kind, "rho"]) if known else np.nan
    return outcomes


def summarize(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return each outcome's mean over studies: a share with Wilson's 95 % interval, else with one by the t distribution."""
    rows = []
    for name in table:
        values = table[name].dropna()
        if not len(values):
            continue
        if set(values) <= {0.0, 1.0}:
            interval = stats.binomtest(int(values.sum()), len(values)).proportion_ci(method="wilson")
            low, high = interval.low, interval.high
        else:
            half = stats.t.ppf(0.975, len(values) - 1) * values.sem()
            low, high = values.mean() - half, values.mean() + half
        rows.append((kind, name, len(values), values.mean(), low, high))
    return pd.DataFrame(rows, columns=["studies", "what", "n", "mean", "ci_low", "ci_high"]).round(4)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--plants", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    mne.set_log_level("error")
    made_from = content_hash(N_SUBJECTS, N_ITEMS, LAYERS, ALIKE, SDS, EFFECT, WIDTH, DRAWS, SAMPLES)
    results = results_folder(__file__)
    for file, kinds, n in (("size", NULLS, given.runs), ("plants", tuple(PLANTS), given.plants)):
        found = []
        for kind in kinds:
            name = kind.replace(", ", "_").replace(" ", "_")
            table = replicate(
                Run(kind), n, name=name, jobs=given.jobs, folder=cache_folder("analyses", "layer_maps"), progress=True,
                inputs=made_from,
            )  # fmt: skip
            found.append(summarize(table, kind))
            write_csv(pd.concat(found, ignore_index=True), results / f"{file}.csv", encoding="utf-8")
        print(pd.concat(found).to_string(index=False))


if __name__ == "__main__":
    main()
