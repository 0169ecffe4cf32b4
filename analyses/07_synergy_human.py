"""Do activity and its product with surprisal explain human N400 and P600 amplitudes beyond surprisal?

    python analyses/07_synergy_human.py [--limit ITEMS] [--bootstrap 200] [--jobs 2]

Writes results/synergy_human/. A run on part of the items writes to out/synergy_human instead. Interrupted, the same
command goes on with the traces, ladders and replicates that were finished.
"""

import argparse
from pathlib import Path

from clada_neuro.synergies.human import Settings, human

RESULTS = Path(__file__).parent / "results" / "synergy_human"
WORK = Path("out") / "synergy_human"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, help="only the first items of each data set")
    parser.add_argument("--bootstrap", type=int, default=200, help="replicates for the product's R²")
    parser.add_argument("--jobs", type=int, default=1, help="bootstrap processes")
    options = parser.parse_args()
    settings = Settings(limit=options.limit, replicates=options.bootstrap, jobs=options.jobs)
    folder = WORK if options.limit else RESULTS
    print(human(folder, settings=settings, work=WORK / "work", progress=lambda line: print(line, flush=True)))


if __name__ == "__main__":
    main()
