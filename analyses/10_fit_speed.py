"""How long do the mixed models of 25,322 noun N400s take, and 1,000 bootstrap replicates of a small one?

    OMP_NUM_THREADS=2 python analyses/10_fit_speed.py [--rounds 5] [--trials trials.parquet]

Writes results/fit_speed/fit_speed.csv, the command and the load of the machine in its first line. Nothing else should run at the
same time. lme4 is timed beside where Rscript is installed. The small model is that of tests/reference/sim_small.csv
(2,880 rows); its replicates are 1,000 parametric and 1,000 under the null, in as many processes as there are cores.
"""

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

import pandas as pd
from _shared.results import results_folder

from clada_neuro.artifacts import write_text
from clada_neuro.bench.fit_speed import bench_fit
from clada_neuro.stats.bootstrap import bootstrap
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify

HERE = Path(__file__).parent
SMALL = HERE.parent / "tests" / "reference" / "sim_small.csv"
RANDOM = "entropy + (1 + surprisal | subject) + (1 | item)"
REPLICATES = 1000


def bench_bootstrap() -> dict[str, object]:
    """Return a row of the table for the replicates of the small reference model."""
    data = pd.read_csv(SMALL)
    fits = [
        estimate(specify(data, f"n400 ~ surprisal {sign} sparsity + {RANDOM}"), reml=False) for sign in "+*"
    ]
    began = time.perf_counter()
    bootstrap(*fits, replicates=REPLICATES, jobs=os.cpu_count() or 1)
    return {
        "model": f"{REPLICATES} parametric and {REPLICATES} null replicates",
        "formula": fits[1].formula,
        "engine": "mixedlm",
        "n_obs": fits[1].n_obs,
        "seconds": time.perf_counter() - began,
        "rounds": 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    table = bench_fit(**vars(options), progress=lambda line: print(line, file=sys.stderr))
    table = pd.concat([table, pd.DataFrame([bench_bootstrap()])], ignore_index=True)
    head = f"# python {shlex.join(sys.argv)}; {os.cpu_count()} cores, load average before {load:.1f}\n"
    write_text(
        results_folder(__file__) / "fit_speed.csv", head + table.to_csv(index=False, float_format="%.6g")
    )
    print(table.drop(columns="formula").to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
