"""Do surprisal and entropy predict how far feed-forward activity moves from token to token?

    python analyses/06_synergy_adaptation.py

Writes results/synergy_adaptation/ at full size. With options (those of `clada-neuro synergy adaptation`) it is a trial that
writes to out/synergy_adaptation instead. What is finished is kept in out/, so the same command goes on where it stopped.
"""

import sys

from _shared.results import results_folder

from clada_neuro.cli.main import main

FULL = ["--out", str(results_folder(__file__)), "--work", "out/synergy_adaptation/work"]

if __name__ == "__main__":
    sys.argv[1:] = ["synergy", "adaptation", *(sys.argv[1:] or FULL)]
    main()
