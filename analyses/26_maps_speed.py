"""How long do maps of mixed models take: 64 electrodes, 100 moments, 6,000 trials, every variance estimated at every point?

Simulated trials of 40 subjects who read 150 texts of 75 items, with maps of subjects (and their slopes), items, texts and trials; 999
draws of the null. A part of the electrodes is timed; each takes the same, so 64 take proportionally longer;
the tests over the whole map, which follow, are not counted.

    OMP_NUM_THREADS=1 python analyses/26_maps_speed.py [--electrodes 4] [--jobs 2]

Writes results/maps_speed/maps_speed.csv, the command and the load of the machine in its first line. Nothing else should run at the
same time.
"""

import argparse
import time

import numpy as np
import pandas as pd
from _shared.results import command_and_load, results_folder
from scipy.ndimage import gaussian_filter1d

from clada_neuro.artifacts import write_text
from clada_neuro.erp.maps.channel import Electrode, Task, fit_electrode
from clada_neuro.parts import Processes

SUBJECTS, ITEMS, MOMENTS, ALL = 40, 75, 100, 64
MODEL = "x + (1 + x | subject) + (1 | item) + (1 | stimulus)"
SDS = {"subject": 2.0, "slope": 0.5, "item": 0.8, "stimulus": 1.0, "residual": 5.0}  # µV


def smooth(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return n time courses of variance 1."""
    course = gaussian_filter1d(rng.standard_normal((n, MOMENTS)), 3, axis=1, mode="wrap")
    return course / course.std()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--electrodes", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    rng = np.random.default_rng(22)
    subject, stimulus = (part.ravel() for part in np.indices((SUBJECTS, 2 * ITEMS)))
    x = rng.standard_normal(2 * ITEMS)[stimulus]
    labels = pd.DataFrame({"subject": subject, "item": stimulus // 2, "stimulus": stimulus})
    trials = labels.map(lambda number: f"n{number}").assign(x=x)
    electrodes = {}
    for name in map(str, range(given.electrodes)):
        y = SDS["residual"] * smooth(rng, len(trials)) + SDS["subject"] * smooth(rng, SUBJECTS)[subject]
        y += (
            SDS["slope"] * smooth(rng, SUBJECTS)[subject] * x[:, None]
            + SDS["item"] * smooth(rng, ITEMS)[stimulus // 2]
        )
        y += SDS["stimulus"] * smooth(rng, 2 * ITEMS)[stimulus]
        electrodes[name] = Electrode(name, y, rng.standard_normal(len(trials)))
    started = time.perf_counter()
    done = list(Processes(given.jobs).each(fit_electrode, electrodes, Task(trials, MODEL, True, 999, 0)))
    seconds = time.perf_counter() - started
    row = {
        "trials": len(trials), "moments": MOMENTS, "electrodes": len(done), "jobs": given.jobs, "seconds": round(seconds, 1),
        "minutes_of_64": round(seconds / len(done) * ALL / 60, 1),
    }  # fmt: skip
    print(row)
    write_text(
        results_folder(__file__) / "maps_speed.csv",
        command_and_load() + pd.DataFrame([row]).to_csv(index=False),
    )


if __name__ == "__main__":
    main()
