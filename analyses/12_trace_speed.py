"""How long does a whole trace of 200 sentences take, beside packages that give surprisal alone?

    python -m venv peers && peers/bin/pip install torch==2.13.0 minicons==0.3.39 surprisal==0.1.7
    OMP_NUM_THREADS=2 python analyses/12_trace_speed.py --peer-python peers/bin/python [--dtype bfloat16] [--stimuli urbach2010_exp1] [--sentences 200] [--rounds 3]
    python analyses/12_trace_speed.py --device cuda [--stimuli FILE] --sentences 2000

Writes results/trace_speed/trace_speed.csv (with _STIMULI, _bfloat16 and _cuda at the end of its name where these are asked for), the command and the load of
the machine in its first line. Nothing else should run at the same time.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from _shared.results import results_folder

from clada_neuro.artifacts import write_text
from clada_neuro.bench.trace_speed import bench_trace


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--stimuli", help="data set or file [default: the N400 stimuli of the demonstration]")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    marks = [Path(options.stimuli).stem] if options.stimuli else []
    marks += [mark for mark in (options.dtype, options.device) if mark not in ("float32", "cpu")]
    load = os.getloadavg()[0]
    table = bench_trace(**vars(options), progress=lambda line: print(line, file=sys.stderr))
    given = ["peers/bin/python" if part == options.peer_python else part for part in sys.argv]
    head = f"# python {shlex.join(given)}; {os.cpu_count()} cores, load average before {load:.1f}\n"
    write_text(
        results_folder(__file__) / f"{'_'.join(['trace_speed', *marks])}.csv",
        head + table.to_csv(index=False),
    )
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
