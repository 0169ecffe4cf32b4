"""How long do the mixed models of 25,322 noun N400s take?

    OMP_NUM_THREADS=2 python analyses/10_fit_speed.py [--rounds 5] [--trials trials.parquet]

Writes results/fit_speed.csv, the command and the load of the machine in its first line. Nothing else should run at the
same time. lme4 is timed beside where Rscript is installed.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from clada_neuro.artifacts import write_text
from clada_neuro.bench.fit import bench_fit

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    table = bench_fit(**vars(options), progress=lambda line: print(line, file=sys.stderr))
    head = f"# python {shlex.join(sys.argv)}; {os.cpu_count()} cores, load average before {load:.1f}\n"
    write_text(RESULTS / "fit_speed.csv", head + table.to_csv(index=False, float_format="%.6g"))
    print(table.drop(columns="formula").to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
