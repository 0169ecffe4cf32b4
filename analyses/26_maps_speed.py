"""How long do maps of mixed models take: 64 electrodes, 100 moments, 6,000 trials, every variance estimated at every point?

Simulated epochs of 40 subjects who read 150 texts of 75 items, with maps of subjects (and their slopes), items, texts and trials; 999
draws of the null. Timed is all that `mixed_maps` does, from epochs in memory to the tests over the whole map.

    OMP_NUM_THREADS=1 python analyses/26_maps_speed.py [--electrodes 64] [--jobs 2]

Writes results/maps_speed/maps_speed.csv, the command and the load of the machine in its first line. Nothing else should run at the
same time: what does makes it longer.
"""

import argparse
import time

import mne
import numpy as np
import pandas as pd
from _shared.results import command_and_load, results_folder
from scipy.ndimage import gaussian_filter1d

from clada_neuro.artifacts import write_text
from clada_neuro.erp.maps.maps import mixed_maps
from clada_neuro.erp.predictors import PredictedEpochs

SUBJECTS, ITEMS, MOMENTS, BEFORE, SFREQ = 40, 75, 100, 10, 100.0
MODEL = "x + (1 + x | subject) + (1 | item) + (1 | stimulus)"
SDS = {"subject": 2.0, "slope": 0.5, "item": 0.8, "stimulus": 1.0, "residual": 5.0}  # µV


def smooth(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return n time courses of variance 1."""
    course = gaussian_filter1d(rng.standard_normal((n, BEFORE + MOMENTS)), 3, axis=1, mode="wrap")
    return course / course.std()


def simulated(electrodes: int) -> PredictedEpochs:
    """Return everybody's epochs at so many electrodes of a cap of 64."""
    rng = np.random.default_rng(22)
    subject, stimulus = (part.ravel() for part in np.indices((SUBJECTS, 2 * ITEMS)))
    x = rng.standard_normal(2 * ITEMS)[stimulus]
    trials = pd.DataFrame({"subject": subject, "item": stimulus // 2, "stimulus": stimulus})
    trials = trials.map(lambda number: f"n{number}").assign(x=x, z_x=x)
    names = mne.channels.make_standard_montage("biosemi64").ch_names[:electrodes]
    info = mne.create_info(names, SFREQ, "eeg").set_montage("biosemi64")
    volts = np.empty((len(trials), electrodes, BEFORE + MOMENTS))
    for channel in range(electrodes):
        y = SDS["residual"] * smooth(rng, len(trials)) + SDS["subject"] * smooth(rng, SUBJECTS)[subject]
        y += SDS["slope"] * smooth(rng, SUBJECTS)[subject] * x[:, None]
        y += (
            SDS["item"] * smooth(rng, ITEMS)[stimulus // 2]
            + SDS["stimulus"] * smooth(rng, 2 * ITEMS)[stimulus]
        )
        volts[:, channel] = 1e-6 * y
    epochs = {}
    for number in range(SUBJECTS):
        mine = subject == number
        rows = trials[mine].reset_index(drop=True)
        epochs[f"n{number}"] = mne.EpochsArray(
            volts[mine], info, tmin=-BEFORE / SFREQ, metadata=rows, verbose="error"
        )
    scales = pd.DataFrame({"mean": [0.0], "sd": [1.0]}, index=["x"])
    return PredictedEpochs(epochs, ("x",), scales, trials.iloc[:0], True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--electrodes", type=int, default=64)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    data = simulated(given.electrodes)
    started = time.perf_counter()
    found = mixed_maps(data, MODEL, jobs=given.jobs, progress=lambda line: print(line, flush=True))
    seconds = time.perf_counter() - started
    row = {
        "trials": found.n_epochs, "moments": len(found.times), "electrodes": len(found.channels), "draws": found.n_draws,
        "jobs": given.jobs, "seconds": round(seconds, 1), "minutes": round(seconds / 60, 1),
    }  # fmt: skip
    print(row)
    write_text(
        results_folder(__file__) / "maps_speed.csv",
        command_and_load() + pd.DataFrame([row]).to_csv(index=False),
    )


if __name__ == "__main__":
    main()
