"""How often do maps of mixed models find an effect that is not there, when the predictor varies over stimuli only?

Simulated studies without an effect: every subject reads every stimulus, two to an item; subjects (and their slopes), items, stimuli and
trials each have maps of their own that hang together over electrodes and moments. The predictor is drawn anew for the stimuli of every study. Each
study is mapped by mixed models with crossed subjects, items and stimuli, whose null is made in three ways (see
`clada_neuro.erp.maps.null`): the model's predicted effects with signs redrawn (which the package does), the same with normal
multipliers (a parametric bootstrap with the fitted covariances), and the marginal residuals with signs redrawn by stimulus. Beside
them stands what treats items as fixed: a regression per subject and a test over subjects by sign flips.

    python analyses/21_maps.py [--runs 500] [--subjects 12] [--items 12] [--draws 199]

Writes results/maps/: size.csv, the share of studies with anything significant at .05, by test, with its 95 % interval.
"""

import argparse
from collections.abc import Iterator

import mne
import numpy as np
import pandas as pd
from _shared.fields import fields
from _shared.results import results_folder
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from clada_neuro.erp.clusters import channel_adjacency
from clada_neuro.erp.maps.channel import ChannelTask, Electrode, deviates, terms_of, with_errors
from clada_neuro.erp.maps.inference import compared
from clada_neuro.erp.maps.null import RowWeights, signs
from clada_neuro.erp.simulate_eeg import standard_info
from clada_neuro.exports import write_csv

ELECTRODES = ["Fz", "C3", "Cz", "C4", "Pz"]
TIMES = np.arange(10) * 0.05
SDS = {"subject": 2.0, "slope": 0.5, "item": 0.8, "stimulus": 1.0, "residual": 5.0}  # µV
MODEL = "x + (1 + x | subject) + (1 | item) + (1 | stimulus)"
SIGNS, NORMAL, MARGINAL, FIXED = (
    "mixed models: signs of predicted effects",
    "mixed models: normal multiples of predicted effects",
    "mixed models: signs of marginal residuals by stimulus",
    "items fixed: regressions per subject, signs over subjects",
)


def study(info: mne.Info, n_subjects: int, n_items: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return trials and their maps, µV."""
    rng = np.random.default_rng([seed, 21])
    subject, stimulus = (part.ravel() for part in np.indices((n_subjects, 2 * n_items)))
    item = stimulus // 2
    x = rng.standard_normal(2 * n_items)
    maps = {name: sd * fields(rng, info, TIMES, n) for (name, sd), n in zip(
        SDS.items(), (n_subjects, n_subjects, n_items, 2 * n_items, len(subject)), strict=True)}  # fmt: skip
    y = maps["subject"][subject] + maps["slope"][subject] * x[stimulus][:, None, None]
    y = y + maps["item"][item] + maps["stimulus"][stimulus] + maps["residual"]
    trials = pd.DataFrame({"subject": subject, "item": item, "stimulus": stimulus})
    return trials.map(lambda number: f"n{number}").assign(x=x[stimulus]), y


def smallest(
    info: mne.Info, trials: pd.DataFrame, y: np.ndarray, draws: int, seed: int
) -> Iterator[tuple[str, str, float]]:
    """Yield test, correction and the smallest p of a study."""
    task = ChannelTask(trials, MODEL, False, draws, seed)
    shape = y.shape[1:]
    every = Electrode("every electrode and moment", y.reshape(len(y), -1), np.zeros(len(y)))
    model, fits, errors = with_errors(every, task)
    (term,) = terms_of(model)
    z = deviates(
        np.array([m.beta[term] / m.se[term] for m in fits]), np.array([m.df[term] for m in fits])
    ).reshape(shape)
    drawn = signs(model.design, draws, seed)
    rng = np.random.default_rng([seed, 22])
    normals = {group: rng.standard_normal(found.shape) for group, found in drawn.items()}
    weights, marginal = RowWeights(model.design), []
    stimuli = trials["stimulus"].to_numpy()
    for member, response in zip(fits, every.amplitudes.T, strict=True):
        residual = response - model.design.X @ member.beta
        added = pd.Series(weights.of(member)[:, term] * residual / member.se[term])
        marginal.append(added.groupby(stimuli).sum().to_numpy())
    nulls = {
        SIGNS: sum(drawn[group] @ errors[group] for group in drawn),
        NORMAL: sum(normals[group] @ errors[group] for group in drawn),
        MARGINAL: drawn["stimulus"] @ np.array(marginal).T,
    }
    adjacency = channel_adjacency(info)
    nulls[FIXED], z_fixed = items_fixed(trials, y, draws, seed)
    for name, null in nulls.items():
        found = compared(z_fixed if name == FIXED else z, null.reshape(draws, *shape), adjacency)
        yield name, "largest", found.p.min()
        yield name, "clusters", found.cluster_p.min(initial=1.0)


def items_fixed(trials: pd.DataFrame, y: np.ndarray, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the draws and the map of a regression per subject, tested over subjects, as normal deviates."""
    betas = []
    for rows in trials.groupby("subject").indices.values():
        design = np.column_stack([np.ones(len(rows)), trials["x"].to_numpy()[rows]])
        betas.append(np.linalg.lstsq(design, y[rows].reshape(len(rows), -1))[0][1].reshape(y.shape[1:]))
    stacked = np.array(betas)
    df = np.array(len(stacked) - 1.0)
    flips = np.random.default_rng([seed, 23]).choice([-1.0, 1.0], (draws, len(stacked)))
    null = [deviates(mne.stats.ttest_1samp_no_p(flip[:, None, None] * stacked), df) for flip in flips]
    return np.array(null), deviates(mne.stats.ttest_1samp_no_p(stacked), df)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("runs", 500), ("subjects", 12), ("items", 12), ("draws", 199)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    mne.set_log_level("error")
    info = mne.pick_info(
        standard_info(1 / (TIMES[1] - TIMES[0])),
        [standard_info(25).ch_names.index(name) for name in ELECTRODES],
    )
    rows: list[tuple[str, str, float]] = []
    for seed in tqdm(range(given.runs), desc="studies"):
        trials, y = study(info, given.subjects, given.items, seed)
        rows += smallest(info, trials, y, given.draws, seed)
        if seed % 50 == 49 or seed + 1 == given.runs:
            write_csv(sizes(rows), results_folder(__file__) / "size.csv", encoding="utf-8")
    print(sizes(rows).to_string())


def sizes(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    """Return the share of studies with p of at most .05, by test and correction."""
    table = pd.DataFrame(rows, columns=["test", "correction", "p"]).assign(found=lambda t: t["p"] <= 0.05)
    counts = table.groupby(["test", "correction"], sort=False)["found"].agg(["sum", "size"])
    low, high = proportion_confint(counts["sum"], counts["size"], method="wilson")
    shares = {"significant": counts["sum"] / counts["size"], "ci_low": low, "ci_high": high}
    return pd.DataFrame({"studies": counts["size"], **shares}).round(3).reset_index()


if __name__ == "__main__":
    main()
