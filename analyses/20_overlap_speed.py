"""How long does it take to estimate overlapping responses from an hour of EEG, and how much memory?

    OMP_NUM_THREADS=2 python analyses/20_overlap_speed.py [--minutes 60]

White noise of 64 channels at 250 Hz with words every 300 to 600 ms (8,000 in an hour), in memory; responses from −100 to 1000 ms at
every sample; then the single trials of one type without their neighbours, as the by-item check takes them. Four types of events with
five predictors each (6,624 columns), and five predictors for one of the four (2,484).
Writes results/overlap_speed/overlap_speed.csv, the command in its first line. Nothing else should run at the same time. Each
design runs in a process of its own, whose largest memory is counted.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Mapping

import mne
import numpy as np
import pandas as pd
from _shared.results import command_and_load, results_folder

from clada_neuro.artifacts import write_text
from clada_neuro.erp.overlap.events import EventModel
from clada_neuro.erp.overlap.fit import overlap_rerp
from clada_neuro.erp.overlap.single import stretches_without_overlap

SFREQ, CHANNELS, PREDICTORS, TYPES = 250.0, 64, "abcde", ("word", "comma", "press", "saccade")
FULL = f"1 + {' + '.join(PREDICTORS)}"
DESIGNS = {
    "five predictors of each type": dict.fromkeys(TYPES, FULL),
    "five predictors of one type": {**dict.fromkeys(TYPES, "1"), TYPES[0]: FULL},
}


def measure(minutes: float, formulas: Mapping[str, str]) -> dict[str, float]:
    """Return seconds and peak memory of one fit."""
    rng = np.random.default_rng(0)
    n = round(60 * minutes * SFREQ)
    samples = np.cumsum(rng.integers(75, 151, n // 113)) + 50
    samples = samples[samples < n - 300]
    values = {name: rng.normal(size=len(samples)) for name in PREDICTORS}
    types = rng.choice(TYPES, len(samples))
    events = pd.DataFrame({"onset": samples / SFREQ, "event": types, **values})
    data = np.empty((CHANNELS, n))
    rng.standard_normal(out=data)
    data *= 1e-5
    raw = mne.io.RawArray(data, mne.create_info(CHANNELS, SFREQ, "eeg"), verbose="error")
    start = time.perf_counter()
    found = overlap_rerp(raw, events, [EventModel(event, formula) for event, formula in formulas.items()])
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    singles = sum(len(epochs) for epochs, _ in stretches_without_overlap([raw], [events], found, TYPES[0]))
    single_seconds = time.perf_counter() - start
    columns = len(found.names) * len(found.evoked(found.names[0]).times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        "events": len(events),
        "columns": columns,
        "seconds": round(seconds, 1),
        "single_trials": singles,
        "single_trials_seconds": round(single_seconds, 1),
        "peak_gb": round(peak, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    rows = []
    for design, formulas in DESIGNS.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(
                {
                    "design": design,
                    "minutes": options.minutes,
                    **pool.apply(measure, (options.minutes, formulas)),
                }
            )
        print(rows[-1], flush=True)
    write_text(
        results_folder(__file__) / "overlap_speed.csv",
        command_and_load() + pd.DataFrame(rows).to_csv(index=False),
    )


if __name__ == "__main__":
    main()
