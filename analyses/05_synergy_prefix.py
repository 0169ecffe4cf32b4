"""Is activity more similar after a longer shared prefix, in text and in random tokens?

    python analyses/05_synergy_prefix.py [--pairs 400] [--distances 1 4 16] [--corpus xsum] [--bootstrap 1000]

Writes results/synergy_prefix/; with fewer than 400 pairs a kind, out/synergy_prefix instead. Measured pairs are kept,
so the same command goes on where it stopped.
"""

import argparse
from functools import partial
from pathlib import Path

from clada_neuro.synergies.prefix import Settings, prefix

RESULTS = Path(__file__).parent / "results" / "synergy_prefix"
WORK = Path("out") / "synergy_prefix"


def main() -> None:
    full = Settings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=full.pairs, help="of each kind of sequence")
    parser.add_argument(
        "--distances",
        type=int,
        nargs="+",
        default=full.distances,
        help="differing tokens before the compared one",
    )
    parser.add_argument("--corpus", default=full.corpus, choices=["xsum", "c4_sample"])
    parser.add_argument("--bootstrap", type=int, default=full.bootstrap, help="replicates over pairs")
    settings = Settings(**vars(parser.parse_args()))
    folder = RESULTS if settings.pairs >= full.pairs else WORK
    print(prefix(folder, settings=settings, work=WORK / "work", progress=partial(print, flush=True)))


if __name__ == "__main__":
    main()
