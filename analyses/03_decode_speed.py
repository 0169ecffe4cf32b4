"""Is decoding under a policy faster than dense, and how near to the byte ceiling?

    NUMBA_NUM_THREADS=2 python analyses/03_decode_speed.py MODEL [--dtype D] [--rounds N] [--llama-python PYTHON [--llama-widths …]]
    python analyses/03_decode_speed.py llama-7b-random --dtype bfloat16 --device cuda
    NUMBA_NUM_THREADS=2 python analyses/03_decode_speed.py smollm2 --scope all --sparsities 0.25 0.4 0.5 [--dtype D]

MODEL is smollm2, llama-1b-random or llama-7b-random (random weights). Writes results/decode_speed/MODEL_DTYPE.csv, on a GPU
MODEL_DTYPE_cuda.csv, with --scope all MODEL_DTYPE_all.csv (sparsity is then a share of all linear weights of the layers), the command in its first line. Nothing else should run at the same time; `load_average`
says whether something did (the benchmark itself adds its threads).
"""

import argparse
import shlex
import sys

from _shared.results import results_folder

from clada_neuro.artifacts import write_text
from clada_neuro.bench.decode_speed import bench_decode
from clada_neuro.bench.peers import WIDTHS
from clada_neuro.errors import CladaNeuroError
from clada_neuro.runtime.policy import ALL, FFN_ONLY, SCOPES


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.4, 0.5])
    parser.add_argument("--scope", choices=SCOPES, default=FFN_ONLY)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--llama-python")
    parser.add_argument("--llama-widths", nargs="+", default=list(WIDTHS), choices=WIDTHS)
    options = parser.parse_args()
    try:
        table = bench_decode(**vars(options), progress=lambda line: print(line, file=sys.stderr))
    except CladaNeuroError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    given = ["PYTHON" if part == options.llama_python else part for part in sys.argv]
    command = f"# python {shlex.join(given)}\n"
    write_text(
        results_folder(__file__)
        / f"{options.model}_{options.dtype}{'_cuda' * (options.device == 'cuda')}{'_all' * (options.scope == ALL)}.csv",
        command + table.to_csv(index=False, float_format="%.4g"),
    )
    print(table.to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":  # the benchmark starts processes that import this file
    main()
