"""Do surprisal and entropy predict how far feed-forward activity moves from token to token?

    python analyses/06_synergy_adaptation.py [--sequences 300] [--scored 128] [--corpus xsum] [--bootstrap 1000]

Writes results/synergy_adaptation/; with fewer than 300 sequences a kind, out/synergy_adaptation instead. Measured
sequences are kept, so the same command goes on where it stopped.
"""

import argparse
from functools import partial
from pathlib import Path

from clada_neuro.synergies.adaptation import Settings, adaptation

RESULTS = Path(__file__).parent / "results" / "synergy_adaptation"
WORK = Path("out") / "synergy_adaptation"


def main() -> None:
    full = Settings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=int, default=full.sequences, help="of each kind")
    parser.add_argument("--scored", type=int, default=full.scored, help="tokens of a sequence")
    parser.add_argument("--corpus", default=full.corpus, choices=["xsum", "c4_sample"])
    parser.add_argument("--bootstrap", type=int, default=full.bootstrap, help="replicates over sequences")
    settings = Settings(**vars(parser.parse_args()))
    folder = RESULTS if settings.sequences >= full.sequences else WORK
    print(adaptation(folder, settings=settings, work=WORK / "work", progress=partial(print, flush=True)))


if __name__ == "__main__":
    main()
